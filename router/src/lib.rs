//! Carries accepted messages to their platform's topic.
//!
//! For every record of `messages` the router appends one record to `{platform}-outbound`, on the
//! partition of the message's account, and commits only what is acknowledged. It knows no store
//! and no platform's API. Its producer is patient: a message that could be given up would be
//! overtaken by the next one of its conversation.

mod route;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use chat4all_contracts::{Platforms, Status, group, topic};
use chat4all_eventlog::group_loop::{self, GroupLoopOptions};
use chat4all_eventlog::{
    Admission, EventLog, LogError, Patience, ProducerOptions, Subscription, Topology,
};
use chat4all_process::metric::Metric;
use chat4all_process::probe::Probes;
use chat4all_process::{Clock, Random, Shutdown};

use crate::route::Route;
pub use crate::settings::RouterSettings;

/// The service's name in metrics and logs.
pub const SERVICE: &str = "router";

/// The consumer group.
pub const GROUP: &str = group::ROUTER;

/// What the router stands on.
pub struct RouterDeps {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The platforms and their accounts.
    pub platforms: Arc<Platforms>,
    /// Partition counts.
    pub topology: Topology,
    /// The time of day.
    pub clock: Clock,
    /// For the jitter of retries.
    pub random: Random,
}

/// The router.
pub struct RouterService {
    deps: RouterDeps,
    settings: RouterSettings,
}

impl RouterService {
    /// Connects nothing yet.
    pub fn new(deps: RouterDeps, settings: RouterSettings) -> Self {
        Self { deps, settings }
    }

    /// /health, /ready and /metrics.
    pub fn http(&self, probes: Probes) -> axum::Router {
        probes.ready_when("log", chat4all_eventlog::ready_check(self.deps.log.clone())).router()
    }

    /// Routes until `shutdown`, then drains.
    ///
    /// # Errors
    /// If the log's consumer can no longer be used.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), LogError> {
        let Self { deps, settings } = self;
        let drain_deadline = settings.drain_deadline_ms.ms();
        for platform in deps.platforms.0.keys() {
            // The series exists from the start: a rate of nothing is no rate.
            Metric::MessagesRouted.add(SERVICE, &[platform.as_str()], 0);
        }
        Metric::StatusesPublished.add(SERVICE, &["none", Status::Failed.word()], 0);
        let consumer = deps
            .log
            .subscribe(Subscription {
                group: GROUP.to_owned(),
                topics: vec![topic::MESSAGES.to_owned()],
                max_batch: 500,
                revoke_deadline: Duration::from_secs(1),
            })
            .await?;
        let producer = deps.log.producer(ProducerOptions {
            patience: Patience::Forever,
            admission: Admission::Progress,
        });
        let route = Route::new(deps.platforms, deps.topology, producer, deps.clock.clone());
        let options = GroupLoopOptions {
            service: SERVICE,
            group: GROUP,
            topics: vec![topic::MESSAGES.to_owned()],
            max_in_hand: settings.max_in_hand.count(),
            commit_interval: settings.commit_interval_ms.ms(),
            revoke_deadline: Duration::from_secs(1),
            drain_deadline,
        };
        let (clock, random) = (deps.clock, deps.random);
        group_loop::run(consumer, Arc::new(route), options, clock, random, shutdown).await
    }
}
