//! Logs and metrics of a process, installed once.

use std::io::IsTerminal;
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::metric::{Kind, Metric};
use crate::shutdown::Shutdown;

/// What is logged unless `CHAT4ALL_LOG` says otherwise. ractor has a span for each actor, which would be
/// entered with every message and tells a reader nothing that the line itself does not.
const LOGGED: &str = "info,ractor=warn";

/// Starts logging to standard error: lines for a person on a terminal, JSON otherwise.
///
/// `CHAT4ALL_LOG` takes a filter such as `info` or `chat4all_router=debug`.
pub fn start_logging() {
    let filter = EnvFilter::try_from_env("CHAT4ALL_LOG").unwrap_or_else(|_| EnvFilter::new(LOGGED));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    hide_panic_texts();
    // A second call (tests in one process) keeps the first subscriber.
    let _already_started = if std::io::stderr().is_terminal() {
        builder.compact().try_init().is_err()
    } else {
        builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .try_init()
            .is_err()
    };
}

/// Makes a panic a log line that names its place only: its text may quote what it failed on (I10).
pub fn hide_panic_texts() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a panic");
    }));
}

/// Upper bounds of the histograms' buckets, in seconds: 1 ms to 30 s.
const BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Installs the registry of this process and describes every metric in it.
///
/// # Errors
/// If a registry is installed already.
pub fn start_metrics() -> Result<PrometheusHandle, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for metric in Metric::ALL.iter().filter(|metric| metric.kind() == Kind::Histogram) {
        let name = Matcher::Full(metric.name().to_owned());
        builder = builder.set_buckets_for_metric(name, BUCKETS)?;
    }
    let handle = builder.install_recorder()?;
    for metric in Metric::ALL {
        match metric.kind() {
            Kind::Counter => metrics::describe_counter!(metric.name(), metric.help()),
            Kind::Gauge => metrics::describe_gauge!(metric.name(), metric.help()),
            Kind::Histogram => metrics::describe_histogram!(metric.name(), metric.help()),
        }
    }
    Ok(handle)
}

/// How often the histograms' buffers are emptied when nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// Keeps the registry small until `stop`.
pub async fn keep_metrics_small(metrics: PrometheusHandle, stop: Shutdown) {
    while stop.unless(tokio::time::sleep(UPKEEP)).await.is_some() {
        metrics.run_upkeep();
    }
}
