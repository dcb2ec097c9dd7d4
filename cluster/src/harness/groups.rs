//! What a consumer group has committed, asked as an operator's tool does: without joining it.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use chat4all_eventlog::TopicPartition;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use tokio::task::spawn_blocking;

use super::{Cluster, Role, eventually};

/// How long a broker may take for one answer; the question is repeated.
const ANSWER: Duration = Duration::from_secs(5);

/// A group and the topics that it reads.
pub struct Group {
    name: String,
    topics: Vec<String>,
    client: Arc<BaseConsumer>,
}

/// The last commit of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Which partition.
    pub at: TopicPartition,
    /// Everything before this is done,
    pub position: u64,
    /// and what this says.
    pub note: String,
}

impl Group {
    /// The group of a role that has one.
    pub fn of(cluster: &Cluster, role: Role) -> Option<Self> {
        Self::at(cluster.stack.kafka, role)
    }

    /// The group of a role that has one, at brokers.
    pub fn at(kafka: SocketAddrV4, role: Role) -> Option<Self> {
        let (name, topics) = role.group()?;
        Some(Self::new(kafka, &name, topics))
    }

    fn new(kafka: SocketAddrV4, name: &str, topics: Vec<String>) -> Self {
        let client = ClientConfig::new()
            .set("bootstrap.servers", kafka.to_string())
            .set("group.id", name)
            .create::<BaseConsumer>();
        let client = Arc::new(client.expect("a client"));
        Self { name: name.to_owned(), topics, client }
    }

    /// The last commits of every partition that has one.
    pub async fn committed(&self) -> Vec<Committed> {
        eventually(&format!("what {} has committed", self.name), async || {
            let (client, topics) = (self.client.clone(), self.topics.clone());
            spawn_blocking(move || ask(&client, &topics)).await.expect("an answer")
        })
        .await
    }

    /// Records that the group has done with.
    pub async fn done(&self) -> u64 {
        self.committed().await.iter().map(|committed| committed.position).sum()
    }

    /// Waits until more is done than before.
    pub async fn passes(&self, before: u64) {
        eventually(&format!("{} makes progress", self.name), async || {
            (self.done().await > before).then_some(())
        })
        .await;
    }
}

/// `None` if the brokers do not answer now.
fn ask(client: &BaseConsumer, topics: &[String]) -> Option<Vec<Committed>> {
    let mut list = TopicPartitionList::new();
    for topic in topics {
        let metadata = client.fetch_metadata(Some(topic), ANSWER).ok()?;
        let found = metadata.topics().iter().find(|found| found.name() == topic)?;
        for partition in found.partitions() {
            list.add_partition(topic, partition.id());
        }
    }
    let committed = client.committed_offsets(list, ANSWER).ok()?;
    let mut answer = Vec::new();
    for element in committed.elements() {
        element.error().ok()?;
        if let Offset::Offset(offset) = element.offset() {
            let partition = u32::try_from(element.partition()).expect("a partition");
            answer.push(Committed {
                at: TopicPartition::new(element.topic(), partition),
                position: u64::try_from(offset).expect("an offset"),
                note: element.metadata().to_owned(),
            });
        }
    }
    Some(answer)
}
