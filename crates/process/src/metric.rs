//! Every metric of the system: its name, kind, unit and meaning. Documentation, alert rules and
//! dashboards are checked against this.
//!
//! Label values are few and fixed when the program starts (platforms, routes, outcomes): never a
//! message, recipient, conversation or account.

use std::sync::Arc;

use metrics::{Counter, Gauge, Label};

/// What a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// A distribution, in seconds.
    Histogram,
}

macro_rules! metrics_enum {
    ($(
        $(#[doc = $help:literal])+
        $variant:ident = $kind:ident $name:literal [$($label:literal),*] in $unit:literal,
    )*) => {
        /// The metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Metric { $($(#[doc = $help])+ $variant,)* }

        impl Metric {
            /// Every metric.
            pub const ALL: &'static [Metric] = &[$(Metric::$variant,)*];

            /// The name as Prometheus shows it.
            pub fn name(self) -> &'static str {
                match self { $(Metric::$variant => $name,)* }
            }

            /// Counter, gauge or histogram.
            pub fn kind(self) -> Kind {
                match self { $(Metric::$variant => Kind::$kind,)* }
            }

            /// What it is counted in: `seconds`, or the things.
            pub fn unit(self) -> &'static str {
                match self { $(Metric::$variant => $unit,)* }
            }

            /// One line about what it means.
            pub fn help(self) -> &'static str {
                match self { $(Metric::$variant => concat!($($help),+).trim_ascii(),)* }
            }

            /// The labels beside `service`.
            pub fn labels(self) -> &'static [&'static str] {
                match self { $(Metric::$variant => &[$($label),*],)* }
            }
        }
    };
}

metrics_enum! {
    /// HTTP requests answered, by route and status class.
    HttpRequests = Counter "chat4all_http_requests_total" ["route", "status"] in "requests",
    /// Time from the head of a request to its answer.
    HttpRequestSeconds = Histogram "chat4all_http_request_seconds" ["route"] in "seconds",
    /// Messages answered with 202 for the first time.
    MessagesAccepted = Counter "chat4all_messages_accepted_total" ["platform"] in "messages",
    /// Messages appended to a platform's topic and acknowledged.
    MessagesRouted = Counter "chat4all_messages_routed_total" ["platform"] in "messages",
    /// Records received from the log.
    RecordsConsumed = Counter "chat4all_records_consumed_total" ["topic"] in "records",
    /// Records received and not yet done.
    RecordsInHand = Gauge "chat4all_records_in_hand" ["topic"] in "records",
    /// Records moved to dead letters.
    DeadLetters = Counter "chat4all_dead_letters_total" ["topic", "reason"] in "records",
    /// Dead letters that are unreadable themselves: counted, logged, passed over.
    LettersUnreadable = Counter "chat4all_dead_letters_unreadable_total" ["topic"] in "records",
    /// Effects (appends, store writes) that failed and will be tried again.
    EffectRetries = Counter "chat4all_effect_retries_total" ["topic"] in "effects",
    /// Commits of consumer offsets, by result.
    Commits = Counter "chat4all_commits_total" ["topic", "result"] in "commits",
    /// Assignments that could not use the committed note.
    NotesUnusable = Counter "chat4all_commit_notes_unusable_total" ["topic"] in "assignments",
    /// Calls to a platform, by outcome.
    Deliveries = Counter "chat4all_deliveries_total" ["platform", "outcome"] in "calls",
    /// Time of a call to a platform.
    DeliverySeconds = Histogram "chat4all_delivery_seconds" ["platform"] in "seconds",
    /// Calls to a platform under way.
    DeliveriesInFlight = Gauge "chat4all_deliveries_in_flight" ["platform"] in "calls",
    /// Messages waiting for a breaker, a pacer or a permit.
    DeliveriesParked = Gauge "chat4all_deliveries_parked" ["platform"] in "messages",
    /// Calls that are a repetition of an earlier one.
    Retries = Counter "chat4all_retries_total" ["platform"] in "calls",
    /// Calls that repeat one whose outcome is unknown: the receiver may get the message twice.
    PossibleDuplicates = Counter "chat4all_possible_duplicates_total" ["platform"] in "calls",
    /// What a connector decided after a call, by branch of its table.
    NextSteps = Counter "chat4all_next_steps_total" ["platform", "next"] in "decisions",
    /// Changes of a circuit breaker's state.
    BreakerTransitions = Counter "chat4all_breaker_transitions_total" ["platform", "to"] in "changes",
    /// Circuit breakers not closed.
    BreakersOpen = Gauge "chat4all_breakers_open" ["platform"] in "breakers",
    /// Accounts that an operator has paused.
    AccountsPaused = Gauge "chat4all_accounts_paused" ["platform"] in "accounts",
    /// Operators' commands to accounts that a connector has followed or ignored.
    AccountCommands = Counter "chat4all_account_commands_total" ["platform", "command"] in "commands",
    /// Records skipped because their message was already handled.
    DuplicatesSkipped = Counter "chat4all_duplicates_skipped_total" ["platform"] in "records",
    /// Status events appended and acknowledged.
    StatusesPublished = Counter "chat4all_statuses_published_total" ["platform", "status"] in "events",
    /// Status events merged into the store.
    StatusesProjected = Counter "chat4all_statuses_projected_total" ["status"] in "events",
    /// Statuses and receipts that came before the row they belong to.
    EarlyArrivals = Counter "chat4all_early_arrivals_total" ["kind"] in "events",
    /// Messages judged because they had no outcome after their life, by verdict.
    MessagesJudged = Counter "chat4all_messages_judged_total" ["reason"] in "messages",
    /// Webhook events from a platform, by kind.
    WebhookEvents = Counter "chat4all_webhook_events_total" ["platform", "kind"] in "events",
    /// Restarts of an actor, by the way it ended.
    ActorRestarts = Counter "chat4all_actor_restarts_total" ["actor", "exit"] in "restarts",
    /// When the service started, as a Unix time: a change is a restart.
    StartTime = Gauge "chat4all_start_time_seconds" [] in "seconds",
    /// Records between a group's committed position and the end of the log, in this process's partitions.
    ConsumerLag = Gauge "chat4all_consumer_lag_records" ["group", "topic"] in "records",
    /// Partitions that this process reads.
    PartitionsAssigned = Gauge "chat4all_partitions_assigned" ["group", "topic"] in "partitions",
    /// Partitions of this process whose position is unknown: not read until somebody chooses one.
    PartitionsStopped = Gauge "chat4all_partitions_stopped" ["group", "topic"] in "partitions",
    /// Age of the oldest record received and not yet done; 0 if there is none.
    OldestUnfinished = Gauge "chat4all_oldest_unfinished_seconds" ["topic"] in "seconds",
    /// Calls cut off, or not yet acknowledged by the log, when a partition went away: they may be repeated.
    CallsOutlastedDrain = Counter "chat4all_calls_outlasted_drain_total" ["platform"] in "calls",
    /// Errors reported by the client of the log, by kind.
    LogClientErrors = Counter "chat4all_log_client_errors_total" ["kind"] in "errors",
}

impl Metric {
    fn with_labels(self, service: &'static str, values: &[&str]) -> Vec<Label> {
        debug_assert_eq!(values.len(), self.labels().len(), "{} has other labels", self.name());
        let own = self.labels().iter().zip(values);
        let own = own.map(|(label, value)| Label::new(*label, (*value).to_owned()));
        std::iter::once(Label::from_static_parts("service", service)).chain(own).collect()
    }

    /// Adds one to a counter. `values` are those of [`Metric::labels`], in that order.
    pub fn count(self, service: &'static str, values: &[&str]) {
        self.add(service, values, 1);
    }

    /// Adds to a counter.
    pub fn add(self, service: &'static str, values: &[&str], n: u64) {
        metrics::counter!(self.name(), self.with_labels(service, values)).increment(n);
    }

    /// Sets a gauge.
    pub fn set(self, service: &'static str, values: &[&str], value: f64) {
        metrics::gauge!(self.name(), self.with_labels(service, values)).set(value);
    }

    /// Raises or lowers a gauge.
    pub fn shift(self, service: &'static str, values: &[&str], by: f64) {
        metrics::gauge!(self.name(), self.with_labels(service, values)).increment(by);
    }

    /// Adds a duration to a histogram.
    pub fn observe(self, service: &'static str, values: &[&str], duration: std::time::Duration) {
        metrics::histogram!(self.name(), self.with_labels(service, values))
            .record(duration.as_secs_f64());
    }
}

/// Counters of one metric that differ in their last label, looked up once: for what is counted with
/// every message. Cheap to clone.
#[derive(Clone)]
pub struct Counters(Arc<[(&'static str, Counter)]>);

impl Counters {
    /// `values` are those of [`Metric::labels`] but the last, which is one of `words`.
    pub fn new(
        metric: Metric,
        service: &'static str,
        values: &[&str],
        words: &[&'static str],
    ) -> Self {
        let counter = |word: &&'static str| {
            let all: Vec<&str> = values.iter().copied().chain([*word]).collect();
            (*word, metrics::counter!(metric.name(), metric.with_labels(service, &all)))
        };
        Self(words.iter().map(counter).collect())
    }

    /// Adds one to the counter of this word.
    pub fn count(&self, word: &str) {
        let found = self.0.iter().find(|(own, _)| *own == word);
        debug_assert!(found.is_some(), "{word} is none of its words");
        if let Some((_, counter)) = found {
            counter.increment(1);
        }
    }
}

/// A histogram of durations, looked up once. Cheap to clone.
#[derive(Clone)]
pub struct Durations(metrics::Histogram);

impl Durations {
    /// As [`Metric::observe`] names it.
    pub fn new(metric: Metric, service: &'static str, values: &[&str]) -> Self {
        Self(metrics::histogram!(metric.name(), metric.with_labels(service, values)))
    }

    /// Adds a duration.
    pub fn observe(&self, duration: std::time::Duration) {
        self.0.record(duration.as_secs_f64());
    }
}

/// One of several contributions to a gauge (an account's to its platform's). What it added is
/// taken back when it is dropped, however its owner ended.
pub struct Contribution {
    gauge: Gauge,
    added: f64,
}

impl Contribution {
    /// Adds nothing yet.
    pub fn new(metric: Metric, service: &'static str, values: &[&str]) -> Self {
        let gauge = metrics::gauge!(metric.name(), metric.with_labels(service, values));
        Self { gauge, added: 0.0 }
    }

    /// Makes this contribution `value`.
    pub fn set(&mut self, value: usize) {
        let value = value as f64;
        if value != self.added {
            self.gauge.increment(value - self.added);
            self.added = value;
        }
    }
}

impl Drop for Contribution {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_their_unit_and_kind() {
        for metric in Metric::ALL {
            let name = metric.name();
            assert!(name.starts_with("chat4all_"), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind() == Kind::Counter, "{name}");
            assert_eq!(name.ends_with("_seconds"), metric.unit() == "seconds", "{name}");
            assert!(metric.kind() != Kind::Histogram || metric.unit() == "seconds", "{name}");
            assert!(metric.help().ends_with('.'), "{name}");
        }
    }
}
