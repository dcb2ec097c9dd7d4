//! The API on the embedded log and store, and nothing else of the one process: what it costs alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chat4all_api::{Api, ApiDeps, ApiSettings};
use chat4all_contracts::platform::AccountSpec;
use chat4all_contracts::{AccountName, PlatformName, PlatformSpec, Platforms, ReceiverId};
use chat4all_eventlog::embedded::{EmbeddedLog, EmbeddedOptions};
use chat4all_eventlog::{EventLog, Topology};
use chat4all_process::probe::Probes;
use chat4all_process::{Clock, Random, Shutdown, serve, telemetry};
use chat4all_store::embedded::{EmbeddedStore, StoreOptions};
use clap::Args;
use regex::Regex;
use tokio::net::TcpListener;

use crate::Failure;

/// Where it listens and keeps its files.
#[derive(Args)]
pub(crate) struct ServeApiArgs {
    #[arg(long)]
    listen: std::net::SocketAddr,
    #[arg(long)]
    folder: PathBuf,
    /// Whom every message is for
    #[arg(long)]
    receiver: String,
}

/// Partitions of every topic, and how long records are kept: as by default.
const TOPOLOGY: Topology = Topology {
    messages: 6,
    status_updates: 6,
    receipts: 4,
    inbound: 4,
    retention: Duration::from_secs(7 * 86_400),
};

/// Serves until the process is killed.
pub(crate) async fn serve(args: &ServeApiArgs) -> Result<(), Failure> {
    let clock = Clock::system();
    let file = |name: &str| args.folder.join(name);
    let log = EmbeddedLog::open(&file("log.db"), EmbeddedOptions::default(), clock.clone())?;
    let store = EmbeddedStore::open_file(&file("store.db"), StoreOptions::default())?;
    let platforms = platforms(&args.receiver)?;
    TOPOLOGY.ensure(&*log, &platforms).await?;
    let log: Arc<dyn EventLog> = log;
    let stopping = Shutdown::new();
    let deps = ApiDeps {
        log,
        store,
        platforms: Arc::new(platforms),
        simulated: BTreeSet::new(),
        clock,
        random: Random::system(),
        probes: Probes::new(Some(telemetry::start_metrics()?)),
        messages_partitions: TOPOLOGY.messages,
        stopping: stopping.clone(),
    };
    let api = Api::new(deps, ApiSettings::default());
    let router = api.router();
    let listener = TcpListener::bind(args.listen).await?;
    tokio::join!(api.run(stopping.clone()), serve::serve(listener, router, stopping));
    Ok(())
}

/// One platform with one account, for one receiver.
fn platforms(receiver: &str) -> Result<Platforms, Failure> {
    let refused = |rule| format!("--receiver {receiver}: {rule:?}");
    let receiver = ReceiverId::new(receiver).map_err(refused)?;
    let account = AccountName::new("default").map_err(refused)?;
    let spec = PlatformSpec {
        recipient: Regex::new(&format!("^{}$", regex::escape(receiver.address())))?,
        recipient_rule: "the benchmark's receiver".to_owned(),
        has_receipts: true,
        accounts: BTreeMap::from([(account.clone(), AccountSpec { partition: 0 })]),
        default_account: account,
    };
    let name = PlatformName::new(receiver.platform()).map_err(refused)?;
    Ok(Platforms(BTreeMap::from([(name, spec)])))
}
