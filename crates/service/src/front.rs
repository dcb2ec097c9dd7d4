//! The port of a service, from before it runs: probes at once, everything else when it is there.
//!
//! So an orchestrator can ask /health and /ready while brokers are still starting.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tower::ServiceExt;

/// What is behind the port.
#[derive(Clone, Default)]
pub(crate) struct Front {
    service: Arc<OnceLock<Router>>,
}

impl Front {
    /// What the port serves: `early` until [`Front::open`].
    pub(crate) fn router(&self, early: Router) -> Router {
        let early = early.fallback(not_yet);
        let service = self.service.clone();
        let answer = async move |request: Request| -> Result<Response, Infallible> {
            service.get().unwrap_or(&early).clone().oneshot(request).await
        };
        Router::new().fallback(async move |request: Request| match answer(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        })
    }

    /// From now on the service answers.
    pub(crate) fn open(&self, service: Router) {
        if self.service.set(service).is_err() {
            tracing::error!("a service was opened twice");
        }
    }
}

/// Nothing was done with the request: the client comes again.
async fn not_yet() -> Response {
    let body = "the service is still starting\n";
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], body).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;

    use super::*;

    async fn status(router: &Router, path: &str) -> StatusCode {
        let request = Request::get(path).body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn probes_are_answered_before_the_service_is_there() {
        let front = Front::default();
        let router = front.router(Router::new().route("/health", get(|| async { "early" })));
        assert_eq!(status(&router, "/health").await, StatusCode::OK);
        assert_eq!(status(&router, "/v1/messages").await, StatusCode::SERVICE_UNAVAILABLE);
        front.open(Router::new().route("/v1/messages", get(|| async { "service" })));
        assert_eq!(status(&router, "/v1/messages").await, StatusCode::OK);
        assert_eq!(status(&router, "/health").await, StatusCode::NOT_FOUND);
    }
}
