//! The floor: what the work costs on the bare clients, with the same guarantees (acks=all,
//! idempotent; a prepared insert at LOCAL_QUORUM) and nothing around it.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::Message;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::{Failure, PATIENCE};

/// A record as long as a message's.
const RECORD: [u8; 350] = [b'.'; 350];
const FIRST: &str = "bench-first-hop";
const SECOND: &str = "bench-second-hop";

pub(crate) struct Floor {
    producer: FutureProducer,
    arrivals: mpsc::Receiver<()>,
    session: Session,
    insert: PreparedStatement,
    inserted: i64,
}

impl Floor {
    pub(crate) async fn new(kafka: &str, cassandra: &str) -> Result<Self, Failure> {
        make_topics(kafka).await?;
        let producer: FutureProducer = client(kafka)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            .create()?;
        let (first, second) = (consumer(kafka, FIRST)?, consumer(kafka, SECOND)?);
        let (arrived, arrivals) = mpsc::channel(100);
        let forward = producer.clone();
        tokio::spawn(async move {
            // Ends with the process; a hop that fails is missed by whoever waits for it.
            while let Ok(record) = first.recv().await {
                let payload = record.payload().unwrap_or_default().to_vec();
                let next = FutureRecord::<(), _>::to(SECOND).partition(0).payload(&payload);
                if forward.send(next, Timeout::Never).await.is_err() {
                    return;
                }
            }
        });
        tokio::spawn(async move {
            while second.recv().await.is_ok() {
                if arrived.send(()).await.is_err() {
                    return;
                }
            }
        });
        let session = SessionBuilder::new().known_node(cassandra).build().await?;
        let insert = prepare(&session).await?;
        let mut floor = Self { producer, arrivals, session, insert, inserted: 0 };
        floor.until_both_listen().await?;
        Ok(floor)
    }

    async fn append(&self, topic: &str) -> Result<(), Failure> {
        let record = FutureRecord::to(topic).partition(0).key("bench").payload(&RECORD[..]);
        self.producer.send(record, Timeout::Never).await.map_err(|(error, _)| error)?;
        Ok(())
    }

    /// The consumers begin at the end, so what is sent before they do is not theirs.
    async fn until_both_listen(&mut self) -> Result<(), Failure> {
        for _ in 0..100 {
            self.append(FIRST).await?;
            if timeout(Duration::from_millis(500), self.arrivals.recv()).await.is_ok() {
                // What was sent before the answer came may still be under way.
                while timeout(Duration::from_secs(1), self.arrivals.recv()).await.is_ok() {}
                return Ok(());
            }
        }
        Err("the bare consumers hear nothing".into())
    }

    /// What must happen before an answer: one append, one insert.
    pub(crate) async fn append_and_insert(&mut self) -> Result<Duration, Failure> {
        let before = Instant::now();
        self.append(SECOND_SINK).await?;
        self.inserted += 1;
        let text = "a message of forty characters, and a bit.";
        self.session
            .execute_unpaged(&self.insert, (self.inserted % 50, self.inserted, text))
            .await?;
        Ok(before.elapsed())
    }

    /// What must happen before a call: an append, received, appended, received.
    pub(crate) async fn two_hops(&mut self) -> Result<Duration, Failure> {
        let before = Instant::now();
        self.append(FIRST).await?;
        timeout(PATIENCE, self.arrivals.recv()).await?.ok_or("the bare consumers have ended")?;
        Ok(before.elapsed())
    }
}

/// Appended to by [`Floor::append_and_insert`]; nobody reads it.
const SECOND_SINK: &str = "bench-sink";

fn client(kafka: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka);
    config
}

/// Makes a topic, unless it is there.
pub(crate) async fn make_topic(kafka: &str, name: &str, partitions: i32) -> Result<(), Failure> {
    let admin: AdminClient<DefaultClientContext> = client(kafka).create()?;
    let new =
        NewTopic::new(name, partitions, TopicReplication::Fixed(1)).set("retention.ms", "3600000");
    // One that exists is what is wanted.
    let _results = admin.create_topics(&[new], &AdminOptions::new()).await?;
    Ok(())
}

async fn make_topics(kafka: &str) -> Result<(), Failure> {
    for name in [FIRST, SECOND, SECOND_SINK] {
        make_topic(kafka, name, 1).await?;
    }
    Ok(())
}

fn consumer(kafka: &str, topic: &str) -> Result<StreamConsumer, Failure> {
    let consumer: StreamConsumer = client(kafka)
        .set("group.id", format!("bench-{topic}"))
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "latest")
        .create()?;
    consumer.subscribe(&[topic])?;
    Ok(consumer)
}

async fn prepare(session: &Session) -> Result<PreparedStatement, Failure> {
    for statement in [
        "CREATE KEYSPACE IF NOT EXISTS bench_floor WITH replication = \
         {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TABLE IF NOT EXISTS bench_floor.messages \
         (conversation bigint, id bigint, content text, PRIMARY KEY (conversation, id))",
    ] {
        session.query_unpaged(statement, &[]).await?;
    }
    session.await_schema_agreement().await?;
    let insert = "INSERT INTO bench_floor.messages (conversation, id, content) VALUES (?, ?, ?)";
    let mut insert = session.prepare(insert).await?;
    insert.set_consistency(Consistency::LocalQuorum);
    Ok(insert)
}
