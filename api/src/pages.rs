//! Pages about the API itself: the OpenAPI document, a page for each error code, and what is
//! answered where there is no page.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error_code::ErrorCode;
use crate::problem::Problem;
use crate::shared::Shared;

/// The OpenAPI document
#[utoipa::path(get, path = "/openapi.json", operation_id = "openapi", tag = "operations",
    responses((status = 200, description = "This document.", body = serde_json::Value)))]
pub(crate) async fn openapi(State(api): State<Arc<Shared>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], api.openapi.clone()).into_response()
}

/// Explain an error code
#[utoipa::path(get, path = "/errors/{code}", operation_id = "error_page", tag = "operations",
    params(("code" = ErrorCode, Path, description = "The `code` of a problem.")),
    responses((status = 200, description = "What the code means and what to do.", body = String,
        content_type = "text/plain")))]
pub(crate) async fn error_page(code: Result<Path<String>, PathRejection>) -> Response {
    match code.ok().and_then(|Path(word)| ErrorCode::from_word(&word)) {
        Some(code) => code.page().into_response(),
        None => Problem::of(ErrorCode::NotFound).into_response(),
    }
}

/// Any address that is no route.
pub(crate) async fn not_found() -> Problem {
    Problem::of(ErrorCode::NotFound)
}

/// A route with a method that it does not have; the router adds the Allow header.
pub(crate) async fn method_not_allowed() -> Problem {
    Problem::of(ErrorCode::MethodNotAllowed)
}

/// Bounds the requests being handled (I7). A refusal costs nothing, so nobody waits in a queue.
pub(crate) async fn bounded(
    State(api): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    match api.in_flight.try_acquire() {
        Ok(_permit) => next.run(request).await,
        Err(_) => Problem::of(ErrorCode::Overloaded).into_response(),
    }
}
