//! What a service says on standard output: when it runs, and what `--check` found. Lines for a
//! person on a terminal, one JSON document otherwise.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;

use serde_json::{Map, Value, json};

use crate::prepared::Prepared;

/// What is said of a service.
pub(crate) struct Said {
    event: &'static str,
    service: &'static str,
    facts: Map<String, Value>,
    warnings: Vec<String>,
}

impl Said {
    fn new(event: &'static str, prepared: &Prepared) -> Self {
        let mut facts = Map::new();
        facts.insert("kafka".to_owned(), json!(prepared.kafka.bootstrap_servers));
        facts.extend(prepared.facts.clone());
        Self { event, service: prepared.service, facts, warnings: Vec::new() }
    }

    /// For the moment when it runs; its port may have been chosen by the system since.
    pub(crate) fn started(prepared: &Prepared) -> Self {
        Self::new("started", prepared)
    }

    pub(crate) fn at(mut self, address: SocketAddr) -> Self {
        self.facts.insert("endpoint".to_owned(), json!(format!("http://{address}")));
        self
    }

    /// For `--check`.
    pub(crate) fn checked(prepared: &Prepared) -> Self {
        let mut said = Self::new("checked", prepared);
        let topics: Map<String, Value> = prepared
            .topics
            .iter()
            .map(|topic| (topic.name.clone(), json!(topic.partitions)))
            .collect();
        said.facts.insert("listen".to_owned(), json!(prepared.listen.to_string()));
        said.facts.insert("topics".to_owned(), Value::Object(topics));
        said.warnings.clone_from(&prepared.warnings);
        said
    }

    pub(crate) fn print(&self) {
        let mut output = std::io::stdout();
        let text = if output.is_terminal() { self.for_people() } else { self.for_programs() };
        // Whoever started us need not be listening.
        let _closed = writeln!(output, "{text}").and_then(|()| output.flush());
    }

    fn for_programs(&self) -> String {
        let mut whole = Map::new();
        whole.insert("event".to_owned(), json!(self.event));
        whole.insert("service".to_owned(), json!(self.service));
        whole.insert("version".to_owned(), json!(env!("CARGO_PKG_VERSION")));
        whole.extend(self.facts.clone());
        if self.event == "checked" {
            whole.insert("warnings".to_owned(), json!(self.warnings));
        }
        Value::Object(whole).to_string()
    }

    fn for_people(&self) -> String {
        let version = env!("CARGO_PKG_VERSION");
        let what = if self.event == "started" { "is running" } else { "would run" };
        let mut lines = vec![format!("chat4all-{} {version} {what}", self.service)];
        for (name, value) in &self.facts {
            lines.push(format!("  {name:<12} {}", plain(value)));
        }
        lines.extend(self.warnings.iter().map(|warning| format!("  warning: {warning}")));
        if self.event == "started" {
            lines.push("Ctrl-C drains and stops.".to_owned());
        }
        lines.join("\n")
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(map) => {
            let pairs = map.iter().map(|(name, value)| format!("{name} ({})", plain(value)));
            pairs.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}
