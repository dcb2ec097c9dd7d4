//! Talks to the API of a running Chat4All, as any application would.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use bytes::Bytes;
use chat4all_process::http_client::{CallError, HttpClient, HttpPort};
use chat4all_process::{Failure, exit};
use http::{Method, Request, StatusCode, header};
use serde_json::Value;

use crate::cli::ApiArgs;

/// Longer than the API takes for any answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A client of one API.
pub(crate) struct ApiClient {
    base: String,
    http: Box<dyn HttpPort>,
    json: bool,
}

impl ApiClient {
    pub(crate) fn new(args: &ApiArgs) -> Self {
        let json = args.json || !std::io::stdout().is_terminal();
        let base = args.api.trim_end_matches('/').to_owned();
        Self { base, http: Box::new(HttpClient::over_tcp()), json }
    }

    /// Whether the output is for a program.
    pub(crate) fn wants_json(&self) -> bool {
        self.json
    }

    /// Prints one line. A reader that has gone away is no reason to complain.
    pub(crate) fn print(&self, line: &str) {
        let _closed = writeln!(std::io::stdout(), "{line}");
    }

    /// Makes a call; a document with an error status is a failure that names its problem.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        idempotency_key: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(key) = idempotency_key {
            request = request.header("idempotency-key", key);
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request.body(Bytes::from(body)).ok();
        let request = request.filter(|request| request.uri().authority().is_some());
        let request = request.ok_or_else(|| {
            let text =
                "--api must be an address such as http://127.0.0.1:8080, and a key printable";
            Failure::new(exit::CONFIGURATION, text)
        })?;
        let answer =
            self.http.call(request, TIMEOUT).await.map_err(|error| self.unreachable(error))?;
        let status = answer.status();
        // Whatever else listens there must not look like an API that has nothing to tell.
        let document = serde_json::from_slice::<Value>(answer.body()).ok();
        let document = document.filter(|document| is_ours(status, document));
        let document = document.ok_or_else(|| {
            let text = format!("what answers at {} is not the API: HTTP {status}", self.base);
            Failure::new(exit::UNSUCCESSFUL, text)
        })?;
        if status.is_success() { Ok(document) } else { Err(problem(status, &document)) }
    }

    fn unreachable(&self, error: CallError) -> Failure {
        let text = match error {
            CallError::NotSent => format!(
                "nothing answers at {}; start it with `chat4all`, or name another with --api",
                self.base
            ),
            CallError::InDoubt(what) => format!("{} did not answer: {what}", self.base),
        };
        Failure::new(exit::UNSUCCESSFUL, text)
    }
}

/// Whether the API answers like this: with an object, and with a word for whatever is wrong.
fn is_ours(status: StatusCode, document: &Value) -> bool {
    document.is_object() && (status.is_success() || document["code"].is_string())
}

fn problem(status: StatusCode, document: &Value) -> Failure {
    let text = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
    let detail = match (text("detail"), text("fix")) {
        (detail, fix) if fix.is_empty() => detail,
        (detail, fix) => format!("{detail}\n  fix: {fix}"),
    };
    let code = if status.is_client_error() && status != StatusCode::NOT_FOUND {
        exit::CONFIGURATION
    } else {
        exit::UNSUCCESSFUL
    };
    Failure::new(code, format!("{}: {detail}", text("code")))
}

/// A path with a message's id in it.
pub(crate) fn message_path(id: &str) -> String {
    format!("/v1/messages/{}", encoded(id))
}

/// The query of a path: nothing, or `?name=value&…`. The names need no encoding.
pub(crate) fn query(parameters: &[(&str, &str)]) -> String {
    let pairs = parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
    let pairs = pairs.collect::<Vec<_>>().join("&");
    if pairs.is_empty() { pairs } else { format!("?{pairs}") }
}

/// A text as one segment of a path, or one value of a query.
pub(crate) fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            // Writing to a string cannot fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}
