//! What librdkafka's clients report: log lines, errors, statistics. Never a record's content.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chat4all_librdkafka::name_brokers;
use chat4all_process::metric::Metric;
use rdkafka::ClientContext;
use rdkafka::client::Client;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use tokio::sync::watch;
use tokio::time::Instant;

/// The first fatal error of any client of a log: the process has to end then.
#[derive(Clone)]
pub(super) struct Failure(Arc<watch::Sender<Option<String>>>);

impl Failure {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }

    /// Keeps the first reason.
    pub(super) fn report(&self, reason: String) {
        self.0.send_if_modified(|first| {
            let is_first = first.is_none();
            if is_first {
                *first = Some(reason);
            }
            is_first
        });
    }

    pub(super) fn reason(&self) -> Option<String> {
        self.0.borrow().clone()
    }

    /// Resolves with the reason, if there ever is one.
    pub(super) async fn wait(self) -> String {
        let mut receiver = self.0.subscribe();
        loop {
            if let Some(reason) = receiver.borrow_and_update().clone() {
                return reason;
            }
            if receiver.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

/// How often a client tells its statistics.
pub(super) const STATISTICS_MS: &str = "5000";

/// The least time between two namings: librdkafka keeps a list of them, and brokers that are only away
/// come back by themselves.
const NAME_AGAIN: Duration = Duration::from_secs(10);

/// Shared by every kind of client.
#[derive(Clone)]
pub(super) struct Reporter {
    pub(super) service: &'static str,
    pub(super) failure: Failure,
    /// The brokers to begin with.
    bootstrap: Arc<str>,
    /// Whether the client that this reports for has no broker left.
    is_lost: Arc<AtomicBool>,
    /// When brokers were last named to it.
    named: Arc<Mutex<Option<Instant>>>,
}

impl Reporter {
    pub(super) fn new(service: &'static str, bootstrap: &str) -> Self {
        let (failure, bootstrap) = (Failure::new(), bootstrap.into());
        Self { service, failure, bootstrap, is_lost: Arc::default(), named: Arc::default() }
    }

    /// For one client more.
    pub(super) fn of_another(&self) -> Self {
        Self { is_lost: Arc::default(), named: Arc::default(), ..self.clone() }
    }

    /// Looks whether the client has a broker left that it could ask.
    pub(super) fn look_for_brokers(&self, statistics: &Statistics) {
        let states = statistics.brokers.values().map(|broker| (&*broker.source, &*broker.state));
        self.is_lost.store(!has_broker(states), Ordering::Relaxed);
    }

    /// Names the brokers to begin with again to a client that has none left.
    pub(super) fn find_brokers<C: ClientContext>(&self, client: &Client<C>) {
        if self.is_lost.swap(false, Ordering::Relaxed) {
            self.name_brokers(client);
        }
    }

    /// As [`Reporter::find_brokers`], for a client that has just asked in vain.
    pub(super) fn name_brokers<C: ClientContext>(&self, client: &Client<C>) {
        let now = Instant::now();
        // Every change is complete before anything that could panic.
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if named.is_some_and(|at| now < at + NAME_AGAIN) {
            return;
        }
        *named = Some(now);
        if !name_brokers(client, &self.bootstrap) {
            tracing::error!(brokers = &*self.bootstrap, "librdkafka takes none of the brokers");
        }
    }

    /// An error of the client as a whole. Everything but a fatal one heals by itself.
    fn error(&self, error: &KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        if code == Some(RDKafkaErrorCode::PartitionEOF) {
            // What a reader asks to be told: no error.
            return;
        }
        Metric::LogClientErrors.count(self.service, &[kind(code)]);
        if code == Some(RDKafkaErrorCode::Fatal) {
            tracing::error!(reason, "the log's client cannot go on");
            self.failure.report(format!("Kafka's client cannot go on: {reason}"));
            return;
        }
        match code {
            // Reported where it happens, with the partition.
            Some(RDKafkaErrorCode::AutoOffsetReset) => {}
            _ => tracing::warn!(%error, reason, "the log's client reports"),
        }
    }
}

/// Whether one of these can be asked: where it comes from, and its state. One of the configuration is
/// connected when it is needed. One that the cluster has named is only if it is connected: a forgotten
/// one stays in the list until nothing refers to it. Others are no brokers: one for the client itself,
/// one for each role.
fn has_broker<'a>(brokers: impl IntoIterator<Item = (&'a str, &'a str)>) -> bool {
    brokers.into_iter().any(|broker| matches!(broker, ("configured", _) | ("learned", "UP")))
}

/// A few words for a metric's label.
fn kind(code: Option<RDKafkaErrorCode>) -> &'static str {
    match code {
        Some(RDKafkaErrorCode::Fatal) => "fatal",
        Some(RDKafkaErrorCode::AllBrokersDown) => "all_brokers_down",
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::Resolve
            | RDKafkaErrorCode::OperationTimedOut,
        ) => "connection",
        Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed) => {
            "authentication"
        }
        Some(RDKafkaErrorCode::AutoOffsetReset) => "offset",
        _ => "other",
    }
}

/// The kinds of [`Metric::LogClientErrors`].
pub(super) const ERROR_KINDS: [&str; 6] =
    ["fatal", "all_brokers_down", "connection", "authentication", "offset", "other"];

impl ClientContext for Reporter {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::warn!(facility, said = message, "librdkafka"),
            _ => tracing::debug!(facility, said = message, "librdkafka"),
        }
    }

    fn stats(&self, statistics: Statistics) {
        self.look_for_brokers(&statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Self::error(self, &error, reason);
    }
}

/// How many records each topic has between the committed offset and its end, over the partitions
/// of this consumer.
pub(super) fn lag(statistics: &Statistics) -> BTreeMap<&str, i64> {
    let mut lag = BTreeMap::new();
    for (name, topic) in &statistics.topics {
        for partition in topic.partitions.values() {
            // -1 = not known: not ours, or not fetched yet. Partition -1 is librdkafka's own.
            if partition.partition >= 0 && partition.consumer_lag >= 0 {
                *lag.entry(name.as_str()).or_default() += partition.consumer_lag;
            }
        }
    }
    lag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_broker_that_is_connected_or_configured_can_be_asked() {
        assert!(has_broker([("internal", "INIT"), ("learned", "INIT"), ("learned", "UP")]));
        assert!(has_broker([("internal", "UP"), ("configured", "INIT")]));
        assert!(!has_broker([("logical", "UP"), ("internal", "UP"), ("learned", "INIT")]));
        assert!(!has_broker([]));
    }
}
