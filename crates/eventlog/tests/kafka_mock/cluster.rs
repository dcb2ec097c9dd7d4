//! A cluster in this process, with one topic of one partition, and a member of a group on it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chat4all_contracts::EpochMs;
use chat4all_eventlog::kafka::{KafkaLog, KafkaSettings};
use chat4all_eventlog::{
    Admission, Commit, CommitError, Consumer, ConsumerEvent, Epoch, EventLog, LogError, NewRecord,
    Patience, ProducerOptions, Record, Subscription, TopicPartition, append,
};
use chat4all_process::config::Bounded;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use tokio::time::timeout;

pub const TOPIC: &str = "topic";
pub const GROUP: &str = "group";
pub const PATIENT: ProducerOptions =
    ProducerOptions { patience: Patience::Forever, admission: Admission::Progress };

/// Only bounds a failure.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn at() -> TopicPartition {
    TopicPartition::new(TOPIC, 0)
}

/// `"0"`, `"1"`, …
pub fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|n| n.to_string()).collect()
}

pub struct Cluster {
    pub mock: MockCluster<'static, DefaultProducerContext>,
    log: Arc<KafkaLog>,
}

impl Cluster {
    pub fn new(brokers: i32) -> Self {
        let mock = MockCluster::new(brokers).unwrap();
        mock.create_topic(TOPIC, 1, 1).unwrap();
        let settings = KafkaSettings {
            bootstrap_servers: mock.bootstrap_servers(),
            session_timeout_ms: Bounded::new(6_000),
            heartbeat_interval_ms: Bounded::new(200),
            ..KafkaSettings::default()
        };
        let log = KafkaLog::new(&settings, "test", 1 << 20).unwrap();
        Self { mock, log }
    }

    pub fn log(&self) -> &dyn EventLog {
        &*self.log
    }

    /// The next requests of this kind are answered so.
    pub fn errors(&self, request: RDKafkaApiKey, errors: &[RDKafkaRespErr]) {
        self.mock.request_errors(request, errors);
    }

    pub fn record(&self, n: usize) -> NewRecord {
        NewRecord {
            to: at(),
            key: Bytes::from_static(b"key"),
            value: n.to_string().into(),
            headers: Vec::new(),
            timestamp: EpochMs::saturating(1_700_000_000_000),
        }
    }

    /// Appends `0..count`.
    pub async fn append(&self, count: usize) {
        let producer = self.log.producer(PATIENT);
        for n in 0..count {
            append(&*producer, self.record(n)).await.unwrap();
        }
    }

    /// The first `count` values of the log.
    pub async fn values(&self, count: usize) -> Vec<String> {
        let read = timeout(PATIENCE, self.log.read(&at(), 0, count)).await.unwrap().unwrap();
        read.iter().map(text).collect()
    }

    pub async fn join(&self) -> Member {
        let subscription = Subscription {
            group: GROUP.to_owned(),
            topics: vec![TOPIC.to_owned()],
            max_batch: 100,
            revoke_deadline: Duration::from_secs(1),
        };
        let consumer = self.log.subscribe(subscription).await.unwrap();
        Member { consumer, epoch: None, received: Vec::new() }
    }
}

pub fn text(record: &Record) -> String {
    String::from_utf8(record.value.to_vec()).unwrap()
}

pub struct Member {
    consumer: Arc<dyn Consumer>,
    epoch: Option<Epoch>,
    received: Vec<Record>,
}

impl Member {
    async fn until(&mut self, done: impl Fn(&Member) -> bool) {
        while !done(self) {
            match timeout(PATIENCE, self.consumer.next()).await.unwrap().unwrap() {
                ConsumerEvent::Assigned(assigned) => self.epoch = Some(assigned[0].epoch),
                ConsumerEvent::Revoked(_) => self.epoch = None,
                ConsumerEvent::Records { records, .. } => self.received.extend(records),
                ConsumerEvent::Stopped { why, .. } => panic!("stopped: {why}"),
            }
        }
    }

    pub async fn until_received(&mut self, count: usize) {
        self.until(|member| member.received.len() >= count).await;
    }

    /// Until the partition has been lost and is ours under another epoch.
    pub async fn until_assigned_again(&mut self) {
        let before = self.epoch;
        self.until(|member| member.epoch.is_some() && member.epoch != before).await;
    }

    pub fn values(&self) -> Vec<String> {
        self.received.iter().map(text).collect()
    }

    pub async fn commit(&self, offset: u64, note: &str) -> Result<Vec<CommitError>, LogError> {
        let epoch = self.epoch.unwrap();
        let commit = Commit { at: at(), epoch, offset, note: note.to_owned() };
        timeout(PATIENCE, self.consumer.commit(vec![commit])).await.unwrap()
    }

    /// Repeats a commit as its callers do, until it is stored.
    pub async fn until_committed(&self, offset: u64) {
        let mut interval = tokio::time::interval(Duration::from_millis(100));
        for _ in 0..100 {
            interval.tick().await;
            match self.commit(offset, "").await {
                Ok(refused) if refused.is_empty() => return,
                Ok(refused) => panic!("refused: {refused:?}"),
                Err(LogError::Unavailable(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        panic!("a commit failed 100 times");
    }
}
