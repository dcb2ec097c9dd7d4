//! A line of a service's log for people: services write JSON, because what they write to is no
//! terminal.

use serde_json::{Map, Value};

/// What every line of a log has, in an order of its own.
const HEAD: [&str; 4] = ["timestamp", "level", "message", "target"];

/// `13:50:00.123 WARN  what happened key=value …`; a line that is no JSON stays as it is.
pub fn plain(line: &str) -> String {
    match serde_json::from_str::<Value>(line) {
        Ok(Value::Object(fields)) if fields.contains_key("message") => log_line(&fields),
        Ok(Value::Object(fields)) if fields.contains_key("event") => {
            let event = text(&fields["event"]);
            format!("{event}{}", rest(&fields, &["event", "service", "version"]))
        }
        _ => line.to_owned(),
    }
}

fn log_line(fields: &Map<String, Value>) -> String {
    let field = |name| fields.get(name).map(text).unwrap_or_default();
    // Of 2026-11-25T13:50:00.123456Z, the time of the day in milliseconds.
    let timestamp = field("timestamp");
    let time = timestamp.get(11..23).unwrap_or(&timestamp);
    format!("{time} {:<5} {}{}", field("level"), field("message"), rest(fields, &HEAD))
}

fn rest(fields: &Map<String, Value>, without: &[&str]) -> String {
    let others = fields.iter().filter(|(name, _)| !without.contains(&name.as_str()));
    others.map(|(name, value)| format!(" {name}={}", text(value))).collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_log_shows_time_level_message_and_fields() {
        let line = concat!(
            r#"{"timestamp":"2026-11-25T15:37:10.740860Z","level":"INFO","message":"ready","#,
            r#""listen":"127.0.0.1:8090","nodes":1,"target":"chat4all_simulator"}"#,
        );
        assert_eq!(plain(line), "15:37:10.740 INFO  ready listen=127.0.0.1:8090 nodes=1");
    }

    #[test]
    fn what_a_service_says_at_its_start_shows_its_facts() {
        let line =
            r#"{"accounts":["a","b"],"endpoint":"http://x","event":"started","service":"c"}"#;
        assert_eq!(plain(line), "started accounts=a,b endpoint=http://x");
    }

    #[test]
    fn other_lines_stay_as_they_are() {
        for line in ["", "thread panicked", "{\"a\": 1}", "[1]", "{broken"] {
            assert_eq!(plain(line), line);
        }
    }

    #[test]
    fn a_strange_time_is_shown_whole() {
        assert_eq!(plain(r#"{"timestamp":"now","message":"m"}"#), "now       m");
    }
}
