//! A process that is killed keeps what it acknowledged.
//!
//! The test starts its own binary again as a child that appends and commits until SIGKILL, and then
//! looks into the file that the child left.

// Helpers of tests are tests, which clippy sees only in functions marked as such.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chat4all_contracts::EpochMs;
use chat4all_eventlog::embedded::{EmbeddedLog, EmbeddedOptions};
use chat4all_eventlog::{
    Admission, Cleanup, Commit, Consumer, ConsumerEvent, EventLog, NewRecord, Patience, Placement,
    ProducerOptions, Subscription, TopicPartition, TopicSpec, append,
};
use chat4all_process::Clock;

const CHILD: &str = "child_that_appends_and_commits_until_it_is_killed";
const PATH: &str = "CHAT4ALL_TEST_LOG";
const ROUND: &str = "CHAT4ALL_TEST_ROUND";
const PARTITIONS: u32 = 2;
const APPENDERS: usize = 8;
const ROUNDS: usize = 3;
/// Lines of the child after which it is killed.
const LINES: usize = 2_000;

fn open(path: &Path) -> Arc<EmbeddedLog> {
    let options = EmbeddedOptions { free_space_floor_bytes: 0, ..EmbeddedOptions::default() };
    EmbeddedLog::open(path, options, Clock::system()).unwrap()
}

fn at(partition: u32) -> TopicPartition {
    TopicPartition::new("topic", partition)
}

async fn join(log: &EmbeddedLog) -> Arc<dyn Consumer> {
    let subscription = Subscription {
        group: "group".to_owned(),
        topics: vec!["topic".to_owned()],
        max_batch: 100,
        revoke_deadline: Duration::from_secs(1),
    };
    log.subscribe(subscription).await.unwrap()
}

/// One line in one write: a pipe takes it whole or not at all.
fn say(line: &str) {
    std::io::stdout().lock().write_all(format!("{line}\n").as_bytes()).unwrap();
}

async fn append_for_ever(log: Arc<EmbeddedLog>, round: String, appender: usize) {
    let options = ProducerOptions { patience: Patience::Forever, admission: Admission::Progress };
    let producer = log.producer(options);
    let partition = (appender as u32) % PARTITIONS;
    for n in 0.. {
        let value = format!("{round}:{appender}:{n}");
        let record = NewRecord {
            to: at(partition),
            key: Bytes::new(),
            value: Bytes::from(value.clone()),
            headers: Vec::new(),
            timestamp: EpochMs::saturating(1),
        };
        let position = append(&*producer, record).await.unwrap();
        say(&format!("acked {partition} {} {value}", position.offset));
    }
}

async fn commit_for_ever(log: Arc<EmbeddedLog>) {
    let consumer = join(&log).await;
    loop {
        if let ConsumerEvent::Records { epoch, records } = consumer.next().await.unwrap() {
            let (at, offset) = (records[0].at(), records[records.len() - 1].offset + 1);
            let commit = Commit { at: at.clone(), epoch, offset, note: offset.to_string() };
            assert!(consumer.commit(vec![commit]).await.unwrap().is_empty());
            say(&format!("committed {} {offset} -", at.partition));
        }
    }
}

/// Does nothing unless [`a_killed_process_keeps_what_it_acknowledged`] starts it.
#[tokio::test]
async fn child_that_appends_and_commits_until_it_is_killed() {
    let Some(path) = std::env::var_os(PATH) else { return };
    let round = std::env::var(ROUND).unwrap();
    let log = open(Path::new(&path));
    let retention = Duration::from_secs(1_000_000_000);
    let topic = TopicSpec {
        name: "topic".to_owned(),
        partitions: PARTITIONS,
        placement: Placement::ByKey,
        retention,
        cleanup: Cleanup::Delete,
    };
    log.ensure_topics(vec![topic]).await.unwrap();
    say("");
    for appender in 0..APPENDERS {
        tokio::spawn(append_for_ever(log.clone(), round.clone(), appender));
    }
    commit_for_ever(log).await;
}

#[derive(Default)]
struct Heard {
    acked: Vec<(u32, u64, String)>,
    committed: BTreeMap<u32, u64>,
}

impl Heard {
    fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let [what @ ("acked" | "committed"), partition, offset, value] = words[..] else { return };
        let (partition, offset) = (partition.parse().unwrap(), offset.parse().unwrap());
        if what == "acked" {
            self.acked.push((partition, offset, value.to_owned()));
        } else {
            self.committed.insert(partition, offset);
        }
    }
}

fn run_and_kill_child(path: &Path, round: usize, heard: &mut Heard) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--nocapture", "--test-threads=1"])
        .env(PATH, path)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.by_ref().take(LINES).for_each(|line| heard.line(&line.unwrap()));
    child.kill().unwrap();
    // Said before the kill, read after it.
    lines.for_each(|line| heard.line(&line.unwrap()));
    assert!(!child.wait().unwrap().success(), "the child ends by the kill only");
}

#[test]
fn a_killed_process_keeps_what_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let mut heard = Heard::default();
    for round in 0..ROUNDS {
        run_and_kill_child(&path, round, &mut heard);
    }
    assert!(heard.acked.len() > ROUNDS * LINES / 3, "{} acks", heard.acked.len());
    assert_eq!(heard.committed.len(), PARTITIONS as usize);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(check(open(&path), heard));
}

async fn check(log: Arc<EmbeddedLog>, heard: Heard) {
    let mut written = BTreeMap::new();
    for partition in 0..PARTITIONS {
        let mut next_of: BTreeMap<String, usize> = BTreeMap::new();
        for record in log.read(&at(partition), 0, usize::MAX).await.unwrap() {
            let value = String::from_utf8(record.value.to_vec()).unwrap();
            let (appender, n) = value.rsplit_once(':').unwrap();
            let next = next_of.entry(appender.to_owned()).or_default();
            assert_eq!(n, next.to_string(), "{appender} in order, without gaps");
            *next += 1;
            written.insert((partition, record.offset), value);
        }
    }
    for (partition, offset, value) in heard.acked {
        assert_eq!(written.get(&(partition, offset)), Some(&value), "acked, so it is there");
    }
    let consumer = join(&log).await;
    let ConsumerEvent::Assigned(assigned) = consumer.next().await.unwrap() else {
        panic!("assignments come first")
    };
    assert_eq!(assigned.len(), PARTITIONS as usize);
    for assignment in assigned {
        let committed = heard.committed[&assignment.at.partition];
        assert!(assignment.position >= committed, "what was committed stays committed");
        assert_eq!(assignment.note, Some(assignment.position.to_string()));
    }
}
