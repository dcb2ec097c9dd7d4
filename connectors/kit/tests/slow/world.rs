//! Connectors in simulated time, with a platform and a log that take their time.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::HeaderMap;
use bytes::Bytes;
use chat4all_connector_kit::platform::{Outcome, Platform, Refusal, Webhook, WebhookRefusal};
use chat4all_connector_kit::{
    Connector, ConnectorDeps, ConnectorError, InDoubtPolicy, KitSettings, Source,
};
use chat4all_contracts::{
    AccountName, AccountSpec, EpochMs, ExternalId, Message, PlatformName, PlatformSpec, Platforms,
    Status, StatusUpdate, topic,
};
use chat4all_eventlog::faulty::{CommitFault, Faults, FaultyLog};
use chat4all_eventlog::inline::{InlineLog, InlineOptions};
use chat4all_eventlog::{
    Admission, Commit, Committed, EventLog, NewRecord, Patience, ProducerOptions, TopicPartition,
    Topology, append, note, topology,
};
use chat4all_process::config::Bounded;
use chat4all_process::http_client::{CallError, HttpPort};
use chat4all_process::{Clock, Random, Shutdown};
use futures::future::BoxFuture;
use http::{Request, Response};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use regex::Regex;
use tokio::task::JoinHandle;
use tokio::time::sleep;

pub const ACCOUNTS: u32 = 2;
const CONVERSATIONS: usize = 60;
const MESSAGES: usize = 5;
pub const TOTAL: usize = ACCOUNTS as usize * CONVERSATIONS * MESSAGES;

const TOPOLOGY: Topology = Topology {
    messages: 1,
    status_updates: 1,
    receipts: 1,
    inbound: 1,
    retention: Duration::from_secs(300_000),
};

fn name() -> PlatformName {
    PlatformName::new("slow").unwrap()
}

/// A platform that takes its time, and the other side of its calls.
struct Slow {
    name: PlatformName,
    random: Random,
    longest: Duration,
    called: Mutex<Vec<String>>,
}

impl Platform for Slow {
    fn name(&self) -> &PlatformName {
        &self.name
    }

    fn encode(&self, _: &AccountName, message: &Message) -> Result<Request<Bytes>, Refusal> {
        let id = message.message_id.as_str().to_owned();
        Ok(Request::post("http://slow/").body(Bytes::from(id)).unwrap())
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

impl HttpPort for Slow {
    fn call(
        &self,
        request: Request<Bytes>,
        _: Duration,
    ) -> BoxFuture<'_, Result<Response<Bytes>, CallError>> {
        let body = request.into_body();
        self.called.lock().unwrap().push(String::from_utf8(body.to_vec()).unwrap());
        let after = self.random.duration_between(Duration::from_millis(100), self.longest);
        Box::pin(async move {
            sleep(after).await; // sleep: the platform works
            Ok(Response::new(body))
        })
    }
}

/// Brokers that take their time with commits, and with acknowledgements of statuses.
struct Busy {
    commit: Duration,
    status: Duration,
}

impl Faults for Busy {
    fn append_delay(&self, record: &NewRecord) -> Option<Duration> {
        (&*record.to.topic == topic::STATUS_UPDATES).then_some(self.status)
    }

    fn commit_fault(&self, _: &str, _: &mut [Commit]) -> Option<CommitFault> {
        Some(CommitFault::Slow(self.commit))
    }
}

/// How long things take, and what follows a doubt.
#[derive(Clone, Copy)]
pub struct Pace {
    pub longest_call: Duration,
    pub commit: Duration,
    pub status: Duration,
    pub in_doubt: InDoubtPolicy,
    pub max_in_flight: u64,
    pub commit_interval_ms: u64,
}

impl Pace {
    pub fn of(longest_call: Duration) -> Self {
        let (commit, status) = (Duration::ZERO, Duration::ZERO);
        let in_doubt = InDoubtPolicy::Retry;
        let (max_in_flight, commit_interval_ms) = (2_000, 100);
        Self { longest_call, commit, status, in_doubt, max_in_flight, commit_interval_ms }
    }
}

pub struct World {
    log: Arc<FaultyLog>,
    slow: Arc<Slow>,
    clock: Clock,
    random: Random,
    platforms: Platforms,
    settings: KitSettings,
}

impl World {
    pub async fn new(seed: u64, pace: Pace) -> Self {
        let clock = Clock::simulated(EpochMs::saturating(1_800_000_000_000));
        let random = Random::seeded(seed);
        let log = InlineLog::new(InlineOptions::default(), clock.clone(), random.fork());
        let log = FaultyLog::new(log, Arc::new(Busy { commit: pace.commit, status: pace.status }));
        let account = |number: u32| {
            let name = AccountName::new(&format!("a{number}")).unwrap();
            (name, AccountSpec { partition: number })
        };
        let spec = PlatformSpec {
            recipient: Regex::new("^.+$").unwrap(),
            recipient_rule: "anything".to_owned(),
            has_receipts: true,
            accounts: (0..ACCOUNTS).map(account).collect(),
            default_account: account(0).0,
        };
        let platforms = Platforms([(name(), spec)].into());
        TOPOLOGY.ensure(&*log, &platforms).await.unwrap();
        let (called, longest) = (Mutex::default(), pace.longest_call);
        let slow = Arc::new(Slow { name: name(), random: random.fork(), longest, called });
        let settings = KitSettings {
            in_doubt: pace.in_doubt,
            max_in_flight: Bounded::new(pace.max_in_flight),
            commit_interval_ms: Bounded::new(pace.commit_interval_ms),
            ..KitSettings::default()
        };
        Self { log, slow, clock, random, platforms, settings }
    }

    pub fn start(&self, shutdown: &Shutdown) -> JoinHandle<Result<(), ConnectorError>> {
        let deps = ConnectorDeps {
            log: self.log.clone(),
            topology: TOPOLOGY,
            http: self.slow.clone(),
            clock: self.clock.clone(),
            random: self.random.fork(),
            platform: self.slow.clone(),
            spec: Arc::new(self.platforms.0[&name()].clone()),
            per_second: BTreeMap::new(),
            owner: "test".to_owned(),
            source: Source::of(&name()),
        };
        tokio::spawn(Connector::new(deps, self.settings.clone()).run(shutdown.clone()))
    }

    pub async fn route(&self) {
        let producer = self.log.producer(ProducerOptions {
            patience: Patience::Forever,
            admission: Admission::Progress,
        });
        for index in 0..MESSAGES {
            for conversation in 0..CONVERSATIONS {
                for account in 0..ACCOUNTS {
                    let id = format!("{account}-{conversation}-{index}");
                    let text = format!(
                        r#"{{"message_id":"{id}","conversation_id":"{account}-{conversation}",
                            "account":"a{account}","sender_id":"s","receiver_id":"slow:r","content":"t"}}"#
                    );
                    let message = Message::parse(text.as_bytes(), self.clock.now()).unwrap();
                    let at = TopicPartition::new("slow-outbound", account);
                    let record = topology::outbound(at, &message, Vec::new(), self.clock.now());
                    append(&*producer, record).await.unwrap();
                }
            }
        }
    }

    pub async fn settled(&self) -> usize {
        let at = TopicPartition::new(topic::STATUS_UPDATES, 0);
        let records = self.log.read(&at, 0, 100_000).await.unwrap();
        let updates = records.iter().map(|record| StatusUpdate::parse(&record.value).unwrap());
        // A doubt is no end.
        let ends = updates.filter(|update| update.status != Status::Unknown);
        ends.map(|update| update.message_id).collect::<BTreeSet<_>>().len()
    }

    /// How many messages a successor would not call again, whatever happens now.
    pub async fn committed(&self) -> usize {
        let partition = |number| TopicPartition::new("slow-outbound", number);
        let partitions: Vec<_> = (0..ACCOUNTS).map(partition).collect();
        let group = Source::of(&name()).group;
        let committed = self.log.committed(&group, &partitions).await.unwrap();
        committed
            .into_iter()
            .flatten()
            .map(|Committed { offset, note }| {
                let beyond = (!note.is_empty())
                    .then(|| note::decode(&note, offset, TOTAL as u64).unwrap().iter().count());
                offset as usize + beyond.unwrap_or_default()
            })
            .sum()
    }

    /// A second connector joins while calls run, and leaves again by plan.
    pub async fn hand_over(&self) {
        let (first_stops, second_stops) = (Shutdown::new(), Shutdown::new());
        let first = self.start(&first_stops);
        self.route().await;
        sleep(Duration::from_millis(1_500)).await; // sleep: simulated time
        let second = self.start(&second_stops);
        sleep(Duration::from_secs(4)).await; // sleep: simulated time
        second_stops.trigger();
        second.await.unwrap().unwrap();
        for _ in 0..1_000 {
            if self.settled().await == TOTAL {
                break;
            }
            sleep(Duration::from_millis(100)).await; // sleep: simulated time
        }
        first_stops.trigger();
        first.await.unwrap().unwrap();
        assert_eq!(self.settled().await, TOTAL);
    }

    /// Messages of which a doubt was told.
    pub async fn doubted(&self) -> BTreeSet<String> {
        let at = TopicPartition::new(topic::STATUS_UPDATES, 0);
        let records = self.log.read(&at, 0, 100_000).await.unwrap();
        let updates = records.iter().map(|record| StatusUpdate::parse(&record.value).unwrap());
        let doubts = updates.filter(|update| update.status == Status::Unknown);
        doubts.map(|update| update.message_id.as_str().to_owned()).collect()
    }

    /// How many calls were begun.
    pub fn calls(&self) -> usize {
        self.slow.called.lock().unwrap().len()
    }

    /// How many calls told the platform of a message that it had heard of already.
    pub fn repeated(&self) -> u64 {
        let called = self.slow.called.lock().unwrap();
        let messages: BTreeSet<&String> = called.iter().collect();
        assert_eq!(messages.len(), TOTAL);
        (called.len() - messages.len()) as u64
    }
}

/// Runs `work` in simulated time; answers with the counters of calls that outlasted a drain, and of
/// actors that were restarted.
pub fn counted(work: impl Future<Output = ()>) -> [u64; 2] {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(work);
    });
    let counters = snapshotter.snapshot().into_vec();
    ["chat4all_calls_outlasted_drain_total", "chat4all_actor_restarts_total"].map(|name| {
        let ours = counters.iter().filter(|(key, ..)| key.key().name() == name);
        ours.map(|(_, _, _, value)| match value {
            DebugValue::Counter(count) => *count,
            other => panic!("{other:?}"),
        })
        .sum()
    })
}
