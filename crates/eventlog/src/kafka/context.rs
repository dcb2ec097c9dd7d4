//! What librdkafka's clients report: log lines, errors, statistics. Never a record's content.

use std::collections::BTreeMap;
use std::sync::Arc;

use chat4all_process::metric::Metric;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use tokio::sync::watch;

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

/// Shared by every kind of client.
#[derive(Clone)]
pub(super) struct Reporter {
    pub(super) service: &'static str,
    pub(super) failure: Failure,
}

impl Reporter {
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

    fn stats(&self, _statistics: Statistics) {}

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
