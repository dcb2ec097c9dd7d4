//! A client of the API, the probes and the simulator.

use std::time::Duration;

use bytes::Bytes;
use chat4all_process::http_client::{CallError, HttpClient, HttpPort};
use http::{Method, Request, StatusCode, header};
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Http(std::sync::Arc<dyn HttpPort>);

/// An answer as text.
pub struct Answer {
    pub status: StatusCode,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

impl Http {
    pub fn new() -> Self {
        Self(std::sync::Arc::new(HttpClient::over_tcp()))
    }

    pub async fn call(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, CallError> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).expect("a request");
        let answer = self.0.call(request, TIMEOUT).await?;
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        Ok(Answer { status: answer.status(), text })
    }

    /// The document at an address, unless nothing (good) answers there now.
    pub async fn get(&self, url: &str) -> Option<Value> {
        let answer = self.call(Method::GET, url, &[], "").await.ok()?;
        answer.status.is_success().then(|| answer.json())
    }

    pub async fn post(&self, url: &str, body: &Value) -> Result<Answer, CallError> {
        let json = [(header::CONTENT_TYPE.as_str(), "application/json")];
        self.call(Method::POST, url, &json, body.to_string()).await
    }
}
