//! The API as an executable: a process of its own on Kafka and Cassandra. Knows platforms as data
//! only.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use chat4all_api::{Api, ApiDeps, ApiSettings};
use chat4all_contracts::{PlatformName, Platforms, topic};
use chat4all_eventlog::kafka::KafkaSettings;
use chat4all_process::{ConfigError, Failure, Shutdown};
use chat4all_service::settings::{LogSettings, PlatformSettings, TopicSettings};
use chat4all_service::{
    Assembled, Context, Prepared, Program, Sources, Trouble, platforms, topics,
};
use chat4all_store::cassandra::{CassandraSettings, CassandraStore, ConnectError};
use futures::FutureExt;
use serde::Deserialize;
use serde_json::{Map, json};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    api: ApiSettings,
    cassandra: CassandraSettings,
    kafka: KafkaSettings,
    topics: TopicSettings,
    log: LogSettings,
    platforms: BTreeMap<String, PlatformSettings>,
}

fn main() -> ExitCode {
    let section = |key: &str, what| (key.to_owned(), what);
    let program = Program {
        name: "chat4all-api",
        about: "HTTP in: accepts a message, appends it to the log, answers; tells what became of \
                it. Needs Kafka and Cassandra (or ScyllaDB). Knows no platform's API."
            .to_owned(),
        sections: vec![
            section("api", "where it listens, timeouts, limits"),
            section("platforms", "every platform's accounts and recipients' grammar; required"),
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

/// Nothing is drained but what is being answered.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);

/// What the API is made of, but for what the process gives it.
struct Parts {
    settings: ApiSettings,
    cassandra: CassandraSettings,
    platforms: Arc<Platforms>,
    simulated: BTreeSet<PlatformName>,
    messages_partitions: u32,
}

fn prepare(sources: &Sources<'_>) -> Result<Prepared, ConfigError> {
    let (settings, mut warnings) = sources.load::<Settings>()?;
    let Settings { api, cassandra, kafka, topics, log, platforms } = settings;
    cassandra.validate("cassandra")?;
    let checked = platforms::check(&platforms)?;
    warnings.extend(checked.warnings);
    let topology = topics.topology();
    let names = |names: &mut dyn Iterator<Item = &PlatformName>| {
        json!(names.map(PlatformName::as_str).collect::<Vec<_>>())
    };
    let mut facts = Map::new();
    facts.insert("store".to_owned(), json!(cassandra.contact_points));
    facts.insert("platforms".to_owned(), names(&mut checked.platforms.0.keys()));
    facts.insert("simulated".to_owned(), names(&mut checked.simulated.iter()));
    let listen = api.listen;
    let parts = Parts {
        settings: api,
        cassandra,
        platforms: Arc::new(checked.platforms),
        simulated: checked.simulated,
        messages_partitions: topology.messages,
    };
    Ok(Prepared {
        service: "api",
        listen_key: "api.listen".to_owned(),
        listen,
        kafka,
        max_record_bytes: log.max_record_bytes.count(),
        topics: topics::only(&topology, &parts.platforms, &[topic::MESSAGES, topic::ACCOUNTS]),
        dependencies: vec!["store"],
        drain_limit: DRAIN_LIMIT,
        facts,
        warnings,
        call_budget: None,
        assemble: Box::new(|context| parts.assemble(context).boxed()),
    })
}

impl Parts {
    async fn assemble(self, context: Context) -> Result<Assembled, Failure> {
        let Self { settings, cassandra, platforms, simulated, messages_partitions } = self;
        let store = context.reach("store", || connect(&cassandra, &context)).await?;
        let Context { log, clock, random, probes, stopping, .. } = context;
        let deps = ApiDeps {
            log,
            store,
            platforms,
            simulated,
            clock,
            random,
            probes,
            messages_partitions,
            stopping,
        };
        let api = Api::new(deps, settings);
        let router = api.router();
        // The port is nearly all of it: requests under way end while the port is closed.
        let run = |shutdown: Shutdown| api.run(shutdown).map(Ok).boxed();
        Ok(Assembled { router, run: Box::new(run) })
    }
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
