//! What no release of the code should meet: a message that makes the platform's code panic, a
//! receiver who always fails, records that are garbage or too large. Each ends with its reason, and
//! the neighbours do not notice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chat4all_connector_kit::platform::{Outcome, Platform, Refusal, Webhook, WebhookRefusal};
use chat4all_contracts::{AccountName, DeadLetter, EpochMs, Message, PlatformName, Reason, topic};
use chat4all_eventlog::{EventLog, NewRecord, TopicPartition};
use chat4all_process::http_client::{CallError, HttpPort};
use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response, StatusCode};

use super::light_platform::LightPlatform;
use super::play::{Play, p99, simulated};

const DAY: Duration = Duration::from_secs(86_400);
const PANICS: &str = "poison that panics";
const FAILS: &str = "poison that always fails";
/// Over the 4,096 characters that the platform takes.
const TOO_LONG: usize = 5_000;

pub fn play() -> Result<String, String> {
    let (quiet, _) = simulated(minute(false))?;
    let (troubled, words) = simulated(minute(true))?;
    if troubled > quiet + quiet / 10 {
        return Err(format!("the neighbours' p99 is {troubled:?}, without poison {quiet:?}"));
    }
    Ok(format!("{words}; the neighbours' p99 {troubled:?}, without poison {quiet:?}"))
}

/// A minute of traffic on one account; the neighbours' p99 and what was reported.
async fn minute(poisoned: bool) -> Result<(Duration, String), String> {
    let mut play = Play::new();
    for served in play.installation.served.values_mut() {
        served.platform = Arc::new(PanicsAtPoison(served.platform.clone()));
    }
    let platform = LightPlatform::new(play.random.fork(), None);
    let http = Arc::new(FailsForOne(platform.clone()));
    let feed = async |play: &mut Play, second: u64| {
        for of in 0..10 {
            play.feed("default", &format!("neighbour-{of}"), DAY).await;
        }
        if poisoned && second == 5 {
            play.feed_text("default", "panics", PANICS.to_owned(), DAY).await;
            play.feed_text("default", "fails", FAILS.to_owned(), DAY).await;
            play.feed_text("default", "too-long", "x".repeat(TOO_LONG), DAY).await;
            garbage(play, topic::MESSAGES, 2, b"{".to_vec()).await;
            garbage(play, "whatsapp-outbound", 0, vec![b'x'; 900_000]).await;
        }
        second >= 60
    };
    play.run(http, feed).await?;
    if poisoned {
        check(&play).await?;
    }
    let mut took: Vec<Duration> =
        platform.seen.lock().unwrap().took.values().flatten().copied().collect();
    Ok((p99(&mut took), play.reported.words()))
}

async fn garbage(play: &Play, topic: &str, partition: u32, value: Vec<u8>) {
    let to = TopicPartition::new(topic, partition);
    let (key, value) = (Bytes::from_static(b"k"), Bytes::from(value));
    let timestamp = EpochMs::saturating(1_800_000_000_000);
    play.append(NewRecord { to, key, value, headers: Vec::new(), timestamp }).await;
}

async fn check(play: &Play) -> Result<(), String> {
    for reason in [Reason::ConnectorBug, Reason::Exhausted, Reason::UnsupportedContent] {
        let count = play.reported.count(&format!("FAILED {reason}"));
        if count != 1 {
            return Err(format!("{count} messages failed with {reason}"));
        }
    }
    let mut letters = BTreeSet::new();
    for name in [topic::dead_letters(topic::MESSAGES), topic::dead_letters("whatsapp-outbound")] {
        for partition in 0..play.log.partitions(&name).await.unwrap() {
            let at = TopicPartition::new(&name, partition);
            let records = play.log.read(&at, 0, 100).await.unwrap();
            // Router and status-consumer both give up a record of garbage, under one key.
            letters.extend(records.iter().map(|record| {
                let letter = DeadLetter::parse(&record.value).unwrap();
                (letter.key(), letter.reason)
            }));
        }
    }
    let mut reasons: Vec<String> = letters.into_iter().map(|(_, reason)| reason).collect();
    reasons.sort();
    let expected =
        ["connector_bug", "exhausted", "unreadable", "unreadable", "unsupported_content"];
    if reasons == expected { Ok(()) } else { Err(format!("the dead letters are {reasons:?}")) }
}

/// Always down for one text.
struct FailsForOne(Arc<LightPlatform>);

impl HttpPort for FailsForOne {
    fn call(
        &self,
        request: Request<Bytes>,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<Response<Bytes>, CallError>> {
        let fails = FAILS.as_bytes();
        if request.body().windows(fails.len()).any(|window| window == fails) {
            let mut down = Response::new(Bytes::new());
            *down.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            return Box::pin(async { Ok(down) });
        }
        self.0.call(request, timeout)
    }
}

/// Code that cannot bear one text.
struct PanicsAtPoison(Arc<dyn Platform>);

impl Platform for PanicsAtPoison {
    fn name(&self) -> &PlatformName {
        self.0.name()
    }

    fn encode(&self, account: &AccountName, message: &Message) -> Result<Request<Bytes>, Refusal> {
        assert!(message.content != PANICS, "it cannot be borne");
        self.0.encode(account, message)
    }

    fn classify(&self, answer: &Response<Bytes>) -> Outcome {
        self.0.classify(answer)
    }

    fn confirm_webhook(&self, query: &[(String, String)]) -> Option<String> {
        self.0.confirm_webhook(query)
    }

    fn read_webhook(&self, headers: &HeaderMap, body: &[u8]) -> Result<Webhook, WebhookRefusal> {
        self.0.read_webhook(headers, body)
    }
}
