//! /health, /ready and /metrics: the same for every service.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::future::BoxFuture;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Map, Value, json};

use crate::shutdown::Shutdown;

/// The longest that one readiness check may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Asks one dependency whether it answers; the error is a short text without secrets.
pub type ReadyCheck = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// What a service's probes need.
#[derive(Clone, Default)]
pub struct Probes {
    checks: Vec<(&'static str, ReadyCheck)>,
    health: Option<Arc<dyn Fn() -> Result<(), String> + Send + Sync>>,
    metrics: Option<PrometheusHandle>,
    stopping: Shutdown,
}

impl Probes {
    /// Probes with the process's registry; `None` in simulation.
    pub fn new(metrics: Option<PrometheusHandle>) -> Self {
        Self { metrics, ..Self::default() }
    }

    /// Adds a dependency to /ready.
    #[must_use]
    pub fn ready_when(mut self, dependency: &'static str, check: ReadyCheck) -> Self {
        self.checks.push((dependency, check));
        self
    }

    /// From `stopping` on /ready says no: nothing new should be sent here.
    #[must_use]
    pub fn ready_until(mut self, stopping: Shutdown) -> Self {
        self.stopping = stopping;
        self
    }

    /// Sets what /health asks. It may fail only if a restart of the process would help.
    #[must_use]
    pub fn healthy_when(
        mut self,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.health = Some(Arc::new(check));
        self
    }

    /// The three routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/health", get(health))
            .route("/ready", get(ready))
            .route("/metrics", get(metrics))
            .with_state(self)
    }
}

async fn health(State(probes): State<Probes>) -> Response {
    match probes.health.as_ref().map_or(Ok(()), |check| check()) {
        Ok(()) => Json(json!({"status": "healthy"})).into_response(),
        Err(why) => {
            let body = json!({"status": "unhealthy", "reason": why});
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

async fn ready(State(probes): State<Probes>) -> Response {
    let mut all_ready = !probes.stopping.is_triggered();
    let mut dependencies = Map::new();
    for (name, check) in &probes.checks {
        let state = match tokio::time::timeout(CHECK_TIMEOUT, check()).await {
            Ok(Ok(())) => "ready".to_owned(),
            Ok(Err(why)) => why,
            Err(_) => "no answer within 2 s".to_owned(),
        };
        all_ready &= state == "ready";
        dependencies.insert((*name).to_owned(), Value::String(state));
    }
    let status = if all_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = match (all_ready, probes.stopping.is_triggered()) {
        (_, true) => "stopping",
        (true, false) => "ready",
        (false, false) => "not_ready",
    };
    (status, Json(json!({"status": word, "dependencies": dependencies}))).into_response()
}

async fn metrics(State(probes): State<Probes>) -> Response {
    match &probes.metrics {
        Some(handle) => {
            // Histograms gather in buffers until they are drained: a scrape is the time to do it,
            // and it keeps a process that nobody scrapes bounded together with the upkeep task.
            handle.run_upkeep();
            let text_format = "text/plain; version=0.0.4; charset=utf-8";
            ([(header::CONTENT_TYPE, text_format)], handle.render()).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn get(probes: Probes, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = probes.router().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn health_is_exactly_one_document() {
        let answer = get(Probes::new(None), "/health").await;
        assert_eq!(answer, (StatusCode::OK, r#"{"status":"healthy"}"#.to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn ready_names_each_dependency() {
        let up: ReadyCheck = Arc::new(|| Box::pin(async { Ok(()) }));
        let hangs: ReadyCheck = Arc::new(|| Box::pin(std::future::pending()));
        let probes = Probes::new(None).ready_when("log", up.clone());
        assert_eq!(get(probes.clone(), "/ready").await.0, StatusCode::OK);
        let stopping = Shutdown::new();
        let probes = probes.ready_until(stopping.clone());
        assert_eq!(get(probes.clone(), "/ready").await.0, StatusCode::OK);
        stopping.trigger();
        let (status, body) = get(probes.clone(), "/ready").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains(r#""status":"stopping""#), "{body}");
        let (status, body) = get(probes.ready_when("store", hangs), "/ready").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains(r#""log":"ready","store":"no answer within 2 s""#), "{body}");
    }
}
