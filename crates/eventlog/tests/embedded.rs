//! The log in a file passes the suite.

// Helpers of tests are tests, which clippy sees only in functions marked as such.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chat4all_contracts::EpochMs;
use chat4all_eventlog::conformance::{Harness, Setup, Space, expire_at};
use chat4all_eventlog::embedded::{EmbeddedLog, EmbeddedOptions};
use chat4all_eventlog::{
    Admission, Cleanup, EventLog, LogError, NewRecord, Patience, Placement, ProducerOptions,
    TopicPartition, TopicSpec, append, eventlog_conformance,
};
use chat4all_process::Clock;
use chat4all_sqlite::rusqlite::Connection;
use tempfile::TempDir;

struct InAFile {
    folder: TempDir,
    options: EmbeddedOptions,
    log: Arc<EmbeddedLog>,
}

fn open(path: PathBuf, options: &EmbeddedOptions) -> Arc<EmbeddedLog> {
    EmbeddedLog::open(&path, options.clone(), Clock::system()).unwrap()
}

impl Harness for InAFile {
    async fn open(setup: Setup) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = EmbeddedOptions {
            max_record_bytes: setup.max_record_bytes,
            queue_records: setup.queue_records,
            max_pages: (setup.room == Space::Little).then_some(512),
            free_space_floor_bytes: if setup.room == Space::UnderTheFloor { u64::MAX } else { 0 },
            ..EmbeddedOptions::default()
        };
        let log = open(folder.path().join("log.db"), &options);
        Some(Self { folder, options, log })
    }

    fn log(&self) -> Arc<dyn EventLog> {
        self.log.clone()
    }

    async fn reopen(self) -> Self {
        let Self { folder, options, log } = self;
        drop(log);
        let log = open(folder.path().join("log.db"), &options);
        Self { folder, options, log }
    }

    async fn expire(&self) {
        self.log.retain_once(expire_at()).await.unwrap();
    }
}

eventlog_conformance!(InAFile);

/// A log whose one topic keeps records for ever, and a record for it.
async fn log_and_record(folder: &TempDir) -> (Arc<EmbeddedLog>, NewRecord) {
    let options = EmbeddedOptions { free_space_floor_bytes: 0, ..EmbeddedOptions::default() };
    let log = open(folder.path().join("log.db"), &options);
    let retention = Duration::from_secs(u64::MAX);
    let topic = TopicSpec {
        name: "topic".to_owned(),
        partitions: 1,
        placement: Placement::ByKey,
        retention,
        cleanup: Cleanup::Delete,
    };
    log.ensure_topics(vec![topic]).await.unwrap();
    let record = NewRecord {
        to: TopicPartition::new("topic", 0),
        key: Bytes::new(),
        value: Bytes::from_static(b"value"),
        headers: Vec::new(),
        timestamp: EpochMs::saturating(1),
    };
    (log, record)
}

#[tokio::test]
async fn a_patient_producer_outlasts_any_trouble_of_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let (log, record) = log_and_record(&folder).await;
    let numbered = |n: u8| NewRecord { value: Bytes::from(vec![n]), ..record.clone() };
    let other = Connection::open(folder.path().join("log.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let patience = Patience::Forever;
    let patient = log.producer(ProducerOptions { patience, admission: Admission::Progress });
    let acks: Vec<_> = (0..10).map(|n| patient.enqueue(numbered(n)).unwrap()).collect();
    let patience = Patience::GiveUpAfter(Duration::from_millis(50));
    let hasty = log.producer(ProducerOptions { patience, admission: Admission::Progress });
    let error = append(&*hasty, record).await.unwrap_err();
    assert!(error.is_in_doubt(), "{error}");
    other.execute_batch("COMMIT").unwrap();
    for ack in acks {
        ack.await.unwrap();
    }
    let read = log.read(&TopicPartition::new("topic", 0), 0, 100).await.unwrap();
    let values: Vec<u8> = read.iter().map(|record| record.value[0]).filter(|n| *n < 10).collect();
    assert_eq!(values, (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn retention_never_removes_what_is_to_be_kept_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let (log, record) = log_and_record(&folder).await;
    let patience = Patience::Forever;
    let producer = log.producer(ProducerOptions { patience, admission: Admission::NewWork });
    append(&*producer, record).await.unwrap();
    assert_eq!(log.retain_once(EpochMs::MAX).await, Ok(0));
}

#[tokio::test]
async fn a_file_that_is_no_log_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    std::fs::write(
        &path,
        "not a database, and longer than a header of one hundred bytes ".repeat(9),
    )
    .unwrap();
    let error = EmbeddedLog::open(&path, EmbeddedOptions::default(), Clock::system()).err();
    assert!(matches!(error, Some(LogError::Unavailable(_))), "{error:?}");
}

mod on_several_threads {
    use super::*;
    eventlog_conformance!(InAFile, tokio::test(flavor = "multi_thread", worker_threads = 2));
}

#[tokio::test]
async fn a_log_below_its_floor_is_not_ready() {
    let folder = TempDir::new().unwrap();
    let clock = Clock::system();
    for (floor, ready) in [(0, true), (u64::MAX, false)] {
        let options =
            EmbeddedOptions { free_space_floor_bytes: floor, ..EmbeddedOptions::default() };
        let path = folder.path().join(format!("{ready}.db"));
        let log = EmbeddedLog::open(&path, options, clock.clone()).unwrap();
        assert_eq!(log.check().await.is_ok(), ready, "floor {floor}");
    }
}

#[tokio::test]
async fn what_a_newer_record_of_its_key_replaced_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (log, record) = log_and_record(&folder).await;
    let topic = TopicSpec {
        name: "compacted".to_owned(),
        partitions: 1,
        placement: Placement::ByKey,
        retention: Duration::from_secs(1),
        cleanup: Cleanup::Compact,
    };
    log.ensure_topics(vec![topic]).await.unwrap();
    let at = TopicPartition::new("compacted", 0);
    let patience = Patience::Forever;
    let producer = log.producer(ProducerOptions { patience, admission: Admission::Progress });
    let numbered = |n: u32| {
        let key = Bytes::from((n % 7).to_string());
        NewRecord { to: at.clone(), key, value: n.to_string().into(), ..record.clone() }
    };
    let acks: Vec<_> = (0..2_500).map(|n| producer.enqueue(numbered(n)).unwrap()).collect();
    for ack in acks {
        ack.await.unwrap();
    }
    assert_eq!(log.retain_once(EpochMs::MAX).await, Ok(2_493));
    assert_eq!(log.retain_once(EpochMs::MAX).await, Ok(0));
    let left = log.read(&at, 0, 100).await.unwrap();
    let offsets: Vec<u64> = left.iter().map(|record| record.offset).collect();
    assert_eq!(offsets, (2_493..2_500).collect::<Vec<_>>());
}
