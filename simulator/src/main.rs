//! The simulator as an executable. It runs until SIGTERM or Ctrl-C; its standard input may close.

// Never iterated here: the environment comes as the standard library's map.
use std::collections::{BTreeMap, HashMap};
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use chat4all_process::config::{self, part};
use chat4all_process::{
    ConfigError, Failure, Shutdown, descriptors, exit, health, shutdown, telemetry,
};
use chat4all_simulator::{SimulationSettings, serve_process};
use clap::Parser;
use serde::Deserialize;
use serde_json::json;

const PROGRAM: &str = "chat4all-simulator";

/// What it reads of an installation's file; everything else is left alone.
const SECTIONS: [&str; 3] = ["connectors", "data", "simulation"];

/// Stands in for the platforms: answers as their APIs do, sends signed receipts, fails on request.
///
/// It keeps a ledger of every call, which says what was accepted, in which order and how often.
/// Connectors meet it only if their platform is marked as simulated.
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version, after_help = HELP)]
struct Cli {
    /// The configuration file [default: chat4all.toml, if it is there]
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check the configuration, say what would run, and end; touches nothing
    #[arg(long)]
    check: bool,
    /// Ask the simulator that runs with this configuration whether it is healthy: 0 yes, 1 no
    #[arg(long, conflicts_with = "check")]
    probe: bool,
}

const HELP: &str = "\
Reads from the file (sections of services may be in it):
  [simulation]   shared_secret; simulator.*: where it listens, how fast and how bad it is
  data           the folder of its ledger, simulator.db
  [connectors]   each platform's listen: receipts go to /webhook there, unless
                 simulation.simulator.webhooks.<platform> names another address

Reads from the environment, stronger than the file:
  CHAT4ALL__SECTION__KEY   any key: upper case, __ for each dot
  CHAT4ALL_LOG=debug       what is logged, to standard error

Examples:
  chat4all-simulator --check
  chat4all-simulator --config deploy/local.toml
  curl http://127.0.0.1:8090/_sim/ledger
  curl http://127.0.0.1:8090/_sim/faults -d '{\"kind\": \"down\", \"times\": 6}'

SIGTERM and Ctrl-C stop it; receipts that are due are in the ledger and are sent after the next start.

Exit codes:
  0 done   1 --probe: not healthy   64 bad configuration, arguments or surroundings   70 internal";

#[derive(Debug, Deserialize)]
struct Settings {
    #[serde(default = "default_data")]
    data: PathBuf,
    #[serde(default)]
    simulation: SimulationSettings,
    #[serde(default)]
    connectors: BTreeMap<String, Connector>,
}

/// Of a connector only its address matters here; its own process checks the rest.
#[derive(Debug, Deserialize)]
struct Connector {
    listen: Option<SocketAddr>,
}

fn default_data() -> PathBuf {
    PathBuf::from("data")
}

/// A simulator that has been configured, and not started.
struct Prepared {
    data: PathBuf,
    settings: chat4all_simulator::Settings,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { exit::CONFIGURATION } else { 0 };
            // Nothing can be done about a closed terminal.
            let _closed = error.print();
            return ExitCode::from(code);
        }
    };
    let prepared = match prepare(&cli) {
        Ok(prepared) => prepared,
        Err(error) => return Failure::from(error).say(PROGRAM),
    };
    if cli.check {
        prepared.say("checked", "would run");
        return ExitCode::SUCCESS;
    }
    if cli.probe {
        return health::probe(PROGRAM, prepared.settings.listen);
    }
    telemetry::start_logging();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return Failure::new(exit::SOFTWARE, format!("no runtime: {error}")).say(PROGRAM);
        }
    };
    let result = runtime.block_on(run(prepared));
    // What is left are idle connections and timers.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.say(PROGRAM),
    }
}

fn prepare(cli: &Cli) -> Result<Prepared, ConfigError> {
    let readable = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let environment: HashMap<String, String> = std::env::vars_os().filter_map(readable).collect();
    let file = config::file_or_default(cli.config.as_deref());
    let Settings { data, simulation, connectors } = part::load(&[], file, environment, &SECTIONS)?;
    let listening = connectors.into_iter().filter_map(|(name, it)| Some((name, it.listen?)));
    let settings = simulation.for_connectors(&listening.collect());
    settings.validate("simulation.simulator")?;
    Ok(Prepared { data, settings })
}

async fn run(prepared: Prepared) -> Result<(), Failure> {
    for name in prepared.without_webhook() {
        tracing::warn!(
            platform = name,
            "no receipts: neither connectors.<platform>.listen nor a webhook is configured"
        );
    }
    descriptors::raise_limit();
    let stop = Shutdown::new();
    shutdown::on_stop_signal(stop.clone())
        .map_err(|error| Failure::new(exit::SOFTWARE, format!("signal handlers: {error}")))?;
    std::fs::create_dir_all(&prepared.data).map_err(|error| {
        let rule = format!("must be a folder that can be written: {error}");
        ConfigError::of("data", prepared.data.display(), rule, "choose another folder")
    })?;
    let file = prepared.data.join("simulator.db");
    let settings = prepared.settings.clone();
    let started = || prepared.say("started", "is running");
    serve_process(settings, &file, "simulation.simulator", "data", started, stop).await?;
    tracing::info!("stopped");
    Ok(())
}

impl Prepared {
    /// The platforms whose receipts would go nowhere.
    fn without_webhook(&self) -> Vec<&'static str> {
        let known = chat4all_simulator::platforms();
        known.into_iter().filter(|name| !self.settings.webhooks.contains_key(*name)).collect()
    }

    /// Lines for a person on a terminal, one JSON document otherwise.
    fn say(&self, event: &str, what: &str) {
        let version = env!("CARGO_PKG_VERSION");
        let endpoint = format!("http://{}", self.settings.listen);
        let receipts: BTreeMap<&String, &String> =
            self.settings.webhooks.iter().map(|(name, webhook)| (name, &webhook.url)).collect();
        let mut output = std::io::stdout();
        let text = if output.is_terminal() {
            let receipts =
                receipts.iter().map(|(name, url)| format!("\n  receipts     {name} to {url}"));
            let receipts: String = receipts.collect();
            let data = self.data.display();
            format!(
                "{PROGRAM} {version} {what}\n  endpoint     {endpoint}\n  data         {data}{receipts}"
            )
        } else {
            json!({"event": event, "service": "simulator", "version": version, "data": self.data,
                "endpoint": endpoint, "receipts": receipts})
            .to_string()
        };
        // Whoever started us need not be listening.
        let _closed = writeln!(output, "{text}").and_then(|()| output.flush());
    }
}
