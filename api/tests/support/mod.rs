//! The API on an in-memory log and store whose faults a test chooses.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::panic)] // each test file uses its part

pub mod log;
pub mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use chat4all_api::{Api, ApiDeps, ApiSettings};
use chat4all_contracts::{
    AccountName, AccountSpec, EpochMs, Message, MessageId, PlatformName, PlatformSpec, Platforms,
};
use chat4all_process::probe::Probes;
use chat4all_process::{Clock, Random, Shutdown};
use http_body_util::BodyExt;
use regex::Regex;
use serde_json::{Value, json};
use tower::ServiceExt;

use log::TestLog;
use store::TestStore;

/// 2023-11-14T22:13:20.123Z
pub const START: u64 = 1_700_000_000_123;

/// The partition count of `messages`.
pub const PARTITIONS: u32 = 4;

pub const RECEIVER: &str = "whatsapp:+5511999990000";

pub struct World {
    pub router: Router,
    /// What runs beside the routes; nothing does until [`World::follow`].
    api: Option<Api>,
    pub log: Arc<TestLog>,
    pub store: Arc<TestStore>,
    pub clock: Clock,
    pub stopping: Shutdown,
}

/// An answer, read whole.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    pub fn field(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that this is a well-formed refusal with a code.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Value {
        assert_eq!(
            (self.status.as_u16(), self.field("code").as_str()),
            (status, code),
            "{}",
            self.text
        );
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("/errors/{code}"));
        for member in ["title", "detail", "fix"] {
            assert!(!problem[member].as_str().unwrap().is_empty(), "{member}");
        }
        assert_eq!(status == 503, self.headers.contains_key("retry-after"), "{}", self.text);
        problem
    }

    #[track_caller]
    pub fn accepted(&self) -> Value {
        assert_eq!(self.status, StatusCode::ACCEPTED, "{}", self.text);
        self.json()
    }
}

pub fn platforms() -> Platforms {
    let spec = |recipient: &str, rule: &str, names: &[&str]| {
        let account = |(i, name): (usize, &&str)| {
            (AccountName::new(name).unwrap(), AccountSpec { partition: i as u32 })
        };
        let accounts: BTreeMap<_, _> = names.iter().enumerate().map(account).collect();
        PlatformSpec {
            recipient: Regex::new(recipient).unwrap(),
            recipient_rule: rule.to_owned(),
            has_receipts: true,
            accounts,
            default_account: AccountName::new(names[0]).unwrap(),
        }
    };
    let name = |text| PlatformName::new(text).unwrap();
    Platforms(BTreeMap::from([
        (
            name("whatsapp"),
            spec(r"^\+[1-9][0-9]{6,14}$", "+ and 7 to 15 digits", &["main", "second"]),
        ),
        (name("instagram"), spec("^[0-9]{1,20}$", "1 to 20 digits", &["page"])),
    ]))
}

impl World {
    pub fn new() -> Self {
        Self::with(ApiSettings::default())
    }

    pub fn with(settings: ApiSettings) -> Self {
        let stopping = Shutdown::new();
        let clock = Clock::simulated(EpochMs::saturating(START));
        let (log, store) = (TestLog::new(clock.clone()), TestStore::new());
        let deps = ApiDeps {
            log: log.clone(),
            store: store.clone(),
            platforms: Arc::new(platforms()),
            simulated: BTreeSet::from([PlatformName::new("instagram").unwrap()]),
            clock: clock.clone(),
            random: Random::seeded(7),
            probes: Probes::new(None),
            messages_partitions: PARTITIONS,
            stopping: stopping.clone(),
        };
        let api = Api::new(deps, settings);
        let (router, api) = (api.router(), Some(api));
        Self { router, api, log, store, clock, stopping }
    }

    /// Follows what is said of the accounts from now on.
    pub fn follow(&mut self) {
        if let Some(api) = self.api.take() {
            drop(tokio::spawn(api.run(self.stopping.clone())));
        }
    }

    pub async fn call(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub async fn request(&self, method: Method, path: &str) -> Answer {
        let request = Request::builder().method(method).uri(path);
        self.call(request.body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, body: &Value) -> Answer {
        self.post_with(&[], body.to_string()).await
    }

    pub async fn post_keyed(&self, key: &str, body: &Value) -> Answer {
        self.post_with(&[("Idempotency-Key", key)], body.to_string()).await
    }

    pub async fn post_with(&self, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        self.post_to("/v1/messages", headers, body).await
    }

    pub async fn post_to(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::post(path);
        if !headers.iter().any(|(name, _)| *name == "Content-Type") {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.call(request.body(body.into()).unwrap()).await
    }

    /// The messages in the log, in the order of their appends.
    pub fn appended(&self) -> Vec<Message> {
        let parse = |record: &chat4all_eventlog::NewRecord| {
            Message::parse(&record.value, record.timestamp).unwrap()
        };
        self.log.records().iter().map(parse).collect()
    }

    /// A version 7 UUID whose time lies `ms` after the start.
    pub fn id_at(&self, ms: i64) -> String {
        let at = EpochMs::saturating(START.saturating_add_signed(ms));
        Random::seeded(99).message_id(at).as_str().to_owned()
    }
}

pub fn id(text: &str) -> MessageId {
    MessageId::new(text).unwrap()
}

/// A minimal body.
pub fn body() -> Value {
    json!({"conversation_id": "c1", "receiver_id": RECEIVER, "content": "hello"})
}

/// A minimal body with more fields, or others.
pub fn body_with(fields: Value) -> Value {
    let mut body = body();
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}
