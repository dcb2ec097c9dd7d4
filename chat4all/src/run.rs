//! `chat4all`: everything in one process, on the embedded log and store.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chat4all::installation::Installation;
use chat4all::settings::Settings;
use chat4all::system::{Endpoint, Parts, System};
use chat4all_eventlog::embedded::{EmbeddedLog, EmbeddedOptions};
use chat4all_process::data_folder::DataFolder;
use chat4all_process::http_client::HttpClient;
use chat4all_process::{
    Clock, ConfigError, Failure, Random, Shutdown, descriptors, exit, instance, serve, shutdown,
    telemetry,
};
use chat4all_store::embedded::{EmbeddedStore, StoreOptions};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::cli::ConfigArgs;
use crate::simulator_process::SimulatorProcess;
use crate::start_lines;

pub(crate) async fn run(config: &ConfigArgs) -> Result<u8, Failure> {
    let settings = Settings::load(config.config.as_deref(), std::env::vars().collect())?;
    let installation = Installation::new(settings)?;
    telemetry::start_logging();
    for warning in &installation.warnings {
        tracing::warn!("{warning}");
    }
    let open_files = descriptors::raise_limit();
    if let Some(warning) = installation.call_budget().warning(open_files) {
        tracing::warn!("{warning}");
    }
    // Before anything is opened: a signal during the start drains what has been started.
    let stop = Shutdown::new();
    shutdown::on_stop_signal(stop.clone())
        .map_err(|error| Failure::new(exit::SOFTWARE, format!("signal handlers: {error}")))?;
    // The lock first: a second process on the same data must hear that, not "port in use".
    let folder = DataFolder::open("data", &installation.settings.data)?;
    let (parts, log) = parts(&installation, &folder)?;
    let mut system = System::assemble(&installation, &parts).await.map_err(|error| {
        ConfigError::of(
            "data",
            folder.path().display(),
            error.to_string(),
            "see docs/configuration.md, topics",
        )
    })?;
    let listening = bind(std::mem::take(&mut system.endpoints)).await?;
    let stopping = Shutdown::new();
    let mut helpers = JoinSet::new();
    let needs_simulator = !installation.simulated.is_empty();
    if needs_simulator && installation.settings.simulation.url.is_none() {
        let simulator = SimulatorProcess::start(config).await?;
        helpers.spawn(simulator.keep_alive(parts.random.fork(), stopping.clone()));
    }
    helpers.spawn(log.run_retention(stopping.clone()));
    if let Some(metrics) = parts.metrics.clone() {
        helpers.spawn(telemetry::keep_metrics_small(metrics, stopping.clone()));
    }
    start_lines::print(&installation, &addresses(&listening)?);
    let result = serve_and_run(system, listening, stop).await;
    stopping.trigger();
    while helpers.join_next().await.is_some() {}
    result
}

fn parts(
    installation: &Installation,
    folder: &DataFolder,
) -> Result<(Parts, Arc<EmbeddedLog>), Failure> {
    let clock = Clock::system();
    let unusable = |file: &str, error: String| {
        let path = folder.file(file);
        let rule = format!("cannot be opened: {error}");
        ConfigError::of("data", path.display(), rule, "restore it from a backup, or move it away")
    };
    refuse_half_a_backup(folder)?;
    let settings = &installation.settings.log;
    let options = EmbeddedOptions {
        max_record_bytes: settings.max_record_bytes.count(),
        free_space_floor_bytes: settings.free_disk_floor_mib.get() << 20,
        ..EmbeddedOptions::default()
    };
    let log = EmbeddedLog::open(&folder.file("log.db"), options, clock.clone())
        .map_err(|error| unusable("log.db", error.to_string()))?;
    let store = EmbeddedStore::open_file(&folder.file("store.db"), StoreOptions::default())
        .map_err(|error| unusable("store.db", error.to_string()))?;
    let metrics = telemetry::start_metrics()
        .map_err(|error| Failure::new(exit::SOFTWARE, format!("metrics: {error}")))?;
    let parts = Parts {
        log: log.clone(),
        store,
        http: Arc::new(HttpClient::over_tcp()),
        clock,
        random: Random::system(),
        instance: instance::name(),
        metrics: Some(metrics),
        stopping: Shutdown::new(),
    };
    Ok((parts, log))
}

/// The log is made before the store, so a store without a log is no first start: what the log
/// still had to deliver would be missing without a word.
fn refuse_half_a_backup(folder: &DataFolder) -> Result<(), ConfigError> {
    let has = |name| std::fs::metadata(folder.file(name)).is_ok_and(|file| file.len() > 0);
    if has("store.db") && !has("log.db") {
        let path = folder.file("log.db");
        let rule = "is missing or empty, although there is a store.db".to_owned();
        let fix = "restore it together with the store, or move the store away to begin anew";
        return Err(ConfigError::of("data", path.display(), rule, fix));
    }
    Ok(())
}

/// Something that listens, on its bound port.
struct Listening {
    endpoint: Endpoint,
    listener: TcpListener,
}

/// Binds every port before anything is served: a port in use leaves nothing half started.
async fn bind(endpoints: Vec<Endpoint>) -> Result<Vec<Listening>, ConfigError> {
    let mut listening = Vec::new();
    for endpoint in endpoints {
        let listener = serve::bind(&endpoint.key, endpoint.listen).await?;
        listening.push(Listening { endpoint, listener });
    }
    Ok(listening)
}

fn addresses(listening: &[Listening]) -> Result<Vec<(String, SocketAddr)>, Failure> {
    let address = |listening: &Listening| {
        let at = listening.listener.local_addr();
        let at = at.map_err(|error| Failure::new(exit::SOFTWARE, error))?;
        Ok((listening.endpoint.service.clone(), at))
    };
    listening.iter().map(address).collect()
}

/// How long probes and webhooks that are being answered may take once everything is drained.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// A stop takes at most the drains of router (3 s), connectors (a call's timeout and 5 s) and
/// status-consumer (3 s), this much, and the simulator's end: within the 30 s that orchestrators
/// give.
async fn serve_and_run(
    system: System,
    listening: Vec<Listening>,
    stop: Shutdown,
) -> Result<u8, Failure> {
    // Probes, questions and webhooks are answered while everything drains; the API itself refuses
    // new messages from the order to stop on.
    let stop_serving = Shutdown::new();
    let mut servers = JoinSet::new();
    for Listening { endpoint, listener } in listening {
        servers.spawn(serve::serve(listener, endpoint.router, stop_serving.clone()));
    }
    let result = system.run(stop).await;
    stop_serving.trigger();
    let answered = async { while servers.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST_ANSWERS, answered).await.is_err() {
        tracing::debug!("connections that stayed open were cut off");
    }
    match result {
        Ok(()) => {
            tracing::info!("stopped");
            Ok(0)
        }
        Err(error) => Err(Failure::new(exit::SOFTWARE, error)),
    }
}
