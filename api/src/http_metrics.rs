//! Counts and times every request. Labels are the matched route and the class of the status,
//! never the path itself: that holds ids.

use axum::extract::{MatchedPath, Request};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use chat4all_contracts::{EpochMs, Platforms};
use chat4all_process::metric::Metric;
use tokio::time::Instant;

use crate::shared::SERVICE;

/// The routes whose series exist from the start: a rate of nothing is no rate.
const ROUTES: [&str; 8] = [
    "/v1/messages",
    "/v1/messages/{message_id}",
    "/v1/conversations/{conversation_id}/messages",
    "/v1/dead-letters",
    "/v1/dead-letters/{letter_id}",
    "/v1/dead-letters/redrive",
    "/v1/dead-letters/discard",
    "/v1/audit",
];

/// Announces the API's series.
pub(crate) fn announce(platforms: &Platforms, now: EpochMs) {
    Metric::StartTime.set(SERVICE, &[], now.as_ms() as f64 / 1000.0);
    for route in ROUTES {
        for class in ["2xx", "4xx", "5xx"] {
            Metric::HttpRequests.add(SERVICE, &[route, class], 0);
        }
    }
    for platform in platforms.0.keys() {
        Metric::MessagesAccepted.add(SERVICE, &[platform.as_str()], 0);
    }
}

/// Middleware around every route.
pub(crate) async fn track(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = matched.as_ref().map_or("unmatched", MatchedPath::as_str);
    Metric::HttpRequests.count(SERVICE, &[route, class(response.status())]);
    Metric::HttpRequestSeconds.observe(SERVICE, &[route], started.elapsed());
    response
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}
