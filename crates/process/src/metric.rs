//! Every metric of the system: its name, kind and meaning. Documentation is checked against this.
//!
//! Label values are few and fixed when the program starts (platforms, routes, outcomes): never a
//! message, recipient, conversation or account.

use metrics::Label;

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
    ($($(#[doc = $help:literal])+ $variant:ident = $kind:ident $name:literal [$($label:literal),*],)*) => {
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
    HttpRequests = Counter "chat4all_http_requests_total" ["route", "status"],
    /// Time from the head of a request to its answer.
    HttpRequestSeconds = Histogram "chat4all_http_request_seconds" ["route"],
    /// Messages answered with 202 for the first time.
    MessagesAccepted = Counter "chat4all_messages_accepted_total" ["platform"],
    /// Messages appended to a platform's topic and acknowledged.
    MessagesRouted = Counter "chat4all_messages_routed_total" ["platform"],
    /// Records received from the log.
    RecordsConsumed = Counter "chat4all_records_consumed_total" ["topic"],
    /// Records received and not yet done.
    RecordsInHand = Gauge "chat4all_records_in_hand" ["topic"],
    /// Records moved to dead letters.
    DeadLetters = Counter "chat4all_dead_letters_total" ["topic", "reason"],
    /// Effects (appends, store writes) that failed and will be tried again.
    EffectRetries = Counter "chat4all_effect_retries_total" ["topic"],
    /// Commits of consumer offsets, by result.
    Commits = Counter "chat4all_commits_total" ["topic", "result"],
    /// Assignments that could not use the committed note.
    NotesUnusable = Counter "chat4all_commit_notes_unusable_total" ["topic"],
    /// Calls to a platform, by outcome.
    Deliveries = Counter "chat4all_deliveries_total" ["platform", "outcome"],
    /// Time of a call to a platform.
    DeliverySeconds = Histogram "chat4all_delivery_seconds" ["platform"],
    /// Calls to a platform under way.
    DeliveriesInFlight = Gauge "chat4all_deliveries_in_flight" ["platform"],
    /// Messages waiting for a breaker, a pacer or a permit.
    DeliveriesParked = Gauge "chat4all_deliveries_parked" ["platform"],
    /// Calls that are a repetition of an earlier one.
    Retries = Counter "chat4all_retries_total" ["platform"],
    /// Changes of a circuit breaker's state.
    BreakerTransitions = Counter "chat4all_breaker_transitions_total" ["platform", "to"],
    /// Circuit breakers not closed.
    BreakersOpen = Gauge "chat4all_breakers_open" ["platform"],
    /// Records skipped because their message was already handled.
    DuplicatesSkipped = Counter "chat4all_duplicates_skipped_total" ["platform"],
    /// Status events appended and acknowledged.
    StatusesPublished = Counter "chat4all_statuses_published_total" ["platform", "status"],
    /// Status events merged into the store.
    StatusesProjected = Counter "chat4all_statuses_projected_total" ["status"],
    /// Statuses and receipts that came before the row they belong to.
    EarlyArrivals = Counter "chat4all_early_arrivals_total" ["kind"],
    /// Webhook events from a platform, by kind.
    WebhookEvents = Counter "chat4all_webhook_events_total" ["platform", "kind"],
    /// Restarts of an actor, by the way it ended.
    ActorRestarts = Counter "chat4all_actor_restarts_total" ["actor", "exit"],
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

/// One of several contributions to a gauge (an account's to its platform's). What it added is
/// taken back when it is dropped, however its owner ended.
#[derive(Debug)]
pub struct Contribution {
    metric: Metric,
    service: &'static str,
    values: Vec<String>,
    added: f64,
}

impl Contribution {
    /// Adds nothing yet.
    pub fn new(metric: Metric, service: &'static str, values: &[&str]) -> Self {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Self { metric, service, values, added: 0.0 }
    }

    /// Makes this contribution `value`.
    pub fn set(&mut self, value: usize) {
        let value = value as f64;
        if value != self.added {
            let values: Vec<&str> = self.values.iter().map(String::as_str).collect();
            self.metric.shift(self.service, &values, value - self.added);
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
            assert_eq!(name.ends_with("_seconds"), metric.kind() == Kind::Histogram, "{name}");
            assert!(metric.help().ends_with('.'), "{name}");
        }
    }
}
