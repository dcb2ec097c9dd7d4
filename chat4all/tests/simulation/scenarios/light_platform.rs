//! A platform that keeps little: hundreds of thousands of calls must cost nothing. It answers like
//! the Cloud API, is dead when told so, and remembers when and in which order it took what.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use chat4all_process::Random;
use chat4all_process::http_client::{CallError, HttpPort};
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// What it saw.
#[derive(Default)]
pub struct Seen {
    /// Of each account: every call's end, and whether it was taken.
    pub calls: BTreeMap<String, Vec<(Duration, bool)>>,
    /// Of each account: the time from the message's making to its taking.
    pub took: BTreeMap<String, Vec<Duration>>,
    /// The last message of each conversation that was taken.
    last: BTreeMap<String, u64>,
    /// What came twice or too late.
    pub out_of_order: Vec<String>,
}

/// See the module.
pub struct LightPlatform {
    pub began: Instant,
    random: Random,
    pub seen: Mutex<Seen>,
    /// The account that is dead, from when until when.
    dead: Option<(String, Duration, Duration)>,
}

impl LightPlatform {
    /// `dead` = the account's id in the API's addresses, or `all`; from when, until when.
    pub fn new(random: Random, dead: Option<(String, Duration, Duration)>) -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), random, seen: Mutex::default(), dead })
    }

    fn is_dead(&self, account: &str, now: Duration) -> bool {
        self.dead.as_ref().is_some_and(|(dead, from, until)| {
            (dead == account || dead == "all") && (*from..*until).contains(&now)
        })
    }

    /// `conversation number made_ms` is a message's whole text.
    fn take(&self, account: &str, text: &str, now: Duration) {
        let mut words = text.split(' ');
        let conversation = words.next().unwrap_or_default().to_owned();
        let mut number = || words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        let (index, made): (u64, u64) = (number(), number());
        let mut seen = self.seen.lock().unwrap();
        let took = now.saturating_sub(Duration::from_millis(made));
        seen.took.entry(account.to_owned()).or_default().push(took);
        let last = seen.last.insert(conversation.clone(), index);
        if last.is_some_and(|last| last >= index) {
            seen.out_of_order.push(format!("{conversation}: {index} after {last:?}"));
        }
    }
}

impl HttpPort for LightPlatform {
    fn call(
        &self,
        request: Request<Bytes>,
        _: Duration,
    ) -> BoxFuture<'_, Result<Response<Bytes>, CallError>> {
        Box::pin(async move {
            let path = request.uri().path().to_owned();
            let account = path.rsplit('/').nth(1).unwrap_or_default().to_owned();
            let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
            let text = body["text"]["body"].as_str().unwrap_or_default();
            let (low, high) = (Duration::from_millis(200), Duration::from_millis(500));
            let dead = self.is_dead(&account, self.began.elapsed());
            sleep(self.random.duration_between(low, high)).await; // sleep: the platform's latency
            let now = self.began.elapsed();
            if !dead {
                self.take(&account, text, now);
            }
            self.seen.lock().unwrap().calls.entry(account).or_default().push((now, !dead));
            let mut answer =
                Response::new(Bytes::from_static(b"{\"messages\":[{\"id\":\"wamid.1\"}]}"));
            if dead {
                *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                *answer.body_mut() = Bytes::new();
            }
            Ok(answer)
        })
    }
}
