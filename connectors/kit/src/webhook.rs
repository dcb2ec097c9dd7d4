//! The platform's webhook: what it reports is in the log before it hears 200.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chat4all_eventlog::{NewRecord, Producer, Topology, append};
use chat4all_process::Clock;
use chat4all_process::metric::Metric;
use futures::future::try_join_all;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::platform::{Platform, Webhook, WebhookEvent, WebhookRefusal};
use crate::receipts::{Receipts, Subject};
use crate::statuses::Statuses;

/// The largest body: platforms send batches of up to 3 MB.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// How long the log may take; then the platform hears 503 and repeats.
pub(crate) const APPEND_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The most bodies in memory at once: with [`MAX_BODY_BYTES`] at most 256 MiB. Probes are not
/// counted, so a flood of webhooks does not look like a dead process.
const MAX_BODIES: usize = 64;

/// What is counted.
pub(crate) const KINDS: [&str; 9] = [
    "status",
    "taken",
    "receipt",
    "inbound",
    "ignored",
    "refused_signature",
    "refused_body",
    "overloaded",
    "panicked",
];

/// What the webhook stands on.
#[derive(Clone)]
pub(crate) struct WebhookDeps {
    pub service: &'static str,
    pub platform: Arc<dyn Platform>,
    pub producer: Arc<dyn Producer>,
    pub statuses: Statuses,
    pub topology: Topology,
    pub clock: Clock,
    pub places: Arc<Semaphore>,
    pub receipts: Receipts,
}

/// Room for the bodies of one webhook.
pub(crate) fn places() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(MAX_BODIES))
}

/// `GET` and `POST /webhook`.
pub(crate) fn router(deps: WebhookDeps) -> Router {
    Router::new().route("/webhook", get(confirm).post(receive)).with_state(deps)
}

async fn confirm(
    State(deps): State<WebhookDeps>,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    match deps.platform.confirm_webhook(&query) {
        Some(challenge) => challenge.into_response(),
        None => (StatusCode::FORBIDDEN, "the verify token does not match").into_response(),
    }
}

async fn receive(State(deps): State<WebhookDeps>, request: Request) -> Response {
    let Ok(_place) = deps.places.try_acquire() else {
        deps.count("overloaded", 1);
        return try_again();
    };
    let (head, body) = request.into_parts();
    let headers = head.headers;
    let body = match timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY_BYTES)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return (StatusCode::PAYLOAD_TOO_LARGE, "at most 4 MiB").into_response(),
        Err(_) => return (StatusCode::REQUEST_TIMEOUT, "too slow").into_response(),
    };
    let read = || deps.platform.read_webhook(&headers, &body);
    let webhook = match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(webhook)) => webhook,
        Ok(Err(WebhookRefusal::Signature)) => {
            deps.count("refused_signature", 1);
            return (StatusCode::UNAUTHORIZED, "the signature is missing or wrong").into_response();
        }
        Ok(Err(WebhookRefusal::Body)) => {
            deps.count("refused_body", 1);
            return (StatusCode::BAD_REQUEST, "not a body of this platform").into_response();
        }
        Err(_) => {
            // Repeated by the platform, so that a mended release can still read it.
            tracing::error!("the connector's code panicked on a webhook");
            deps.count("panicked", 1);
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    // The producer's own patience does not cover the wait for room in its queue.
    match timeout(APPEND_TIMEOUT, deps.append_all(webhook)).await {
        Ok(Ok(())) => StatusCode::OK.into_response(),
        Ok(Err(error)) => {
            tracing::warn!(%error, "a webhook could not be written; the platform will repeat it");
            try_again()
        }
        Err(_) => {
            tracing::warn!("a webhook was not written in time; the platform will repeat it");
            try_again()
        }
    }
}

fn try_again() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")]).into_response()
}

/// What a report shows to have been taken by the platform: also a failure after that does.
fn subject(event: &WebhookEvent) -> Option<Subject> {
    match event {
        WebhookEvent::Status(report) => Some((report.message_id.clone(), report.generation)),
        WebhookEvent::Taken(message_id, generation) => Some((message_id.clone(), *generation)),
        WebhookEvent::Receipt(_) | WebhookEvent::Inbound(_) => None,
    }
}

impl WebhookDeps {
    fn count(&self, kind: &str, n: u64) {
        let platform = self.platform.name().as_str();
        Metric::WebhookEvents.add(self.service, &[platform, kind], n);
    }

    /// One event after the other is queued; all acknowledgements are waited for together.
    async fn append_all(&self, webhook: Webhook) -> Result<(), chat4all_eventlog::AppendError> {
        let taken: Vec<Subject> = webhook.events.iter().filter_map(subject).collect();
        let (kinds, records): (Vec<&str>, Vec<Option<NewRecord>>) =
            webhook.events.into_iter().map(|event| self.record(event)).unzip();
        let appends = records.into_iter().flatten().map(|record| append(&*self.producer, record));
        try_join_all(appends).await?;
        kinds.into_iter().for_each(|kind| self.count(kind, 1));
        taken.into_iter().for_each(|subject| self.receipts.saw(subject));
        if webhook.ignored > 0 {
            self.count("ignored", webhook.ignored as u64);
        }
        Ok(())
    }

    fn record(&self, event: WebhookEvent) -> (&'static str, Option<NewRecord>) {
        let now = self.clock.now();
        let (kind, record) = match event {
            WebhookEvent::Status(report) => {
                let update = self.statuses.reported(report);
                ("status", self.topology.status_update(&update, now))
            }
            WebhookEvent::Receipt(receipt) => ("receipt", self.topology.receipt(&receipt, now)),
            WebhookEvent::Inbound(inbound) => ("inbound", self.topology.inbound(&inbound, now)),
            WebhookEvent::Taken(..) => return ("taken", None),
        };
        (kind, Some(record))
    }
}
