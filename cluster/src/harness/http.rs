//! A client of the API, the probes and the simulator.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chat4all_process::http_client::{CallError, HttpClient, HttpPort};
use http::{HeaderMap, Method, Request, StatusCode, header};
use serde_json::Value;

/// Longer than the 5 s within which the API promises an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Http(Arc<dyn HttpPort>);

/// An answer as text.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub text: String,
}

impl Answer {
    /// Its body, if that is JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

impl Default for Http {
    fn default() -> Self {
        Self::new()
    }
}

impl Http {
    /// With no connection yet.
    pub fn new() -> Self {
        Self(Arc::new(HttpClient::over_tcp()))
    }

    async fn call(
        &self,
        method: Method,
        url: &str,
        body: impl Into<Bytes>,
        more: Option<(&str, &str)>,
    ) -> Result<Answer, CallError> {
        let mut request = Request::builder().method(&method).uri(url);
        if let Some((name, value)) = more {
            request = request.header(name, value);
        }
        if method == Method::POST {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(body.into()).expect("a request");
        let (head, body) = self.0.call(request, TIMEOUT).await?.into_parts();
        let text = String::from_utf8_lossy(&body).into_owned();
        Ok(Answer { status: head.status, headers: head.headers, text })
    }

    /// The text at an address, unless nothing (good) answers there now.
    pub async fn text(&self, url: &str) -> Option<String> {
        let answer = self.call(Method::GET, url, "", None).await.ok()?;
        answer.status.is_success().then_some(answer.text)
    }

    /// As [`Http::text`], of a JSON document.
    pub async fn get(&self, url: &str) -> Option<Value> {
        serde_json::from_str(&self.text(url).await?).ok()
    }

    /// Posts a JSON document.
    pub async fn post(&self, url: &str, body: &Value) -> Result<Answer, CallError> {
        self.post_with(url, body, None).await
    }

    /// As [`Http::post`], with one more header.
    pub async fn post_with(
        &self,
        url: &str,
        body: &Value,
        header: Option<(&str, &str)>,
    ) -> Result<Answer, CallError> {
        self.call(Method::POST, url, body.to_string(), header).await
    }

    /// Deletes what is at an address.
    pub async fn delete(&self, url: &str) -> Result<Answer, CallError> {
        self.call(Method::DELETE, url, "", None).await
    }
}
