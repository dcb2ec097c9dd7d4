//! Counts and times every request. Labels are the matched route and the class of the status,
//! never the path itself: that holds ids.

use axum::extract::{MatchedPath, Request};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use chat4all_process::metric::Metric;
use tokio::time::Instant;

use crate::shared::SERVICE;

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
