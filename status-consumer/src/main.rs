//! The status-consumer as an executable: a process of its own on Kafka and Cassandra. Knows
//! platforms by name only, for their dead letters.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use chat4all_contracts::Platforms;
use chat4all_eventlog::kafka::KafkaSettings;
use chat4all_eventlog::{TopicSpec, Topology};
use chat4all_process::{ConfigError, Failure};
use chat4all_service::settings::{LogSettings, PlatformSettings, TopicSettings};
use chat4all_service::{
    Assembled, Context, Prepared, Program, Sources, Trouble, platforms, topics,
};
use chat4all_status_consumer::{
    GROUP, SERVICE, StatusConsumer, StatusConsumerDeps, StatusConsumerSettings, TOPICS,
    letter_topics,
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
    platforms: BTreeMap<String, PlatformSettings>,
}

/// How long leaving the group may take, after the drain.
const LEAVING: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let section = |key: &str, what| (key.to_owned(), what);
    let program = Program {
        name: "chat4all-status-consumer",
        about: "Brings everything that became of a message into the store. Needs Kafka and \
                Cassandra (or ScyllaDB). Knows platforms by name only, for their dead letters."
            .to_owned(),
        sections: vec![
            section("status_consumer", "where its probes listen, and how much it writes at once"),
            section("cassandra", "the store"),
            section("kafka", "the brokers"),
            section("topics", "partitions and retention; the same in every service"),
            section("log", "max_record_bytes, the longest record"),
            section("platforms", "the platforms whose dead letters can be listed and redriven"),
        ],
        variables: Vec::new(),
        defaults: "",
    };
    chat4all_service::main(&program, prepare)
}

fn prepare(sources: &Sources<'_>) -> Result<Prepared, ConfigError> {
    let (settings, mut warnings) = sources.load::<Settings>()?;
    let Settings { status_consumer, cassandra, kafka, topics, log, platforms } = settings;
    cassandra.validate("cassandra")?;
    let platforms = if platforms.is_empty() {
        warnings.push(NO_PLATFORMS.to_owned());
        Platforms::default()
    } else {
        platforms::check(&platforms)?.platforms
    };
    let mut facts = Map::new();
    facts.insert("store".to_owned(), json!(cassandra.contact_points));
    facts.insert("group".to_owned(), json!(GROUP));
    Ok(Prepared {
        service: SERVICE,
        listen_key: "status_consumer.listen".to_owned(),
        listen: status_consumer.listen,
        kafka,
        max_record_bytes: log.max_record_bytes.count(),
        topics: needed(&topics.topology(), &platforms),
        dependencies: vec!["store"],
        drain_limit: status_consumer.drain_deadline_ms.ms() + LEAVING,
        facts,
        warnings,
        call_budget: None,
        assemble: Box::new(|context| {
            assemble(context, status_consumer, cassandra, Arc::new(platforms)).boxed()
        }),
    })
}

/// What it says to whoever gives it no platform.
const NO_PLATFORMS: &str = "there is no [platforms]: of what connectors give up only the status is \
                            known, and what they cannot read is not among the dead letters";

/// What it reads, and the dead letters of what it cannot read.
fn needed(topology: &Topology, platforms: &Platforms) -> Vec<TopicSpec> {
    let letters = letter_topics(platforms);
    let names: Vec<&str> = TOPICS.into_iter().chain(letters.iter().map(String::as_str)).collect();
    topics::only(topology, platforms, &names)
}

async fn assemble(
    context: Context,
    settings: StatusConsumerSettings,
    cassandra: CassandraSettings,
    platforms: Arc<Platforms>,
) -> Result<Assembled, Failure> {
    let store = context.reach("store", || connect(&cassandra, &context)).await?;
    let Context { log, clock, random, probes, .. } = context;
    let deps = StatusConsumerDeps { log, store, platforms, clock, random };
    let consumer = StatusConsumer::new(deps, settings);
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
