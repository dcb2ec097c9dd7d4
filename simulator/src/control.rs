//! The routes: the platforms' APIs, and the simulator's own endpoints.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{any, get};
use bytes::Bytes;
use chat4all_process::probe::Probes;
use chat4all_sqlite::DbError;
use serde::Serialize;
use serde_json::json;

use crate::fault::FieldError;
use crate::ledger_view::{self, Selection};
use crate::platform::{Incoming, REGISTRY};
use crate::simulator::Inner;
use crate::{answer, call, fault_request};

/// The longest body of a call. The platforms' own limits on texts are far below.
const MAX_BODY: usize = 1024 * 1024;

type Parameters = Query<BTreeMap<String, String>>;

/// See the module.
pub(crate) fn router(inner: Arc<Inner>) -> Router {
    let mut router = Router::new()
        .route("/_sim/ledger", get(conversations))
        .route("/_sim/ledger/messages", get(messages))
        .route("/_sim/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/_sim/settings", get(settings));
    for (index, platform) in REGISTRY.iter().enumerate() {
        let call = async move |State(inner): State<Arc<Inner>>, request: Request| {
            platform_call(&inner, index, request).await
        };
        router = router.route(&format!("/{}/{{*path}}", platform.name()), any(call));
    }
    router
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(inner)
        .merge(Probes::new(None).router())
}

async fn platform_call(inner: &Arc<Inner>, index: usize, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return answer::respond(StatusCode::PAYLOAD_TOO_LARGE, Body::empty());
    };
    let prefix = REGISTRY[index].name().len() + 2;
    let incoming = Incoming {
        method: &head.method,
        path: head.uri.path().get(prefix..).unwrap_or_default(),
        query: head.uri.query(),
        headers: &head.headers,
        body: &body,
    };
    call::handle(inner, index, &incoming).await
}

fn refuse(error: &FieldError) -> Response {
    answer::json(StatusCode::BAD_REQUEST, &json!({"error": error}))
}

fn selection(parameters: BTreeMap<String, String>) -> Result<Selection, FieldError> {
    let mut selection =
        Selection { platform: None, conversation: None, message: None, limit: 1000, after: 0 };
    for (key, value) in parameters {
        match key.as_str() {
            "platform" => selection.platform = Some(value),
            "conversation" => selection.conversation = Some(value),
            "message" => selection.message = Some(value),
            "limit" => match value.parse() {
                Ok(limit) if (1..=100_000).contains(&limit) => selection.limit = limit,
                _ => return Err(FieldError::new("limit", "must be a whole number, 1 to 100000")),
            },
            "after" => match value.parse() {
                Ok(after) if after >= 0 => selection.after = after,
                _ => return Err(FieldError::new("after", "must be the next of an answer")),
            },
            _ => return Err(FieldError::new("query", "has a parameter that is not known")),
        }
    }
    Ok(selection)
}

/// Ids are the clients' data, and there may be many of them: written straight to the body.
fn show(read: Result<impl Serialize, DbError>) -> Response {
    let read = read.map_err(|error| error.to_string());
    match read.and_then(|value| serde_json::to_vec(&value).map_err(|error| error.to_string())) {
        Ok(body) => answer::respond(StatusCode::OK, Body::from(body)),
        Err(error) => {
            tracing::warn!(%error, "the ledger cannot be shown");
            answer::down()
        }
    }
}

async fn conversations(State(inner): State<Arc<Inner>>, Query(parameters): Parameters) -> Response {
    match selection(parameters) {
        Ok(selection) => {
            let read = move |c: &_| ledger_view::conversations(c, &selection);
            show(inner.database.read(read).await)
        }
        Err(error) => refuse(&error),
    }
}

async fn messages(State(inner): State<Arc<Inner>>, Query(parameters): Parameters) -> Response {
    match selection(parameters) {
        Ok(selection) => {
            let read = move |c: &_| ledger_view::messages(c, &selection);
            show(inner.database.read(read).await)
        }
        Err(error) => refuse(&error),
    }
}

async fn faults(State(inner): State<Arc<Inner>>) -> Response {
    answer::json(StatusCode::OK, &json!({"faults": inner.faults.list()}))
}

async fn add_fault(State(inner): State<Arc<Inner>>, body: Bytes) -> Response {
    let added = fault_request::parse(&body).and_then(|fault| inner.faults.add(fault));
    match added {
        Ok(()) => answer::json(StatusCode::CREATED, &json!({"faults": inner.faults.list()})),
        Err(error) => refuse(&error),
    }
}

async fn clear_faults(State(inner): State<Arc<Inner>>) -> Response {
    answer::json(StatusCode::OK, &json!({"cleared": inner.faults.clear()}))
}

async fn settings(State(inner): State<Arc<Inner>>) -> Response {
    answer::json(StatusCode::OK, &json!(inner.settings))
}
