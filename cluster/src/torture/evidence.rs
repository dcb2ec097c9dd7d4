//! What is kept of a run, for whoever looks for the cause of a finding.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::net::SocketAddrV4;
use std::path::Path;

use chat4all_contracts::topic;
use chat4all_eventlog::kafka::{KafkaLog, KafkaSettings};
use chat4all_eventlog::{EventLog, Record, TopicPartition};
use serde_json::{Value, json};

use super::board::Board;
use super::deck::PLATFORMS;
use super::load::Chat;
use super::reported::Reported;
use super::schedule::Schedule;
use super::table::Report;
use super::verdict::Facts;
use crate::harness::Server;

/// So many records of a partition are looked through for those of messages with a finding.
const MOST_RECORDS: usize = 2_000_000;
/// The most messages whose records are kept.
const MOST_MESSAGES: usize = 200;

/// What will happen, a line each.
///
/// # Errors
/// If it cannot be written.
pub fn write_schedule(folder: &Path, schedule: &Schedule) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = BufWriter::new(File::create(folder.join("schedule.jsonl"))?);
    for (lane, step) in schedule.steps() {
        let mut line = step.act.to_json();
        line["at_ms"] = u64::try_from(step.at.as_millis()).unwrap_or(u64::MAX).into();
        line["lane"] = lane.to_string().into();
        writeln!(file, "{line}")?;
    }
    file.flush()
}

/// The result, for people and for programs.
///
/// # Errors
/// If it cannot be written.
pub fn write_report(folder: &Path, report: &Report) -> io::Result<()> {
    fs::write(folder.join("report.json"), format!("{:#}\n", report.to_json()))?;
    fs::write(folder.join("report.txt"), report.to_text())
}

/// What did not hold.
///
/// # Errors
/// If it cannot be written.
pub fn write_findings(folder: &Path, board: &Board) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(folder.join("findings.jsonl"))?);
    for finding in board.findings() {
        let (check, message, text) = (finding.check, finding.message, finding.text);
        writeln!(file, "{}", json!({ "check": check, "message": message, "text": text }))?;
    }
    file.flush()
}

/// The servers' logs of the run before are not this run's.
pub fn forget_logs(root: &Path) {
    for server in [Server::Kafka, Server::Cassandra] {
        // None is there at the first run.
        let _none = fs::remove_file(root.join("stack").join(server.name()).join("server.log"));
    }
}

/// Copies the servers' logs beside those of the services.
pub fn keep_logs(root: &Path, folder: &Path) {
    for server in [Server::Kafka, Server::Cassandra] {
        let from = root.join("stack").join(server.name()).join("server.log");
        // What cannot be copied is still where it was.
        let _missing =
            fs::copy(from, folder.join("processes").join(format!("{}.log", server.name())));
    }
}

/// Every message with everything that is known of it, and the records of those with a finding.
///
/// # Errors
/// If it cannot be written, or Kafka cannot be read.
pub async fn keep(
    folder: &Path,
    facts: &Facts,
    reported: &Reported,
    board: &Board,
    kafka: SocketAddrV4,
) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(folder.join("messages.jsonl"))?);
    for chat in &facts.chats {
        for (number, sent) in chat.sent.iter().enumerate() {
            writeln!(file, "{}", message(facts, reported, chat, number, &sent.id))?;
        }
    }
    file.flush()?;
    let ids = board.findings().into_iter().filter_map(|finding| finding.message);
    let ids: BTreeSet<String> = ids.take(MOST_MESSAGES).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let mut file = BufWriter::new(File::create(folder.join("records.jsonl"))?);
    for (id, records) in records(&ids, kafka).await.map_err(io::Error::other)? {
        for record in records {
            writeln!(file, "{}", json!({ "message": id, "record": record }))?;
        }
    }
    file.flush()
}

fn message(facts: &Facts, reported: &Reported, chat: &Chat, number: usize, id: &str) -> Value {
    let entry = facts.ledger.get(id).cloned().unwrap_or_default();
    let shown = facts.shown.get(id);
    let reports = reported.of(id);
    json!({
        "message": id, "conversation": chat.id, "number": number,
        "platform": chat.account.platform, "account": chat.account.name,
        "shown": shown.map(|it| json!({ "status": it.status.word(),
            "reason": it.reason.map(|reason| reason.word()),
            "possible_duplicate": it.possible_duplicate })),
        "reported": { "sent": reports.sent, "delivered": reports.delivered, "read": reports.read,
            "unknown": reports.unknown, "doubted": reports.doubted,
            "failed": reports.failed.map(|reason| reason.word()) },
        "platform_saw": { "calls": entry.attempts, "accepted": entry.accepted,
            "first_accepted": entry.first_accepted },
    })
}

/// Every record of these messages, in any topic of theirs.
async fn records(
    ids: &BTreeSet<String>,
    kafka: SocketAddrV4,
) -> Result<BTreeMap<String, Vec<Value>>, String> {
    let settings = KafkaSettings { bootstrap_servers: kafka.to_string(), ..Default::default() };
    let log = KafkaLog::new(&settings, "torture", 1 << 20).map_err(|error| error.to_string())?;
    let mut topics: Vec<String> =
        [topic::MESSAGES, topic::STATUS_UPDATES, topic::RECEIPTS].map(str::to_owned).into();
    for platform in PLATFORMS {
        topics.push(format!("{platform}-outbound"));
        topics.push(format!("{platform}-outbound-dead-letters"));
    }
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for topic in topics {
        // A topic of dead letters may not be there.
        let partitions = log.partitions(&topic).await.unwrap_or(0);
        for partition in 0..partitions {
            let at = TopicPartition::new(topic.as_str(), partition);
            let records = log.read(&at, 0, MOST_RECORDS).await;
            for record in records.map_err(|error| error.to_string())? {
                let Some(id) = id_of(&record).filter(|id| ids.contains(id)) else { continue };
                found.entry(id).or_default().push(shown(&at, &record));
            }
        }
    }
    Ok(found)
}

fn id_of(record: &Record) -> Option<String> {
    let value: Value = serde_json::from_slice(&record.value).ok()?;
    Some(value["message_id"].as_str()?.to_owned())
}

fn shown(at: &TopicPartition, record: &Record) -> Value {
    let value: Value = serde_json::from_slice(&record.value).unwrap_or_default();
    json!({ "topic": &*at.topic, "partition": at.partition, "offset": record.offset,
        "written_ms": record.timestamp.as_ms(), "value": value })
}
