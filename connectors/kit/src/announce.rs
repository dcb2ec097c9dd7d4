//! Makes every series of a connector exist from the start: a rate of nothing is no rate, and the
//! first dead letter should be seen as a rise.

use chat4all_contracts::event::UNREADABLE;
use chat4all_contracts::{AccountOrder, EpochMs, PlatformName, Reason, Status};
use chat4all_process::metric::Metric;

use crate::breaker::Transition;
use crate::outcome::Next;
use crate::platform::Outcome;
use crate::supervisor::{Child, ExitReason};
use crate::webhook;

/// Announces the series of the connector that is `service` and delivers from `topic`, started at
/// `now`.
pub fn metrics(service: &'static str, platform: &PlatformName, topic: &str, now: EpochMs) {
    Metric::StartTime.set(service, &[], now.as_ms() as f64 / 1000.0);
    calls(service, platform.as_str());
    records(service, topic);
    for next in Next::WORDS {
        Metric::NextSteps.add(service, &[platform.as_str(), next], 0);
    }
    for kind in webhook::KINDS {
        Metric::WebhookEvents.add(service, &[platform.as_str(), kind], 0);
    }
    for actor in Child::WORDS {
        for exit in ExitReason::ALL {
            Metric::ActorRestarts.add(service, &[actor, exit.word()], 0);
        }
    }
}

/// The statuses that a connector publishes.
pub const PUBLISHED: [&str; 4] =
    [Status::Sent.word(), Status::Delivered.word(), Status::Failed.word(), Status::Unknown.word()];

fn calls(service: &'static str, platform: &str) {
    for outcome in Outcome::WORDS {
        Metric::Deliveries.add(service, &[platform, outcome], 0);
    }
    for metric in [
        Metric::Retries,
        Metric::PossibleDuplicates,
        Metric::DuplicatesSkipped,
        Metric::CallsOutlastedDrain,
    ] {
        metric.add(service, &[platform], 0);
    }
    for level in [Metric::DeliveriesInFlight, Metric::DeliveriesParked, Metric::BreakersOpen] {
        level.shift(service, &[platform], 0.0);
    }
    Metric::AccountsPaused.shift(service, &[platform], 0.0);
    for command in AccountOrder::ALL.map(AccountOrder::word).into_iter().chain(["ignored"]) {
        Metric::AccountCommands.add(service, &[platform, command], 0);
    }
    for to in Transition::ALL {
        Metric::BreakerTransitions.add(service, &[platform, to.word()], 0);
    }
    for status in PUBLISHED {
        Metric::StatusesPublished.add(service, &[platform, status], 0);
    }
}

fn records(service: &'static str, topic: &str) {
    for metric in [Metric::RecordsConsumed, Metric::NotesUnusable] {
        metric.add(service, &[topic], 0);
    }
    for result in ["ok", "refused", "failed"] {
        Metric::Commits.add(service, &[topic, result], 0);
    }
    for reason in Reason::ALL.iter().map(|reason| reason.word()).chain([UNREADABLE]) {
        Metric::DeadLetters.add(service, &[topic, reason], 0);
    }
}
