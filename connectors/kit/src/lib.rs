//! The supervised actor tree that every connector runs.
//!
//! ```text
//! Supervisor          restarts children; gives up beyond a limit
//! ├─ Intake           the subscription; alone commits
//! ├─ PartitionWorker  one a partition: lanes, dedupe window, retries, offset tracker
//! ├─ Gateway          one an account: breaker, pace, calls
//! └─ StatusPublisher  appends status events
//! ```
//!
//! A platform's crate implements [`platform::Platform`] and knows nothing of the rest; the kit
//! knows the log, HTTP and retries, and no platform and no store.

mod account_desk;
mod announce;
pub mod answer;
pub mod api_settings;
pub mod breaker;
mod dedupe;
mod delivery;
pub mod detail;
mod directory;
pub mod failure_rate;
mod gateway;
pub mod hub;
mod intake;
mod lanes;
mod lease;
mod outcome;
pub mod pacer;
mod parked;
mod partition_worker;
pub mod platform;
mod poison;
mod receipts;
#[cfg(feature = "service")]
pub mod service;
mod settings;
mod status_publisher;
mod statuses;
mod steering;
#[cfg(feature = "suite")]
pub mod suite;
mod supervisor;
mod tasks;
mod vitals;
mod webhook;

use std::collections::BTreeMap;
use std::sync::Arc;

use chat4all_contracts::{AccountName, PlatformSpec};
use chat4all_eventlog::{Admission, EventLog, LogError, Patience, ProducerOptions, Topology};
use chat4all_process::http_client::HttpPort;
use chat4all_process::probe::Probes;
use chat4all_process::{Clock, Random, Shutdown};
use ractor::{Actor, ActorCell};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::account_desk::DeskArgs;
use crate::delivery::Caller;
use crate::directory::Directory;
use crate::gateway::GatewayArgs;
use crate::lease::Lease;
use crate::partition_worker::WorkerDeps;
use crate::platform::Platform;
use crate::receipts::Receipts;
use crate::statuses::Statuses;
use crate::steering::Steering;
use crate::supervisor::{Supervisor, SupervisorArgs, SupervisorMsg};
use crate::vitals::Vitals;
use crate::webhook::WebhookDeps;

pub use crate::settings::{
    ASSUMED_ROUTER_MAX_IN_HAND, ConnectorSettings, InDoubtPolicy, KitSettings, Source,
};
pub use crate::supervisor::Ended;

/// What a connector stands on.
pub struct ConnectorDeps {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// Partition counts.
    pub topology: Topology,
    /// Calls the platform.
    pub http: Arc<dyn HttpPort>,
    /// The time of day.
    pub clock: Clock,
    /// For jitter.
    pub random: Random,
    /// The platform's code.
    pub platform: Arc<dyn Platform>,
    /// The platform as data.
    pub spec: Arc<PlatformSpec>,
    /// What it delivers from.
    pub source: Source,
    /// Which process this is, for people: every account's state names it.
    pub owner: String,
    /// The pace of each account, in calls a second.
    pub per_second: BTreeMap<AccountName, u32>,
}

/// A connector of one platform.
pub struct Connector {
    deps: ConnectorDeps,
    settings: KitSettings,
    service: &'static str,
    /// What the webhook tells the workers.
    receipts: Receipts,
    vitals: Vitals,
}

/// Why a connector ended although nobody had asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConnectorError {
    /// Too many restarts, or a drain that failed.
    #[error(transparent)]
    Ended(#[from] Ended),
    /// It could not be started.
    #[error("the connector could not be started: {0}")]
    NotStarted(String),
    /// The log cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// The pace of an account whose configuration names none: a WhatsApp number's default.
pub const DEFAULT_PER_SECOND: u32 = 80;

impl Connector {
    /// Connects nothing yet.
    pub fn new(deps: ConnectorDeps, settings: KitSettings) -> Self {
        // Metrics want a name that lives as long as the process, and so does a connector.
        let service = Box::leak(format!("connector-{}", deps.platform.name()).into_boxed_str());
        Self { deps, settings, service, receipts: Receipts::default(), vitals: Vitals::default() }
    }

    /// The probes and the platform's webhook.
    pub fn http(&self, probes: Probes) -> axum::Router {
        let log = chat4all_eventlog::ready_check(self.deps.log.clone());
        let vitals = self.vitals.clone();
        let probes = probes.ready_when("log", log).healthy_when(move || vitals.check());
        let webhook = webhook::router(WebhookDeps {
            service: self.service,
            platform: self.deps.platform.clone(),
            producer: self.producer(),
            statuses: Statuses::new(self.deps.platform.name().clone()),
            topology: self.deps.topology,
            clock: self.deps.clock.clone(),
            places: webhook::places(),
            receipts: self.receipts.clone(),
        });
        probes.router().merge(webhook)
    }

    fn producer(&self) -> Arc<dyn chat4all_eventlog::Producer> {
        self.deps.log.producer(ProducerOptions {
            patience: Patience::GiveUpAfter(webhook::APPEND_TIMEOUT),
            admission: Admission::Progress,
        })
    }

    /// Delivers until `shutdown`, then drains: nothing new starts, calls under way end, their
    /// statuses are acknowledged and committed.
    ///
    /// # Errors
    /// If it could not be kept running; the process should end and be restarted.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), ConnectorError> {
        let (name, topic) = (self.deps.platform.name(), &self.deps.source.topic);
        announce::metrics(self.service, name, topic, self.deps.clock.now());
        let (ended, listener) = oneshot::channel();
        let args = self.supervisor_args(ended);
        let (root, mut joined) = Actor::spawn(None, Supervisor, args)
            .await
            .map_err(|error| ConnectorError::NotStarted(error.to_string()))?;
        let _whole_tree = KillOnDrop(root.get_cell());
        tokio::select! {
            biased;
            () = shutdown.wait() => {
                let _ended_meanwhile = root.send_message(SupervisorMsg::Stop);
                let _joined = (&mut joined).await;
            }
            _joined = &mut joined => {}
        }
        match listener.await {
            Ok(ended) => Err(ended.into()),
            Err(_) if shutdown.is_triggered() => Ok(()),
            Err(_) => Err(ConnectorError::NotStarted("the supervisor ended".to_owned())),
        }
    }

    fn supervisor_args(&self, ended: oneshot::Sender<Ended>) -> SupervisorArgs {
        let Self { deps, settings, service, receipts, vitals } = self;
        let statuses = Statuses::new(deps.platform.name().clone());
        let caller =
            Caller::new(deps.platform.clone(), deps.http.clone(), settings.call_timeout_ms.ms());
        let lease = Lease::default();
        let steering = Steering::new(&deps.spec);
        let directory = Arc::new(Directory::default());
        let gateways = deps
            .spec
            .accounts
            .keys()
            .map(|account| GatewayArgs {
                service,
                platform: deps.platform.name().to_string(),
                account: account.clone(),
                caller: caller.clone(),
                settings: settings.clone(),
                lease: lease.clone(),
                vitals: vitals.clone(),
                steering: steering.clone(),
                per_second: deps.per_second.get(account).copied().unwrap_or(DEFAULT_PER_SECOND),
                clock: deps.clock.clone(),
                random: deps.random.fork(),
            })
            .collect();
        let desk = DeskArgs {
            service,
            platform: deps.platform.name().clone(),
            owner: deps.owner.clone(),
            log: deps.log.clone(),
            directory: directory.clone(),
            steering: steering.clone(),
            clock: deps.clock.clone(),
            random: deps.random.fork(),
        };
        let producer = self.producer();
        let worker = WorkerDeps {
            producer: producer.clone(),
            lease,
            steering,
            service,
            spec: deps.spec.clone(),
            statuses,
            log: deps.log.clone(),
            topology: deps.topology,
            directory,
            receipts: receipts.clone(),
            vitals: vitals.clone(),
            settings: settings.clone(),
            clock: deps.clock.clone(),
            random: deps.random.fork(),
        };
        let source = deps.source.clone();
        SupervisorArgs { worker, source, gateways, desk, producer, ended }
    }
}

/// Ends the whole tree if whoever runs it is dropped.
struct KillOnDrop(ActorCell);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.0.kill();
    }
}
