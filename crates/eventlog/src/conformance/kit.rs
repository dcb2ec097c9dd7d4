//! A log with one topic, and shorthands.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chat4all_contracts::EpochMs;
use tokio::time::timeout;

use super::member::Member;
use super::{Harness, NEW_MS, OLD_MS, PATIENCE, RETENTION, Setup};
use crate::{
    Admission, Cleanup, EventLog, NewRecord, Patience, Placement, Position, Producer,
    ProducerOptions, Record, Subscription, TopicPartition, TopicSpec, append,
};

pub(super) struct Scene<H> {
    pub(super) harness: H,
    pub(super) topic: Arc<str>,
}

pub(super) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen in {PATIENCE:?}"),
    }
}

pub(super) const GIVES_UP: ProducerOptions = ProducerOptions {
    patience: Patience::GiveUpAfter(Duration::from_secs(30)),
    admission: Admission::Progress,
};

pub(super) const PATIENT: ProducerOptions =
    ProducerOptions { patience: Patience::Forever, admission: Admission::Progress };

pub(super) fn text(record: &Record) -> &str {
    std::str::from_utf8(&record.value).unwrap()
}

pub(super) fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| text(record).to_owned()).collect()
}

/// `"0"`, `"1"`, …
pub(super) fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

impl<H: Harness> Scene<H> {
    /// A log whose one topic has so many partitions.
    pub(super) async fn new(partitions: u32) -> Self {
        Self::with(partitions, Setup::default()).await.expect("the default setup is required")
    }

    pub(super) async fn with(partitions: u32, setup: Setup) -> Option<Self> {
        let harness = H::open(setup).await?;
        let topic = harness.name("topic");
        let placement = Placement::ByKey;
        let spec = TopicSpec {
            name: topic.clone(),
            partitions,
            placement,
            retention: RETENTION,
            cleanup: Cleanup::Delete,
        };
        within("creating a topic", harness.log().ensure_topics(vec![spec])).await.unwrap();
        Some(Self { harness, topic: topic.into() })
    }

    pub(super) async fn reopen(self) -> Self {
        Self { harness: self.harness.reopen().await, topic: self.topic }
    }

    pub(super) fn log(&self) -> Arc<dyn EventLog> {
        self.harness.log()
    }

    pub(super) fn at(&self, partition: u32) -> TopicPartition {
        TopicPartition { topic: self.topic.clone(), partition }
    }

    pub(super) fn record(&self, partition: u32, value: impl Into<Bytes>) -> NewRecord {
        NewRecord {
            to: self.at(partition),
            key: Bytes::from_static(b"key"),
            value: value.into(),
            headers: Vec::new(),
            timestamp: EpochMs::saturating(NEW_MS),
        }
    }

    pub(super) fn old_record(&self, partition: u32, value: impl Into<Bytes>) -> NewRecord {
        NewRecord { timestamp: EpochMs::saturating(OLD_MS), ..self.record(partition, value) }
    }

    pub(super) fn producer(&self) -> Arc<dyn Producer> {
        self.log().producer(GIVES_UP)
    }

    /// Appends the texts, one after the other.
    pub(super) async fn write(&self, partition: u32, texts: &[String]) -> Vec<Position> {
        let records = texts.iter().map(|text| self.record(partition, text.clone()));
        self.append(records.collect()).await
    }

    pub(super) async fn write_old(&self, partition: u32, texts: &[String]) -> Vec<Position> {
        let records = texts.iter().map(|text| self.old_record(partition, text.clone()));
        self.append(records.collect()).await
    }

    async fn append(&self, records: Vec<NewRecord>) -> Vec<Position> {
        let producer = self.producer();
        let mut positions = Vec::new();
        for record in records {
            positions.push(within("an append", append(&*producer, record)).await.unwrap());
        }
        positions
    }

    /// Everything that a partition holds.
    pub(super) async fn read(&self, partition: u32) -> Vec<Record> {
        let (log, at) = (self.log(), self.at(partition));
        within("reading", log.read(&at, 0, 1_000_000)).await.unwrap()
    }

    pub(super) fn subscription(&self, group: &str) -> Subscription {
        Subscription {
            group: self.harness.name(group),
            topics: vec![self.topic.to_string()],
            max_batch: 100,
            revoke_deadline: Duration::from_secs(10),
        }
    }

    pub(super) async fn join(&self, group: &str) -> Member {
        self.subscribe(self.subscription(group)).await
    }

    pub(super) async fn subscribe(&self, to: Subscription) -> Member {
        let log = self.log();
        Member::new(within("joining", log.subscribe(to)).await.unwrap())
    }

    /// Joins, takes everything there is for the partitions, commits and leaves.
    pub(super) async fn consume_and_commit(&self, group: &str, records: usize) {
        let mut member = self.join(group).await;
        member.until(|member| member.records.len() == records).await;
        assert_eq!(member.commit_all("").await, []);
        member.close().await;
    }
}
