//! What a killed process leaves behind: which calls it had under way, and what it had finished
//! without a commit. Reads copies of the files, so that the successor finds what was left.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use chat4all_contracts::Message;
use chat4all_eventlog::embedded::{EmbeddedLog, EmbeddedOptions};
use chat4all_eventlog::tracker::{OffsetTracker, Received};
use chat4all_eventlog::{
    Assignment, ConsumerEvent, EventLog, Record, Subscription, TopicPartition,
};
use chat4all_process::Clock;
use chat4all_sqlite::rusqlite::Connection;
use serde_json::Value;

use super::Installation;

/// Messages that a platform has accepted and whose end was not committed: the successor sends
/// them again.
#[derive(Debug)]
pub struct Autopsy {
    /// No status of theirs is in the log: their calls were under way.
    pub in_flight: usize,
    /// Their status is in the log: they were completed after the last commit.
    pub uncommitted: usize,
    /// Milliseconds between the first and the last of these completions.
    pub uncommitted_ms: u64,
}

impl Autopsy {
    /// The most duplicates that this kill can cause.
    pub fn repeatable(&self) -> u64 {
        (self.in_flight + self.uncommitted) as u64
    }
}

/// Examines the data folder of an installation of which nothing runs.
pub async fn autopsy(installation: &Installation) -> Autopsy {
    let copies = tempfile::tempdir().expect("a folder");
    for file in fs::read_dir(installation.data()).expect("the data folder").flatten() {
        fs::copy(file.path(), copies.path().join(file.file_name())).expect("a copy");
    }
    let at = |name: &str| copies.path().join(name);
    let log = EmbeddedLog::open(&at("log.db"), EmbeddedOptions::default(), Clock::system());
    let log = log.expect("the log opens after a kill");
    let completed = completions(&log).await;
    let accepted = accepted(&at("simulator.db"));
    let (mut in_flight, mut times) = (0, Vec::new());
    for platform in ["whatsapp", "instagram"] {
        for id in uncommitted(&log, platform).await.intersection(&accepted) {
            match completed.get(id) {
                Some(at_ms) => times.push(*at_ms),
                None => in_flight += 1,
            }
        }
    }
    let span = times.iter().max().zip(times.iter().min());
    let uncommitted_ms = span.map_or(0, |(last, first)| last - first);
    Autopsy { in_flight, uncommitted: times.len(), uncommitted_ms }
}

async fn read_all(log: &EmbeddedLog, at: &TopicPartition, from: u64) -> Vec<Record> {
    log.read(at, from, 1_000_000).await.expect("the log can be read")
}

/// When the connectors wrote the first status of each message.
async fn completions(log: &EmbeddedLog) -> BTreeMap<String, u64> {
    let mut completed = BTreeMap::new();
    for partition in 0..log.partitions("status-updates").await.expect("the topic") {
        for record in read_all(log, &TopicPartition::new("status-updates", partition), 0).await {
            let status: Value = serde_json::from_slice(&record.value).expect("JSON");
            let id = status["message_id"].as_str().expect("an id").to_owned();
            completed.entry(id).or_insert(record.timestamp.as_ms());
        }
    }
    completed
}

/// The messages that a platform's connector has not committed as done.
async fn uncommitted(log: &EmbeddedLog, platform: &str) -> BTreeSet<String> {
    let subscription = Subscription {
        group: format!("{platform}-connector-group"),
        topics: vec![format!("{platform}-outbound")],
        max_batch: 1,
        revoke_deadline: std::time::Duration::from_secs(1),
    };
    let consumer = log.subscribe(subscription).await.expect("the topic");
    let ConsumerEvent::Assigned(assignments) = consumer.next().await.expect("an event") else {
        panic!("an assignment comes first");
    };
    let mut open = BTreeSet::new();
    for Assignment { at, position, note, end, .. } in assignments {
        let (mut tracker, unusable) = OffsetTracker::resume(position, note.as_deref(), end);
        assert_eq!(unusable, None, "the note of the last commit can be used");
        for record in read_all(log, &at, position).await {
            if tracker.receive(record.offset, record.timestamp) == Received::New {
                let message = Message::parse(&record.value, record.timestamp).expect("a message");
                open.insert(message.message_id.as_str().to_owned());
            }
        }
    }
    open
}

/// The messages that the platforms have accepted.
fn accepted(ledger: &Path) -> BTreeSet<String> {
    let ledger = Connection::open(ledger).expect("the ledger opens");
    let select = "SELECT message FROM messages WHERE accepted > 0";
    let mut statement = ledger.prepare(select).expect("the ledger's table");
    let rows = statement.query_map([], |row| row.get(0)).expect("its rows");
    rows.collect::<Result<_, _>>().expect("their ids")
}
