//! The router as an executable: a process of its own on Kafka. Knows platforms as data only.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use chat4all_contracts::{Platforms, topic};
use chat4all_eventlog::kafka::KafkaSettings;
use chat4all_eventlog::{TopicSpec, Topology};
use chat4all_process::ConfigError;
use chat4all_router::{GROUP, RouterDeps, RouterService, RouterSettings, SERVICE};
use chat4all_service::settings::{LogSettings, PlatformSettings, TopicSettings};
use chat4all_service::{Assembled, Context, Prepared, Program, Sources, platforms, topics};
use futures::FutureExt;
use serde::Deserialize;
use serde_json::{Map, json};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    router: RouterSettings,
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
        name: "chat4all-router",
        about:
            "Carries accepted messages to their platform's topic, on their account's partition. \
                Needs Kafka. Knows no store and no platform's API."
                .to_owned(),
        sections: vec![
            section("router", "where its probes listen, and how much it holds"),
            section("platforms", "every platform's accounts and their partitions; required"),
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
    let (settings, mut warnings) = sources.load::<Settings>()?;
    let Settings { router, kafka, topics, log, platforms } = settings;
    let checked = platforms::check(&platforms)?;
    warnings.extend(checked.warnings);
    let topology = topics.topology();
    let platforms = Arc::new(checked.platforms);
    let mut facts = Map::new();
    let names: Vec<&str> = platforms.0.keys().map(|name| name.as_str()).collect();
    facts.insert("platforms".to_owned(), json!(names));
    facts.insert("group".to_owned(), json!(GROUP));
    Ok(Prepared {
        service: SERVICE,
        listen_key: "router.listen".to_owned(),
        listen: router.listen,
        kafka,
        max_record_bytes: log.max_record_bytes.count(),
        topics: needed(&topology, &platforms),
        dependencies: Vec::new(),
        drain_limit: router.drain_deadline_ms.ms() + LEAVING,
        facts,
        warnings,
        call_budget: None,
        assemble: Box::new(move |context| {
            async move { Ok(assemble(context, router, topology, platforms)) }.boxed()
        }),
    })
}

/// What the router reads and writes.
fn needed(topology: &Topology, platforms: &Platforms) -> Vec<TopicSpec> {
    let mut needed = topics::with_dead_letters(topology, platforms, &[topic::MESSAGES]);
    let outbound: Vec<String> = platforms.0.keys().map(topic::outbound).collect();
    let written: Vec<&str> =
        outbound.iter().map(String::as_str).chain([topic::STATUS_UPDATES]).collect();
    needed.extend(topics::only(topology, platforms, &written));
    needed
}

fn assemble(
    context: Context,
    settings: RouterSettings,
    topology: Topology,
    platforms: Arc<Platforms>,
) -> Assembled {
    let Context { log, clock, random, probes, .. } = context;
    let service =
        RouterService::new(RouterDeps { log, platforms, topology, clock, random }, settings);
    let router = service.http(probes);
    let run =
        |shutdown| service.run(shutdown).map(|end| end.map_err(|error| error.to_string())).boxed();
    Assembled { router, run: Box::new(run) }
}
