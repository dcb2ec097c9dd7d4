//! The platform's webhook: what it reports is in the log before it hears 200.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chat4all_eventlog::{NewRecord, Producer, Topology, append};
use chat4all_process::Clock;
use chat4all_process::metric::Metric;
use futures::future::try_join_all;

use crate::platform::{Platform, Webhook, WebhookEvent, WebhookRefusal};
use crate::statuses::Statuses;

/// The largest body: platforms send batches of up to 3 MB.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// How long the log may take; then the platform hears 503 and repeats.
pub(crate) const APPEND_TIMEOUT: Duration = Duration::from_secs(5);

/// What the webhook stands on.
#[derive(Clone)]
pub(crate) struct WebhookDeps {
    pub service: &'static str,
    pub platform: Arc<dyn Platform>,
    pub producer: Arc<dyn Producer>,
    pub statuses: Statuses,
    pub topology: Topology,
    pub clock: Clock,
}

/// `GET` and `POST /webhook`.
pub(crate) fn router(deps: WebhookDeps) -> Router {
    Router::new()
        .route("/webhook", get(confirm).post(receive))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(deps)
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

async fn receive(State(deps): State<WebhookDeps>, headers: HeaderMap, body: Bytes) -> Response {
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
    match deps.append_all(webhook).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => {
            tracing::warn!(%error, "a webhook could not be written; the platform will repeat it");
            let retry_after = [(header::RETRY_AFTER, "5")];
            (StatusCode::SERVICE_UNAVAILABLE, retry_after).into_response()
        }
    }
}

impl WebhookDeps {
    fn count(&self, kind: &str, n: u64) {
        let platform = self.platform.name().as_str();
        Metric::WebhookEvents.add(self.service, &[platform, kind], n);
    }

    /// One event after the other is queued; all acknowledgements are waited for together.
    async fn append_all(&self, webhook: Webhook) -> Result<(), chat4all_eventlog::AppendError> {
        if webhook.ignored > 0 {
            self.count("ignored", webhook.ignored as u64);
        }
        let records = webhook.events.into_iter().map(|event| self.record(event));
        let records: Vec<NewRecord> = records.collect();
        try_join_all(records.into_iter().map(|record| append(&*self.producer, record))).await?;
        Ok(())
    }

    fn record(&self, event: WebhookEvent) -> NewRecord {
        let now = self.clock.now();
        match event {
            WebhookEvent::Status(report) => {
                self.count("status", 1);
                self.topology.status_update(&self.statuses.reported(report), now)
            }
            WebhookEvent::Receipt(receipt) => {
                self.count("receipt", 1);
                self.topology.receipt(&receipt, now)
            }
            WebhookEvent::Inbound(inbound) => {
                self.count("inbound", 1);
                self.topology.inbound(&inbound, now)
            }
        }
    }
}
