//! The shared broker: names of a case's own, and what only an operator does.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chat4all_eventlog::conformance::COMPACTED;
use chat4all_eventlog::kafka::KafkaSettings;
use chat4all_process::Random;
use chat4all_process::config::Bounded;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

const ANSWER: Duration = Duration::from_secs(30);

/// Where the broker is: an environment variable, or where `cargo xtask stack up` puts it.
pub fn address() -> String {
    std::env::var("CHAT4ALL_STACK_KAFKA").unwrap_or_else(|_| "127.0.0.1:19092".to_owned())
}

pub fn settings(queue_records: usize) -> KafkaSettings {
    let queue_records = serde_json::from_value(queue_records.into()).unwrap();
    KafkaSettings {
        bootstrap_servers: address(),
        queue_records,
        session_timeout_ms: Bounded::new(6_000),
        heartbeat_interval_ms: Bounded::new(300),
        ..KafkaSettings::default()
    }
}

/// A case's share of the broker.
pub struct Broker {
    prefix: String,
}

impl Broker {
    pub fn new() -> Self {
        static CASES: AtomicU32 = AtomicU32::new(0);
        let case = CASES.fetch_add(1, Ordering::Relaxed);
        let run = Random::system().next_u64();
        Self { prefix: format!("test-{run:016x}-{case}") }
    }

    pub fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// Removes, in every topic of this case, the records before the first one of `ms`.
    pub async fn delete_before(&self, ms: u64) {
        let prefix = self.prefix.clone();
        let offsets = tokio::task::spawn_blocking(move || first_at(&prefix, ms)).await.unwrap();
        let admin: AdminClient<DefaultClientContext> = config().create().unwrap();
        let deleted = admin.delete_records(&offsets, &AdminOptions::new()).await.unwrap();
        for element in deleted.elements() {
            element.error().unwrap();
        }
    }
}

fn config() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address());
    config
}

fn first_at(prefix: &str, ms: u64) -> TopicPartitionList {
    let client: BaseConsumer = config().create().unwrap();
    let metadata = client.fetch_metadata(None, ANSWER).unwrap();
    let mut times = TopicPartitionList::new();
    // A broker refuses to delete records of a compacted topic.
    let expires = |name: &str| name.starts_with(prefix) && !name.ends_with(COMPACTED);
    for topic in metadata.topics().iter().filter(|topic| expires(topic.name())) {
        for partition in topic.partitions() {
            let time = Offset::Offset(ms as i64);
            times.add_partition_offset(topic.name(), partition.id(), time).unwrap();
        }
    }
    client.offsets_for_times(times, ANSWER).unwrap()
}
