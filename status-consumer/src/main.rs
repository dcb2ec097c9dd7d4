//! The status-consumer as an executable: a process of its own on Kafka and Cassandra. Knows no
//! platform.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use chat4all_contracts::{Platforms, topic};
use chat4all_eventlog::kafka::KafkaSettings;
use chat4all_process::{ConfigError, Failure};
use chat4all_service::settings::{LogSettings, TopicSettings};
use chat4all_service::{Assembled, Context, Prepared, Program, Sources, Trouble, topics};
use chat4all_status_consumer::{
    GROUP, SERVICE, StatusConsumer, StatusConsumerDeps, StatusConsumerSettings,
};
use chat4all_store::cassandra::{CassandraSettings, CassandraStore, ConnectError};
use futures::FutureExt;
use serde::Deserialize;
use serde_json::{Map, json};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    status_consumer: StatusConsumerSettings,
    cassandra: CassandraSettings,
    kafka: KafkaSettings,
    topics: TopicSettings,
    log: LogSettings,
}

/// How long leaving the group may take, after the drain.
const LEAVING: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let section = |key: &str, what| (key.to_owned(), what);
    let program = Program {
        name: "chat4all-status-consumer",
        about: "Brings everything that became of a message into the store. Needs Kafka and \
                Cassandra (or ScyllaDB). Knows no platform."
            .to_owned(),
        sections: vec![
            section("status_consumer", "where its probes listen, and how much it writes at once"),
            section("cassandra", "the store"),
            section("kafka", "the brokers"),
            section("topics", "partitions and retention; the same in every service"),
            section("log", "max_record_bytes, the longest record"),
        ],
        variables: Vec::new(),
        defaults: "",
    };
    chat4all_service::main(&program, prepare)
}

fn prepare(sources: &Sources<'_>) -> Result<Prepared, ConfigError> {
    let (settings, warnings) = sources.load::<Settings>()?;
    let Settings { status_consumer, cassandra, kafka, topics, log } = settings;
    cassandra.validate("cassandra")?;
    let read = [topic::MESSAGES, topic::STATUS_UPDATES, topic::RECEIPTS];
    let mut facts = Map::new();
    facts.insert("store".to_owned(), json!(cassandra.contact_points));
    facts.insert("group".to_owned(), json!(GROUP));
    Ok(Prepared {
        service: SERVICE,
        listen_key: "status_consumer.listen".to_owned(),
        listen: status_consumer.listen,
        kafka,
        max_record_bytes: log.max_record_bytes.count(),
        topics: topics::with_dead_letters(&topics.topology(), &Platforms::default(), &read),
        dependencies: vec!["store"],
        drain_limit: status_consumer.drain_deadline_ms.ms() + LEAVING,
        facts,
        warnings,
        assemble: Box::new(|context| assemble(context, status_consumer, cassandra).boxed()),
    })
}

async fn assemble(
    context: Context,
    settings: StatusConsumerSettings,
    cassandra: CassandraSettings,
) -> Result<Assembled, Failure> {
    let store = context.reach("store", || connect(&cassandra, &context)).await?;
    let Context { log, clock, random, probes, .. } = context;
    let consumer = StatusConsumer::new(StatusConsumerDeps { log, store, clock, random }, settings);
    let router = consumer.http(probes);
    let run =
        |shutdown| consumer.run(shutdown).map(|end| end.map_err(|error| error.to_string())).boxed();
    Ok(Assembled { router, run: Box::new(run) })
}

async fn connect(
    settings: &CassandraSettings,
    context: &Context,
) -> Result<Arc<CassandraStore>, Trouble> {
    let connected =
        CassandraStore::connect(settings, context.clock.clone(), context.random.fork()).await;
    connected.map_err(|error| match error {
        ConnectError::Away(_) => Trouble::Later(error.to_string()),
        ConnectError::Configuration(error) => Trouble::Never(error.into()),
    })
}
