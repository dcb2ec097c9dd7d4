//! A platform that does as it is told, call by call, and a connector in front of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::HeaderMap;
use bytes::Bytes;
use chat4all_connector_kit::platform::{
    Detail, Outcome, Platform, Refusal, ThrottleScope, Webhook, WebhookEvent, WebhookRefusal,
};
use chat4all_connector_kit::{Connector, ConnectorDeps, ConnectorError, KitSettings, Source};
use chat4all_contracts::{
    AccountName, AccountSpec, EpochMs, ExternalId, Generation, Message, MessageId, PlatformName,
    PlatformSpec, Platforms, Reason, Status, StatusUpdate, topic,
};
use chat4all_eventlog::inline::{InlineLog, InlineOptions};
use chat4all_eventlog::{
    Admission, EventLog, Patience, Producer, ProducerOptions, TopicPartition, Topology, append,
    topology,
};
use chat4all_process::http_client::{CallError, HttpPort};
use chat4all_process::probe::Probes;
use chat4all_process::{Clock, Random, Shutdown};
use futures::future::BoxFuture;
use http::{Request, Response};
use regex::Regex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tower::ServiceExt;

/// What the platform does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Say {
    Accepted,
    Failing,
    FailingFor(u64),
    ThrottledRecipient,
    ThrottledAccount,
    /// It takes the message, and its answer is lost.
    Doubt,
    /// It never answers.
    Nothing,
}

const DAY: Duration = Duration::from_secs(86_400);

/// How long an answer takes.
const ANSWER: Duration = Duration::from_millis(100);

type Script = Box<dyn Fn(&str, usize) -> Say + Send + Sync>;

pub struct Scripted {
    name: PlatformName,
    script: Script,
    /// The moments of each message's calls.
    calls: Mutex<BTreeMap<String, Vec<Instant>>>,
}

impl Scripted {
    fn begin(&self, id: &str) -> Say {
        let mut calls = self.calls.lock().unwrap();
        let of_this = calls.entry(id.to_owned()).or_default();
        of_this.push(Instant::now());
        (self.script)(id, of_this.len() - 1)
    }
}

impl Platform for Scripted {
    fn name(&self) -> &PlatformName {
        &self.name
    }

    fn encode(&self, _: &AccountName, message: &Message) -> Result<Request<Bytes>, Refusal> {
        let id = message.message_id.as_str().to_owned();
        Ok(Request::post("http://scripted/").body(Bytes::from(id)).unwrap())
    }

    fn classify(&self, answer: &Response<Bytes>) -> Outcome {
        let (after, detail) = (None, Detail::new("scripted"));
        match answer.body().as_ref() {
            b"failing" => Outcome::Retryable { after, detail },
            b"recipient" => Outcome::Throttled { after, scope: ThrottleScope::Recipient, detail },
            b"account" => Outcome::Throttled { after, scope: ThrottleScope::Account, detail },
            id => match std::str::from_utf8(id).unwrap().strip_prefix("failing for ") {
                Some(seconds) => {
                    let after = Some(Duration::from_secs(seconds.parse().unwrap()));
                    Outcome::Retryable { after, detail }
                }
                None => {
                    let external_id = ExternalId::new(std::str::from_utf8(id).unwrap()).unwrap();
                    Outcome::Accepted { external_id }
                }
            },
        }
    }

    fn confirm_webhook(&self, _: &[(String, String)]) -> Option<String> {
        None
    }

    /// The body is the id of a message that was taken.
    fn read_webhook(&self, _: &HeaderMap, body: &[u8]) -> Result<Webhook, WebhookRefusal> {
        let id = std::str::from_utf8(body).map_err(|_| WebhookRefusal::Body)?;
        let id = MessageId::new(id).map_err(|_| WebhookRefusal::Body)?;
        Ok(Webhook { events: vec![WebhookEvent::Taken(id, Generation::FIRST)], ignored: 0 })
    }
}

impl HttpPort for Scripted {
    fn call(
        &self,
        request: Request<Bytes>,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<Response<Bytes>, CallError>> {
        let id = request.into_body();
        let say = self.begin(std::str::from_utf8(&id).unwrap());
        Box::pin(async move {
            let after = if say == Say::Nothing { timeout } else { ANSWER };
            sleep(after).await; // sleep: the platform works
            let body = match say {
                Say::Accepted => id,
                Say::Failing => Bytes::from_static(b"failing"),
                Say::FailingFor(seconds) => Bytes::from(format!("failing for {seconds}")),
                Say::ThrottledRecipient => Bytes::from_static(b"recipient"),
                Say::ThrottledAccount => Bytes::from_static(b"account"),
                Say::Doubt => return Err(CallError::InDoubt("reset")),
                Say::Nothing => return Err(CallError::InDoubt("timeout")),
            };
            Ok(Response::new(body))
        })
    }
}

const TOPOLOGY: Topology = Topology {
    messages: 1,
    status_updates: 1,
    receipts: 1,
    inbound: 1,
    retention: Duration::from_secs(300_000),
};

/// Two accounts, `a0` and `a1`, each in a partition of its own.
pub struct World {
    pub log: Arc<InlineLog>,
    pub platform: Arc<Scripted>,
    pub clock: Clock,
    platforms: Platforms,
    webhook: Mutex<Option<Router>>,
    producer: Arc<dyn Producer>,
}

fn name() -> PlatformName {
    PlatformName::new("scripted").unwrap()
}

impl World {
    pub async fn new(script: impl Fn(&str, usize) -> Say + Send + Sync + 'static) -> Self {
        let clock = Clock::simulated(EpochMs::saturating(1_800_000_000_000));
        let log = InlineLog::new(InlineOptions::default(), clock.clone(), Random::seeded(1));
        let account = |number: u32| {
            let name = AccountName::new(&format!("a{number}")).unwrap();
            (name, AccountSpec { partition: number })
        };
        let spec = PlatformSpec {
            recipient: Regex::new("^.+$").unwrap(),
            recipient_rule: "anything".to_owned(),
            has_receipts: true,
            accounts: (0..2).map(account).collect(),
            default_account: account(0).0,
        };
        let platforms = Platforms([(name(), spec)].into());
        TOPOLOGY.ensure(&*log, &platforms).await.unwrap();
        let (script, calls) = (Box::new(script), Mutex::default());
        let platform = Arc::new(Scripted { name: name(), script, calls });
        let producer = log.producer(ProducerOptions {
            patience: Patience::Forever,
            admission: Admission::Progress,
        });
        Self { log, platform, clock, platforms, webhook: Mutex::default(), producer }
    }

    pub fn start(
        &self,
        settings: KitSettings,
        shutdown: &Shutdown,
    ) -> JoinHandle<Result<(), ConnectorError>> {
        let deps = ConnectorDeps {
            log: self.log.clone(),
            topology: TOPOLOGY,
            http: self.platform.clone(),
            clock: self.clock.clone(),
            random: Random::seeded(2),
            platform: self.platform.clone(),
            spec: Arc::new(self.platforms.0[&name()].clone()),
            per_second: BTreeMap::new(),
            source: Source::of(&name()),
            owner: "test".to_owned(),
        };
        let connector = Connector::new(deps, settings);
        *self.webhook.lock().unwrap() = Some(connector.http(Probes::new(None)));
        tokio::spawn(connector.run(shutdown.clone()))
    }

    /// Routes one message of an account.
    pub async fn route(&self, account: u32, id: &str, conversation: &str, receiver: &str) {
        self.route_with_life(account, id, conversation, receiver, DAY).await;
    }

    /// The same, with an end of its life.
    pub async fn route_with_life(
        &self,
        account: u32,
        id: &str,
        conversation: &str,
        receiver: &str,
        life: Duration,
    ) {
        let text = format!(
            r#"{{"message_id":"{id}","conversation_id":"{conversation}","account":"a{account}",
                "sender_id":"s","receiver_id":"scripted:{receiver}","content":"t"}}"#
        );
        let now = self.clock.now();
        let message = Message::parse(text.as_bytes(), now).unwrap();
        let message = Message { expires_at: now.plus(life), ..message };
        let at = TopicPartition::new("scripted-outbound", account);
        let record = topology::outbound(at, &message, Vec::new(), self.clock.now());
        append(&*self.producer, record).await.unwrap();
    }

    /// The platform reports that it took a message.
    pub async fn report_taken(&self, id: &str) {
        let router = self.webhook.lock().unwrap().clone().unwrap();
        let request = Request::post("/webhook").body(Body::from(id.to_owned())).unwrap();
        assert!(router.oneshot(request).await.unwrap().status().is_success());
    }

    /// The moments of all calls, in no order.
    pub fn calls(&self) -> Vec<Instant> {
        self.platform.calls.lock().unwrap().values().flatten().copied().collect()
    }

    pub fn calls_of(&self, id: &str) -> Vec<Instant> {
        self.platform.calls.lock().unwrap().get(id).cloned().unwrap_or_default()
    }

    pub async fn statuses(&self) -> Vec<StatusUpdate> {
        let at = TopicPartition::new(topic::STATUS_UPDATES, 0);
        let records = self.log.read(&at, 0, 1_000_000).await.unwrap();
        records.iter().map(|record| StatusUpdate::parse(&record.value).unwrap()).collect()
    }

    pub async fn status_of(&self, id: &str) -> Option<StatusUpdate> {
        let mut ends = self.statuses().await.into_iter().filter(|update| !is_doubt(update));
        ends.find(|update| update.message_id.as_str() == id)
    }

    /// The doubts that were told of a message that will be tried again.
    pub async fn doubts_of(&self, id: &str) -> usize {
        let all = self.statuses().await;
        all.iter().filter(|update| is_doubt(update) && update.message_id.as_str() == id).count()
    }

    /// Waits until so many messages have an end.
    pub async fn settled(&self, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(90_000);
        let at = TopicPartition::new(topic::STATUS_UPDATES, 0);
        let (mut read, mut ended) = (0, 0);
        loop {
            // Only what is new: a day of simulated time is many looks.
            let records = self.log.read(&at, read, 1_000_000).await.unwrap();
            read = records.last().map_or(read, |record| record.offset + 1);
            let updates = records.iter().map(|it| StatusUpdate::parse(&it.value).unwrap());
            ended += updates.filter(|update| !is_doubt(update)).count();
            if ended >= count {
                return;
            }
            assert!(Instant::now() < deadline, "only {ended} ends");
            sleep(Duration::from_millis(100)).await; // sleep: simulated time
        }
    }
}

/// Whether a status says only that a message will be tried again after a call in doubt.
fn is_doubt(update: &StatusUpdate) -> bool {
    update.status == Status::Unknown && update.reason == Some(Reason::PossibleDuplicate)
}
