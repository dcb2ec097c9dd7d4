//! Projects messages, status updates, receipts and dead letters into the store.
//!
//! What an event means is decided in `chat4all_store::projection`; this service brings every event
//! there, at least once, and commits only what the store has acknowledged. Events commute, so they
//! are written concurrently and need no order. Beside that it judges messages that have no outcome
//! after their life (`reconcile`).

mod held;
mod project;
mod reconcile;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use chat4all_contracts::{Platforms, Status, group, topic};
use chat4all_eventlog::group_loop::{self, GroupLoopOptions};
use chat4all_eventlog::{Admission, EventLog, LogError, Patience, ProducerOptions, Subscription};
use chat4all_process::metric::Metric;
use chat4all_process::probe::Probes;
use chat4all_process::{Clock, Random, Shutdown};
use chat4all_store::{MessageStore, Tenant};
use tokio::time::{MissedTickBehavior, interval};

use crate::held::Held;
use crate::project::Project;
use crate::reconcile::{Parts, Reconciler, VERDICTS};
pub use crate::settings::StatusConsumerSettings;

/// The service's name in metrics and logs.
pub const SERVICE: &str = "status-consumer";

/// The consumer group.
pub const GROUP: &str = group::STATUS_CONSUMER;

/// The events that it projects. What it cannot read of them goes to their dead letters.
pub const TOPICS: [&str; 3] = [topic::MESSAGES, topic::STATUS_UPDATES, topic::RECEIPTS];

/// The dead letters that it projects: those of its own topics, and those of every platform, which
/// its connector writes.
pub fn letter_topics(platforms: &Platforms) -> Vec<String> {
    let outbound = platforms.0.keys().map(topic::outbound);
    let all = TOPICS.into_iter().map(str::to_owned).chain(outbound);
    all.map(|name| topic::dead_letters(&name)).collect()
}

/// What the status-consumer stands on.
pub struct StatusConsumerDeps {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The store.
    pub store: Arc<dyn MessageStore>,
    /// The platforms whose dead letters it projects.
    pub platforms: Arc<Platforms>,
    /// The time of day.
    pub clock: Clock,
    /// For the jitter of retries.
    pub random: Random,
}

/// The status-consumer.
pub struct StatusConsumer {
    deps: StatusConsumerDeps,
    settings: StatusConsumerSettings,
}

impl StatusConsumer {
    /// Connects nothing yet.
    pub fn new(deps: StatusConsumerDeps, settings: StatusConsumerSettings) -> Self {
        Self { deps, settings }
    }

    /// /health, /ready and /metrics.
    pub fn http(&self, probes: Probes) -> axum::Router {
        let Self { deps, .. } = self;
        probes
            .ready_when("log", chat4all_eventlog::ready_check(deps.log.clone()))
            .ready_when("store", chat4all_store::ready_check(deps.store.clone()))
            .router()
    }

    /// Projects until `shutdown`, then drains.
    ///
    /// # Errors
    /// If the log's consumer can no longer be used.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), LogError> {
        let Self { deps, settings } = self;
        let letters = letter_topics(&deps.platforms);
        announce_metrics(&letters);
        let topics: Vec<String> = TOPICS.into_iter().map(str::to_owned).chain(letters).collect();
        let consumer = deps
            .log
            .subscribe(Subscription {
                group: GROUP.to_owned(),
                topics: topics.clone(),
                max_batch: 500,
                revoke_deadline: Duration::from_secs(1),
            })
            .await?;
        // Dead letters and verdicts: nothing follows them in order, so a failing append is simply
        // repeated.
        let producer = deps.log.producer(ProducerOptions {
            patience: Patience::GiveUpAfter(Duration::from_secs(5)),
            admission: Admission::Progress,
        });
        let held = Held::new(deps.clock.now());
        let reconciler = Reconciler::new(Parts {
            log: deps.log.clone(),
            store: deps.store.clone(),
            producer: producer.clone(),
            clock: deps.clock.clone(),
            tenant: tenant(),
            held: held.clone(),
            every: Duration::from_secs(settings.reconcile_interval_s.get()),
            grace: Duration::from_secs(settings.reconcile_grace_s.get()),
            abandoned: Duration::from_secs(settings.reconcile_abandoned_s.get()),
        });
        let project = Project::new(deps.store.clone(), producer, deps.clock.clone(), held);
        let options = GroupLoopOptions {
            service: SERVICE,
            group: GROUP,
            topics,
            max_in_hand: settings.max_in_hand.count(),
            commit_interval: settings.commit_interval_ms.ms(),
            revoke_deadline: Duration::from_secs(1),
            drain_deadline: settings.drain_deadline_ms.ms(),
        };
        let every = Duration::from_secs(settings.sweep_interval_s.get());
        let (clock, random) = (deps.clock.clone(), deps.random);
        let consuming =
            group_loop::run(consumer, Arc::new(project), options, clock, random, shutdown);
        tokio::select! {
            biased;
            result = consuming => result,
            never = reconciler.run() => match never {},
            never = sweep(deps.store, deps.clock, every) => match never {},
        }
    }
}

/// Makes every series of ours exist from the start: a rate of nothing is no rate.
fn announce_metrics(letter_topics: &[String]) {
    for status in Status::ALL {
        Metric::StatusesProjected.add(SERVICE, &[status.word()], 0);
    }
    for verdict in VERDICTS {
        Metric::MessagesJudged.add(SERVICE, &[verdict.word()], 0);
    }
    for kind in ["status", "receipt"] {
        Metric::EarlyArrivals.add(SERVICE, &[kind], 0);
    }
    for topic in letter_topics {
        Metric::LettersUnreadable.add(SERVICE, &[topic], 0);
    }
}

/// Lets the store forget what is past its end, for ever.
async fn sweep(
    store: Arc<dyn MessageStore>,
    clock: Clock,
    every: Duration,
) -> std::convert::Infallible {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = store.sweep(clock.now()).await {
            tracing::warn!(%error, "the store could not be swept; the next interval tries again");
        }
    }
}

/// The one tenant until authentication names others.
fn tenant() -> Tenant {
    Tenant::default()
}
