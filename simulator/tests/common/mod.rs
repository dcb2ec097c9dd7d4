//! A simulator under a paused clock, a connector's webhook that answers as told, and calls.
#![allow(dead_code, clippy::unwrap_used)] // helpers; each test program uses a part of them

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use bytes::Bytes;
use chat4all_contracts::EpochMs;
use chat4all_process::http_client::{CallError, HttpPort};
use chat4all_process::{Clock, Random, Shutdown};
use chat4all_simulator::{Settings, Simulator};
use chat4all_sqlite::Database;
use futures::future::BoxFuture;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tower::ServiceExt;

/// Milliseconds since 1970 when every test starts.
pub const START_MS: u64 = 1_700_000_000_000;
pub const WHATSAPP: &str = "/whatsapp/v26.0/1001/messages";
pub const INSTAGRAM: &str = "/instagram/v25.0/17840001/messages";

/// One call of a webhook.
#[derive(Clone, Debug, PartialEq)]
pub struct Hook {
    pub at_ms: u64,
    pub url: String,
    pub signature: String,
    pub raw: Vec<u8>,
    pub body: Value,
}

impl Hook {
    /// The first WhatsApp status.
    pub fn status(&self) -> &Value {
        &self.body["entry"][0]["changes"][0]["value"]["statuses"][0]
    }

    /// What the first WhatsApp status says.
    pub fn stage(&self) -> &str {
        self.status()["status"].as_str().unwrap_or("none")
    }
}

/// The connectors' webhooks.
pub struct Connector {
    clock: Clock,
    hooks: Mutex<Vec<Hook>>,
    /// The next answers; afterwards 200. 0 = never an answer.
    answers: Mutex<Vec<u16>>,
    /// URLs with this in them never answer.
    deaf: Mutex<Option<&'static str>>,
}

impl Connector {
    pub fn hooks(&self) -> Vec<Hook> {
        self.hooks.lock().unwrap().clone()
    }

    pub fn answer(&self, statuses: &[u16]) {
        *self.answers.lock().unwrap() = statuses.iter().rev().copied().collect();
    }

    pub fn is_deaf_at(&self, part: &'static str) {
        *self.deaf.lock().unwrap() = Some(part);
    }
}

impl HttpPort for Connector {
    fn call(
        &self,
        request: Request<Bytes>,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<Response<Bytes>, CallError>> {
        Box::pin(async move {
            let url = request.uri().to_string();
            let signature = request.headers()["x-hub-signature-256"].to_str().unwrap().to_owned();
            let raw = request.body().to_vec();
            let body = serde_json::from_slice(&raw).unwrap();
            let at_ms = self.clock.now().as_ms() - START_MS;
            let is_deaf = self.deaf.lock().unwrap().is_some_and(|part| url.contains(part));
            self.hooks.lock().unwrap().push(Hook { at_ms, url, signature, raw, body });
            let status = self.answers.lock().unwrap().pop().unwrap_or(200);
            if is_deaf || status == 0 {
                tokio::time::sleep(timeout).await; // sleep: simulated time
                return Err(CallError::InDoubt("timeout"));
            }
            tokio::time::sleep(Duration::from_millis(3)).await; // sleep: simulated time
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            Ok(response)
        })
    }
}

/// The settings of a test: fixed times unless it says otherwise, a webhook for each platform.
pub fn settings(more: Value) -> Settings {
    let mut all = json!({
        "latency_min_ms": 300, "latency_max_ms": 300,
        "delivered_after_min_ms": 200, "delivered_after_max_ms": 200,
        "read_after_min_ms": 1000, "read_after_max_ms": 1000,
        "webhooks": {
            "whatsapp": {"url": "http://connector/wa", "app_secret": "wa-secret"},
            "instagram": {"url": "http://connector/ig", "app_secret": "ig-secret"},
        },
    });
    for (key, value) in more.as_object().unwrap() {
        all[key] = value.clone();
    }
    serde_json::from_value(all).unwrap()
}

/// A simulator and its surroundings. Dropping it is a kill.
pub struct World {
    pub simulator: Simulator,
    pub connector: Arc<Connector>,
    _running: JoinSet<()>,
}

impl World {
    /// A simulator in memory.
    pub async fn new(more: Value) -> Self {
        let database = Database::in_memory(&Simulator::database_options()).unwrap();
        Self::on(more, database, 7).await
    }

    pub async fn on(more: Value, database: Database, seed: u64) -> Self {
        let clock = Clock::simulated(EpochMs::saturating(START_MS));
        let connector = Arc::new(Connector {
            clock: clock.clone(),
            hooks: Mutex::default(),
            answers: Mutex::default(),
            deaf: Mutex::default(),
        });
        let random = Random::seeded(seed);
        let opened = Simulator::open(settings(more), database, connector.clone(), clock, random);
        let simulator = opened.await.unwrap();
        let mut running = JoinSet::new();
        let own = simulator.clone();
        running.spawn(async move { own.run(Shutdown::new()).await });
        Self { simulator, connector, _running: running }
    }

    /// Status, headers and JSON body (null if it is not JSON).
    pub async fn send(&self, request: Request<Body>) -> (StatusCode, HeaderMap, Value) {
        let response = self.simulator.router().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status, head.headers, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    pub async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let (status, _, body) = self.send(post(path, body)).await;
        (status, body)
    }

    pub async fn ask(&self, method: Method, path: &str) -> (StatusCode, Value) {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let (status, _, body) = self.send(request).await;
        (status, body)
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(Method::GET, path).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    }

    pub async fn fault(&self, fault: Value) {
        let (status, body) = self.post("/_sim/faults", &fault).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
    }

    /// Lets virtual time pass.
    pub async fn wait_ms(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await; // sleep: simulated time
    }
}

pub fn post(path: &str, body: &Value) -> Request<Body> {
    Request::post(path)
        .header("authorization", "Bearer token")
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

/// A WhatsApp text as a connector sends it.
pub fn text(message: &str, conversation: &str) -> Value {
    json!({
        "messaging_product": "whatsapp", "recipient_type": "individual", "to": "+5511999990001",
        "type": "text", "text": {"body": "Olá / hello", "preview_url": false},
        "biz_opaque_callback_data": json!({"m": message, "c": conversation}).to_string(),
    })
}

/// An Instagram text.
pub fn direct(recipient: &str, text: &str) -> Value {
    json!({"recipient": {"id": recipient}, "message": {"text": text}})
}
