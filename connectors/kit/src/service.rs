//! A connector as a process of its own: it reads its own platform's sections, and no others.
//!
//! The router and the API take the platform's data from the same file; a connector that runs on
//! its defaults alone says so, because the others would not know of it.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use chat4all_contracts::{AccountName, PlatformName, PlatformSpec, Platforms, topic};
use chat4all_eventlog::kafka::KafkaSettings;
use chat4all_eventlog::{TopicSpec, Topology};
use chat4all_process::ConfigError;
use chat4all_process::config::Bounded;
use chat4all_process::config::plain::PlainVariable;
use chat4all_process::http_client::HttpClient;
use chat4all_service::settings::{LogSettings, PlatformSettings, TopicSettings};
use chat4all_service::{Assembled, Context, Prepared, Program, Sources, platforms, topics};
use futures::FutureExt;
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, json};

use crate::platform::{Entry, Platform, SimulatedBy};
use crate::settings::{ASSUMED_ROUTER_MAX_IN_HAND, ConnectorSettings, KitSettings, Source};
use crate::{Connector, ConnectorDeps};

/// A connector's life is thousands of short-lived buffers, on many threads: the system's allocator
/// takes a quarter of its CPU, this one a third of that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Where the simulator is if nothing else is said.
const SIMULATOR: &str = "http://127.0.0.1:8090";

/// Records are gathered for so long, unless the configuration says otherwise: a platform's call takes
/// ten times as long, and a fetch and an append for each message would be half of what it costs.
const GATHER_MS: Bounded<0, 1_000> = Bounded::new(16);

/// How long publishing, committing and leaving the group may take after the last call: 15 s of a
/// call, these, and the last answers fit into the 30 s that orchestrators give.
const LEAVING: Duration = Duration::from_secs(8);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    kafka: KafkaSettings,
    #[serde(default)]
    topics: TopicSettings,
    #[serde(default)]
    log: LogSettings,
    #[serde(default)]
    simulation: Simulation,
    #[serde(default)]
    router: Router,
    platforms: BTreeMap<String, PlatformSettings>,
    connectors: BTreeMap<String, ConnectorSettings>,
}

/// Of `[simulation]`, what its callers must know.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Simulation {
    url: String,
    shared_secret: SecretString,
    /// The simulator's own.
    #[serde(rename = "simulator")]
    _simulator: IgnoredAny,
}

impl Default for Simulation {
    fn default() -> Self {
        let shared_secret = SecretString::from("simulated");
        Self { url: SIMULATOR.to_owned(), shared_secret, _simulator: IgnoredAny }
    }
}

/// Of `[router]`, what a connector must be able to bear.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Router {
    max_in_hand: Option<u64>,
}

/// The connector's executable.
pub fn main(entry: Entry) -> ExitCode {
    let platform = entry.name;
    // Both live as long as the process.
    let name = Box::leak(format!("chat4all-connector-{platform}").into_boxed_str());
    let key = |section: &str| format!("{section}.{platform}");
    let program = Program {
        name,
        about: format!(
            "Delivers messages to {platform}, publishes what becomes of them, and takes the \
             platform's webhook. Needs Kafka. Knows no other platform and no store."
        ),
        sections: vec![
            (key("connectors"), "where it listens, topic, group_id, credentials (api), policy"),
            (key("platforms"), "the platform's accounts and their partitions; simulated"),
            ("kafka".to_owned(), "the brokers"),
            ("topics".to_owned(), "partitions and retention; the same in every service"),
            ("log".to_owned(), "max_record_bytes, the longest record"),
            ("router.max_in_hand".to_owned(), "the router's, which its dedupe_window must cover"),
            ("simulation".to_owned(), "url and shared_secret, if the platform is simulated"),
        ],
        variables: vec![
            PlainVariable::new("KAFKA_TOPIC", &format!("connectors.{platform}.topic")),
            PlainVariable::new("KAFKA_GROUP_ID", &format!("connectors.{platform}.group_id")),
        ],
        defaults: entry.defaults,
    };
    chat4all_service::main(&program, |sources| prepare(entry, name, sources))
}

fn prepare(
    entry: Entry,
    executable: &'static str,
    sources: &Sources<'_>,
) -> Result<Prepared, ConfigError> {
    let (settings, mut warnings) = sources.load::<Settings>()?;
    let Settings { mut kafka, topics, log, simulation, router, platforms, connectors } = settings;
    kafka.gather_ms.get_or_insert(GATHER_MS);
    let checked = platforms::check(&platforms)?;
    warnings.extend(checked.warnings);
    let (section, key) =
        (format!("platforms.{}", entry.name), format!("connectors.{}", entry.name));
    let missing = |key: &str| {
        ConfigError::missing(key, "must be a section".to_owned(), "correct it, or remove it")
    };
    let (name, spec) = checked.platforms.get(entry.name).ok_or_else(|| missing(&section))?;
    let data = platforms.get(entry.name).ok_or_else(|| missing(&section))?;
    let connector = connectors.get(entry.name).ok_or_else(|| missing(&key))?;
    if !sources.is_given(&section)? {
        warnings.push(format!(
            "[{section}] is not configured, so its defaults are used; router and API need the \
             section to know the platform"
        ));
    }
    let simulator = SimulatedBy { url: simulation.url, secret: simulation.shared_secret };
    let built = (entry.build)(name, spec, &connector.api, &simulator)?;
    platforms::check_simulated(entry.name, data, built.simulated)?;
    refuse_to_simulate_unasked(&key, data, built.simulated)?;
    refuse_calls_without_a_lease(&key, &connector.policy, &kafka)?;
    let max_in_hand = router.max_in_hand.unwrap_or(ASSUMED_ROUTER_MAX_IN_HAND);
    connector.policy.check_dedupe(&key, max_in_hand)?;
    let source = connector.source(&key, name)?;
    warnings.extend(another_topic(&key, name, &source));
    let topology = topics.topology();
    let mut facts = Map::new();
    facts.insert("platform".to_owned(), json!(entry.name));
    facts.insert("accounts".to_owned(), json!(data.accounts.keys().collect::<Vec<_>>()));
    facts.insert("topic".to_owned(), json!(source.topic));
    facts.insert("group".to_owned(), json!(source.group));
    facts.insert("simulated".to_owned(), json!(built.simulated));
    let parts = Parts {
        topology,
        platform: built.platform,
        spec: Arc::new(spec.clone()),
        per_second: platforms::per_second(data),
        source: source.clone(),
        policy: connector.policy.clone(),
    };
    Ok(Prepared {
        service: executable.trim_start_matches("chat4all-"),
        listen_key: format!("{key}.listen"),
        listen: connector.listen,
        kafka,
        max_record_bytes: log.max_record_bytes.count(),
        topics: needed(&topology, name, spec, &source),
        dependencies: Vec::new(),
        drain_limit: connector.policy.call_timeout_ms.ms() + LEAVING,
        facts,
        warnings,
        call_budget: Some(connector.policy.call_budget(&key, spec.accounts.len())),
        assemble: Box::new(|context| async move { Ok(parts.assemble(context)) }.boxed()),
    })
}

/// Beside the other services there is nobody to see that a platform is simulated only because its
/// credentials were forgotten.
fn refuse_to_simulate_unasked(
    key: &str,
    data: &PlatformSettings,
    by_credentials: bool,
) -> Result<(), ConfigError> {
    if !by_credentials || data.simulated == Some(true) {
        return Ok(());
    }
    let platform = key.rsplit('.').next().unwrap_or(key);
    Err(ConfigError::missing(
        &format!("{key}.api.accounts.{}.access_token", data.default_account),
        "is required".to_owned(),
        &format!(
            "give every account its credentials, or set platforms.{platform}.simulated = true to \
             let the simulator stand in"
        ),
    ))
}

/// A call may start only while no other process can have taken over before it ends.
fn refuse_calls_without_a_lease(
    key: &str,
    policy: &KitSettings,
    kafka: &KafkaSettings,
) -> Result<(), ConfigError> {
    let (call, silence) = (policy.call_timeout_ms.get(), kafka.session_timeout_ms.get());
    if call < silence {
        return Ok(());
    }
    Err(ConfigError::of(
        &format!("{key}.policy.call_timeout_ms"),
        call,
        format!("must be less than kafka.session_timeout_ms, which is {silence}"),
        "lower it, or raise kafka.session_timeout_ms",
    ))
}

fn another_topic(key: &str, name: &PlatformName, source: &Source) -> Option<String> {
    let written = Source::of(name).topic;
    (source.topic != written).then(|| {
        format!(
            "{key}.topic is {}; the router writes to {written}, so only what others write is \
             delivered",
            source.topic
        )
    })
}

/// What the connector reads and writes. Its topic has a partition for each account.
fn needed(
    topology: &Topology,
    name: &PlatformName,
    spec: &PlatformSpec,
    source: &Source,
) -> Vec<TopicSpec> {
    let platforms = Platforms([(name.clone(), spec.clone())].into());
    let outbound = topic::outbound(name);
    let mut own = topics::with_dead_letters(topology, &platforms, &[&outbound]);
    for spec in &mut own {
        spec.name = spec.name.replacen(&outbound, &source.topic, 1);
    }
    let shared = [topic::STATUS_UPDATES, topic::RECEIPTS, topic::INBOUND, topic::ACCOUNTS];
    own.extend(topics::only(topology, &platforms, &shared));
    own
}

/// A connector, but for what the process gives it.
struct Parts {
    topology: Topology,
    platform: Arc<dyn Platform>,
    spec: Arc<PlatformSpec>,
    per_second: BTreeMap<AccountName, u32>,
    source: Source,
    policy: KitSettings,
}

impl Parts {
    fn assemble(self, context: Context) -> Assembled {
        let Context { log, clock, random, probes, .. } = context;
        let Self { topology, platform, spec, per_second, source, policy } = self;
        let http = Arc::new(HttpClient::over_tcp());
        let deps = ConnectorDeps {
            log,
            topology,
            http,
            clock,
            random,
            platform,
            spec,
            source,
            per_second,
            owner: chat4all_process::instance::name(),
        };
        let connector = Connector::new(deps, policy);
        let router = connector.http(probes);
        let run = |shutdown| {
            connector.run(shutdown).map(|end| end.map_err(|error| error.to_string())).boxed()
        };
        Assembled { router, run: Box::new(run) }
    }
}
