//! Answers on the wire, broken ones included.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use serde_json::Value;

/// How long a cut answer waits between its half and its end, so that the half is on its way.
const CUT_AFTER: Duration = Duration::from_millis(10);

/// A JSON document.
pub(crate) fn json(status: StatusCode, body: &Value) -> Response {
    respond(status, Body::from(body.to_string()))
}

/// A JSON document that was written already.
pub(crate) fn respond(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json; charset=UTF-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// HTTP 503 as an overloaded gateway gives it.
pub(crate) fn down() -> Response {
    let mut response = Response::new(Body::from("Service Unavailable\n"));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let text = HeaderValue::from_static("text/plain");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}

/// The head and the first half of a document; then the connection is closed.
pub(crate) fn cut(status: StatusCode, body: &Value) -> Response {
    let whole = Bytes::from(body.to_string());
    let half = whole.slice(..whole.len() / 2);
    let end = stream::once(async {
        tokio::time::sleep(CUT_AFTER).await;
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    });
    let mut response =
        respond(status, Body::from_stream(stream::iter([Ok::<_, io::Error>(half)]).chain(end)));
    let length = HeaderValue::from(whole.len());
    response.headers_mut().insert(header::CONTENT_LENGTH, length);
    response
}

/// Nothing: the connection is closed without a byte.
pub(crate) fn nothing() -> Response {
    let end = io::Error::from(io::ErrorKind::ConnectionAborted);
    Response::new(Body::from_stream(stream::iter([Err::<Bytes, _>(end)])))
}
