//! A platform without peculiarities, and the other side of its calls.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::http::HeaderMap;
use bytes::Bytes;
use chat4all_connector_kit::platform::{Outcome, Platform, Refusal, Webhook, WebhookRefusal};
use chat4all_contracts::{AccountName, ExternalId, Message, PlatformName};
use chat4all_process::Random;
use chat4all_process::http_client::{CallError, HttpPort};
use futures::future::BoxFuture;
use http::{Request, Response};

pub struct Plain(pub PlatformName);

impl Platform for Plain {
    fn name(&self) -> &PlatformName {
        &self.0
    }

    fn encode(&self, _: &AccountName, message: &Message) -> Result<Request<Bytes>, Refusal> {
        let id = message.message_id.as_str().to_owned();
        Ok(Request::post("http://plain/").body(Bytes::from(id)).unwrap())
    }

    fn classify(&self, answer: &Response<Bytes>) -> Outcome {
        let id = String::from_utf8(answer.body().to_vec()).unwrap();
        Outcome::Accepted { external_id: ExternalId::new(&id).unwrap() }
    }

    fn confirm_webhook(&self, _: &[(String, String)]) -> Option<String> {
        None
    }

    fn read_webhook(&self, _: &HeaderMap, _: &[u8]) -> Result<Webhook, WebhookRefusal> {
        Err(WebhookRefusal::Body)
    }
}

/// Answers after 200 to 500 ms and remembers who called.
pub struct Answers {
    random: Random,
    called: Mutex<Vec<String>>,
    /// How many further calls panic.
    pub panics: AtomicU32,
}

impl Answers {
    pub fn new(random: Random) -> Self {
        Self { random, called: Mutex::default(), panics: AtomicU32::new(0) }
    }

    pub fn calls(&self) -> usize {
        self.called.lock().unwrap().len()
    }

    /// Asserts that each conversation's messages were first called in their order, all of them.
    pub fn assert_in_order(&self, conversations: usize, messages: usize) {
        let mut first_calls: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for id in self.called.lock().unwrap().iter() {
            let (conversation, index) = id.split_once('-').unwrap();
            let (calls, index) =
                (first_calls.entry(conversation.to_owned()).or_default(), index.parse().unwrap());
            if !calls.contains(&index) {
                calls.push(index);
            }
        }
        assert_eq!(first_calls.len(), conversations);
        let expected: Vec<usize> = (0..messages).collect();
        assert!(first_calls.values().all(|calls| *calls == expected), "{first_calls:?}");
    }
}

impl HttpPort for Answers {
    fn call(
        &self,
        request: Request<Bytes>,
        _: Duration,
    ) -> BoxFuture<'_, Result<Response<Bytes>, CallError>> {
        let body = request.into_body();
        self.called.lock().unwrap().push(String::from_utf8(body.to_vec()).unwrap());
        let less = |n: u32| n.checked_sub(1);
        let panics = self.panics.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok();
        let after =
            self.random.duration_between(Duration::from_millis(200), Duration::from_millis(500));
        Box::pin(async move {
            tokio::time::sleep(after).await; // sleep: the platform works
            assert!(!panics, "a panic for a test");
            Ok(Response::new(body))
        })
    }
}
