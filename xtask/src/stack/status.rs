//! What the servers do now: a table for people, JSON for programs.

use std::time::Duration;

use serde_json::{Value, json};

use super::server::{Server, shown};
use super::settings::Settings;
use crate::console::Console;
use crate::failure::Outcome;
use crate::process_record::{ProcessRecord, State};
use crate::time_of_day;
use crate::wait::spoken;

/// What is known of one server.
struct Report {
    server: Server,
    address: String,
    process: Option<ProcessRecord>,
    answers: bool,
    data: String,
}

/// Writes what every server does.
///
/// # Errors
/// If a record cannot be read, or the output not be written.
pub fn status(is_json: bool, settings: &Settings, console: &mut Console<'_>) -> Outcome {
    let mut reports = Vec::new();
    for server in Server::ALL {
        reports.push(look(server, settings)?);
    }
    if is_json || !console.out_is_terminal {
        let list: Vec<Value> = reports.iter().map(Report::json).collect();
        writeln!(console.out, "{:#}", Value::Array(list))?;
    } else {
        write!(console.out, "{}", table(&reports))?;
    }
    Ok(())
}

fn look(server: Server, settings: &Settings) -> Outcome<Report> {
    let place = server.place(settings);
    let process = place.process()?;
    let configured = server.address(settings);
    // A process that runs may have been started with other settings.
    let address = process.as_ref().and_then(|record| record.address.parse().ok());
    let address = address.unwrap_or(configured);
    let answers = process.is_some() && server.answers(address).is_ok();
    let data = shown(&place.data());
    Ok(Report { server, address: address.to_string(), process, answers, data })
}

impl Report {
    fn state(&self) -> &'static str {
        match self.process.as_ref().map(ProcessRecord::state) {
            Some(State::Running) => "running",
            Some(State::Stopped) => "frozen",
            Some(State::Gone) | None => "not running",
        }
    }

    fn json(&self) -> Value {
        let since = self.process.as_ref().and_then(ProcessRecord::started_at);
        json!({
            "server": self.server.name(),
            "version": self.server.artifacts().version,
            "state": self.state(),
            "pid": self.process.as_ref().map(|process| process.pid),
            "address": self.address,
            "answers": self.answers,
            "since": since.map(time_of_day::rfc3339),
            "data": self.data,
        })
    }

    fn row(&self) -> [String; 7] {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let age = self.process.as_ref().and_then(ProcessRecord::age);
        [
            self.server.name().to_owned(),
            self.state().to_owned(),
            or_none(self.process.as_ref().map(|process| process.pid.to_string())),
            self.address.clone(),
            if self.answers { "yes" } else { "no" }.to_owned(),
            or_none(age.map(|age| spoken(Duration::from_secs(age.as_secs())))),
            self.data.clone(),
        ]
    }
}

fn table(reports: &[Report]) -> String {
    let head = ["SERVER", "STATE", "PID", "ADDRESS", "ANSWERS", "UP FOR", "DATA"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(reports.iter().map(Report::row));
    let widths: Vec<usize> = (0..head.len())
        .map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0))
        .collect();
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(process: Option<ProcessRecord>) -> Report {
        Report {
            server: Server::Kafka,
            address: "127.0.0.1:19092".to_owned(),
            answers: process.is_some(),
            process,
            data: ".stack/kafka/data".to_owned(),
        }
    }

    #[test]
    fn a_running_server_is_reported_with_its_process_and_its_start() {
        let pid = std::process::id();
        let process = ProcessRecord::of(pid, "127.0.0.1:19092".to_owned()).unwrap();
        let value = report(Some(process)).json();
        assert_eq!((&value["state"], &value["pid"]), (&json!("running"), &json!(pid)));
        assert!(value["since"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn a_server_that_does_not_run_has_no_process_and_no_start() {
        let value = report(None).json();
        assert_eq!(value["state"], "not running");
        assert!(value["pid"].is_null() && value["since"].is_null());
        assert_eq!(value["answers"], false);
    }

    #[test]
    fn the_table_has_a_line_for_every_server_and_straight_columns() {
        let text = table(&[report(None), report(None)]);
        let columns: Vec<_> = text.lines().map(|line| line.find("127.0.0.1")).collect();
        assert_eq!(columns[1..], [Some(text.find("ADDRESS").unwrap()); 2]);
    }
}
