//! The bare clients of Kafka and Cassandra, with the same guarantees: acks=all, idempotent;
//! prepared statements at LOCAL_QUORUM.

use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;

use super::floor::Row;
use crate::Failure;
use crate::floor::make_topic;

const TOPIC: &str = "bench-api-floor";
const PARTITIONS: i32 = 6;
const TABLES: [&str; 2] = [
    "CREATE KEYSPACE IF NOT EXISTS bench_floor WITH replication = \
     {'class': 'SimpleStrategy', 'replication_factor': 1}",
    "CREATE TABLE IF NOT EXISTS bench_floor.pages (conversation text, at bigint, id text, \
     receiver text, content text, PRIMARY KEY (conversation, at, id)) \
     WITH CLUSTERING ORDER BY (at DESC, id DESC)",
];
const INSERT: &str = "INSERT INTO bench_floor.pages (conversation, at, id, receiver, content) \
     VALUES (?, ?, ?, ?, ?)";
const PAGE: &str = "SELECT at, id, receiver, content FROM bench_floor.pages \
     WHERE conversation = ? AND (at, id) < (?, ?) LIMIT ?";

pub(crate) struct Servers {
    producer: FutureProducer,
    session: Session,
    insert: PreparedStatement,
    page: PreparedStatement,
}

impl Servers {
    pub(crate) async fn connect(kafka: &str, cassandra: &str) -> Result<Self, Failure> {
        make_topic(kafka, TOPIC, PARTITIONS).await?;
        let producer = ClientConfig::new()
            .set("bootstrap.servers", kafka)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            .create()?;
        let session = SessionBuilder::new().known_node(cassandra).build().await?;
        for statement in TABLES {
            session.query_unpaged(statement, &[]).await?;
        }
        // The rows of an earlier run are not this one's.
        session.query_unpaged("TRUNCATE bench_floor.pages", &[]).await?;
        session.await_schema_agreement().await?;
        let mut insert = session.prepare(INSERT).await?;
        insert.set_consistency(Consistency::LocalQuorum);
        let mut page = session.prepare(PAGE).await?;
        page.set_consistency(Consistency::LocalQuorum);
        Ok(Self { producer, session, insert, page })
    }

    pub(crate) async fn append_and_insert(&self, row: Row) -> Result<(), Failure> {
        let record = serde_json::to_vec(&row)?;
        let hash = row
            .conversation_id
            .bytes()
            .fold(7_i32, |n, byte| n.wrapping_mul(31).wrapping_add(i32::from(byte)));
        let to = FutureRecord::to(TOPIC)
            .partition(hash.rem_euclid(PARTITIONS))
            .key(&row.conversation_id)
            .payload(&record);
        self.producer.send(to, Timeout::Never).await.map_err(|(error, _)| error)?;
        let Row { message_id, accepted_at, conversation_id, receiver_id, content } = &row;
        let values = (conversation_id, accepted_at, message_id, receiver_id, content);
        self.session.execute_unpaged(&self.insert, values).await?;
        Ok(())
    }

    pub(crate) async fn page(
        &self,
        conversation_id: String,
        (at, id): (i64, String),
        limit: usize,
    ) -> Result<Vec<Row>, Failure> {
        let values = (&conversation_id, at, id, i32::try_from(limit)?);
        let rows = self.session.execute_unpaged(&self.page, values).await?.into_rows_result()?;
        rows.rows::<(i64, String, String, String)>()?
            .map(|row| {
                let (accepted_at, message_id, receiver_id, content) = row?;
                let conversation_id = conversation_id.clone();
                Ok(Row { message_id, accepted_at, conversation_id, receiver_id, content })
            })
            .collect()
    }
}
