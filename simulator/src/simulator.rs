//! The simulator itself: what its calls, its receipts and its own endpoints share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use chat4all_process::http_client::HttpPort;
use chat4all_process::{Clock, ConfigError, Random, Shutdown};
use chat4all_sqlite::{Database, DbError, Options};
use futures::future::join_all;
use thiserror::Error;
use tokio::sync::Notify;

use crate::fault::{Fault, Faults, FieldError};
use crate::in_flight::InFlight;
use crate::pending::Pending;
use crate::platform::REGISTRY;
use crate::settings::Settings;
use crate::{control, ledger, sender};

/// Why a simulator does not start.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// The settings contradict each other.
    #[error(transparent)]
    Settings(#[from] ConfigError),
    /// The ledger cannot be read.
    #[error("the ledger cannot be read: {0}")]
    Database(#[from] DbError),
    /// Another version of this program wrote the ledger.
    #[error("the ledger has version {0}, this program knows another one")]
    Version(i64),
}

/// A simulator. Cheap to clone.
#[derive(Clone)]
pub struct Simulator(Arc<Inner>);

pub(crate) struct Inner {
    pub settings: Settings,
    pub database: Database,
    pub http: Arc<dyn HttpPort>,
    pub clock: Clock,
    /// For calls: each forks a stream of its own.
    pub calls: Random,
    /// For the repetition of receipts.
    pub jitter: Random,
    /// The number of the last call that arrived.
    pub sequence: AtomicU64,
    pub faults: Faults,
    pub in_flight: InFlight,
    pub pending: Pending,
    /// One for each entry of the registry.
    pub alarms: Vec<Alarm>,
}

/// Wakes a platform's sender of receipts when something is due sooner than it knows.
pub(crate) struct Alarm {
    /// When the sender will look again by itself; `u64::MAX` while it is looking.
    looks_at_ms: AtomicU64,
    ring: Notify,
}

impl Default for Alarm {
    fn default() -> Self {
        Self { looks_at_ms: AtomicU64::new(u64::MAX), ring: Notify::new() }
    }
}

impl Alarm {
    /// To be called before the sender reads what is due: whatever is written later will ring.
    pub(crate) fn looking(&self) {
        self.looks_at_ms.store(u64::MAX, Ordering::SeqCst);
    }

    /// To be called after it: only what is due sooner rings.
    pub(crate) fn looks_again(&self, at_ms: Option<u64>) {
        self.looks_at_ms.store(at_ms.unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// To be called after a receipt was written.
    pub(crate) fn due(&self, at_ms: u64) {
        if at_ms < self.looks_at_ms.load(Ordering::SeqCst) {
            // Keeps one ring for a sender that is not listening right now.
            self.ring.notify_one();
        }
    }

    pub(crate) async fn rings(&self) {
        self.ring.notified().await;
    }
}

impl Inner {
    pub(crate) fn next_sequence(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::SeqCst) + 1
    }
}

impl Simulator {
    /// How the ledger's database must be opened, in a file or in memory.
    pub fn database_options() -> Options {
        ledger::options()
    }

    /// A simulator that goes on with the ledger and the receipts in `database`. Webhooks are called
    /// through `http`; everything random comes from `random`.
    ///
    /// # Errors
    /// If the settings contradict each other, or the ledger cannot be used.
    pub async fn open(
        settings: Settings,
        database: Database,
        http: Arc<dyn HttpPort>,
        clock: Clock,
        random: Random,
    ) -> Result<Self, OpenError> {
        settings.validate("simulator")?;
        let (version, last_sequence) = database.read(ledger::state).await?;
        if version != ledger::VERSION {
            return Err(OpenError::Version(version));
        }
        Ok(Self(Arc::new(Inner {
            settings,
            database,
            http,
            clock,
            calls: random.fork(),
            jitter: random.fork(),
            sequence: AtomicU64::new(last_sequence),
            faults: Faults::default(),
            in_flight: InFlight::default(),
            pending: Pending::default(),
            alarms: REGISTRY.iter().map(|_| Alarm::default()).collect(),
        })))
    }

    /// Adds a failure.
    ///
    /// # Errors
    /// Names the field that is out of bounds; or too many faults wait already.
    pub fn add_fault(&self, fault: Fault) -> Result<(), FieldError> {
        self.0.faults.add(fault)
    }

    /// The platforms' APIs, each under its name (`/{name}/…`), and the simulator's own endpoints
    /// under `/_sim` and `/health`.
    pub fn router(&self) -> Router {
        control::router(self.0.clone())
    }

    /// Sends receipts until `shutdown`. Each platform has a loop of its own, so a webhook that does
    /// not answer holds up no other platform. To be run once at a time.
    pub async fn run(&self, shutdown: Shutdown) {
        let senders = (0..REGISTRY.len()).map(|index| sender::run(&self.0, index, &shutdown));
        join_all(senders).await;
    }
}
