//! What several benchmarks are asked in the same words.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use serde_json::Value;

use crate::Failure;

/// Whom messages are for, unless somebody else is named.
pub(crate) const RECEIVER: &str = "whatsapp:+5511999990000";

/// The services that are measured, and for whom their messages are.
#[derive(clap::Args)]
pub(crate) struct Installation {
    /// The folder of the services' executables
    #[arg(long, default_value = "target/release", value_name = "FOLDER")]
    pub(crate) binaries: PathBuf,
    /// The configuration of the installation
    #[arg(long, default_value = "deploy/local.toml", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// To whom
    #[arg(long, default_value = RECEIVER)]
    pub(crate) receiver: String,
}

impl Installation {
    /// The name of the receiver's platform.
    pub(crate) fn platform(&self) -> &str {
        self.receiver.split(':').next().unwrap_or_default()
    }
}

/// Where Kafka is.
#[derive(clap::Args)]
pub(crate) struct Kafka {
    /// The brokers
    #[arg(long, env = "CHAT4ALL_STACK_KAFKA", default_value = "127.0.0.1:19092")]
    pub(crate) kafka: String,
}

/// Where Cassandra is.
#[derive(clap::Args)]
pub(crate) struct Cassandra {
    /// The database
    #[arg(long, env = "CHAT4ALL_STACK_CASSANDRA", default_value = "127.0.0.1:19042")]
    pub(crate) cassandra: String,
}

/// Where the figures go.
#[derive(clap::Args)]
pub(crate) struct Output {
    /// Also writes the figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Output {
    /// A table for people; JSON if the output is no terminal, and in the file that was named.
    pub(crate) fn show(&self, json: &Value, table: impl FnOnce() -> String) -> Result<(), Failure> {
        let mut out = std::io::stdout();
        let text = if out.is_terminal() { table() } else { json.to_string() };
        // Whoever started us need not be listening.
        let _closed = writeln!(out, "{text}");
        if let Some(path) = &self.json {
            std::fs::write(path, json.to_string() + "\n")?;
        }
        Ok(())
    }
}
