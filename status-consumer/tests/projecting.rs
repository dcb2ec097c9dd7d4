//! What the status-consumer does with each kind of record, on an inline log and a store in memory
//! under the paused clock.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chat4all_contracts::{
    AccountName, AccountSpec, DeadLetter, EpochMs, LetterId, MessageId, PlatformName, PlatformSpec,
    Platforms, Status,
};
use chat4all_eventlog::inline::{InlineLog, InlineOptions};
use chat4all_eventlog::{
    Admission, ConsumerEvent, EventLog, NewRecord, Patience, ProducerOptions, Subscription,
    TopicPartition, Topology, append,
};
use chat4all_process::{Clock, Random, Shutdown};
use chat4all_status_consumer::{
    GROUP, StatusConsumer, StatusConsumerDeps, StatusConsumerSettings, TOPICS, letter_topics,
};
use chat4all_store::embedded::{EmbeddedStore, StoreOptions};
use chat4all_store::letters::{LetterFilter, open_letters};
use chat4all_store::{MessageStore, Tenant};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use regex::Regex;

const TOPOLOGY: Topology = Topology {
    messages: 1,
    status_updates: 1,
    receipts: 1,
    inbound: 1,
    retention: Duration::from_secs(300_000),
};

/// One platform, `p`, whose dead letters are read.
fn platforms() -> Arc<Platforms> {
    let account = AccountName::new("a").unwrap();
    let spec = PlatformSpec {
        recipient: Regex::new("^.*$").unwrap(),
        recipient_rule: "anything".to_owned(),
        has_receipts: true,
        accounts: BTreeMap::from([(account.clone(), AccountSpec { partition: 0 })]),
        default_account: account,
    };
    Arc::new(Platforms(BTreeMap::from([(PlatformName::new("p").unwrap(), spec)])))
}

struct World {
    log: Arc<InlineLog>,
    store: Arc<EmbeddedStore>,
    clock: Clock,
}

impl World {
    async fn new() -> Self {
        Self::with_store(EmbeddedStore::in_memory().unwrap()).await
    }

    async fn with_store(store: Arc<EmbeddedStore>) -> Self {
        let clock = Clock::simulated(EpochMs::saturating(1_800_000_000_000));
        let log = InlineLog::new(InlineOptions::default(), clock.clone(), Random::seeded(1));
        TOPOLOGY.ensure(&*log, &platforms()).await.unwrap();
        Self { log, store, clock }
    }

    async fn append(&self, topic: &str, value: &str) {
        let options =
            ProducerOptions { patience: Patience::Forever, admission: Admission::NewWork };
        let record = NewRecord {
            to: TopicPartition::new(topic, 0),
            key: Bytes::new(),
            value: Bytes::copy_from_slice(value.as_bytes()),
            headers: Vec::new(),
            timestamp: self.clock.now(),
        };
        append(&*self.log.producer(options), record).await.unwrap();
    }

    /// Runs a status-consumer for a second, then stops it.
    async fn project(&self) {
        let deps = StatusConsumerDeps {
            log: self.log.clone(),
            store: self.store.clone(),
            platforms: platforms(),
            clock: self.clock.clone(),
            random: Random::seeded(2),
        };
        let shutdown = Shutdown::new();
        let consumer = StatusConsumer::new(deps, StatusConsumerSettings::default());
        let running = tokio::spawn(consumer.run(shutdown.clone()));
        tokio::time::sleep(Duration::from_secs(1)).await; // sleep: simulated time; a stop drains
        shutdown.trigger();
        running.await.unwrap().unwrap();
    }

    /// How many records of each topic are not committed.
    async fn uncommitted(&self) -> u64 {
        let to = Subscription {
            group: GROUP.to_owned(),
            topics: TOPICS
                .into_iter()
                .map(str::to_owned)
                .chain(letter_topics(&platforms()))
                .collect(),
            max_batch: 1,
            revoke_deadline: Duration::from_secs(1),
        };
        let consumer = self.log.subscribe(to).await.unwrap();
        match consumer.next().await.unwrap() {
            ConsumerEvent::Assigned(assigned) => assigned.iter().map(|a| a.end - a.position).sum(),
            other => panic!("{other:?}"),
        }
    }

    /// The ids of the open dead letters, oldest first.
    async fn open(&self) -> Vec<String> {
        let all = LetterFilter::default();
        let page = open_letters(&*self.store, &Tenant::default(), &all, None, 50).await.unwrap();
        page.letters.iter().map(|open| open.stored.letter.id.to_string()).collect()
    }

    async fn status(&self, id: &str) -> Option<Status> {
        let id = MessageId::new(id).unwrap();
        let message = self.store.message(&Tenant::default(), &id).await.unwrap();
        message.map(|message| message.state.status())
    }
}

const MESSAGE: &str = r#"{"message_id":"m","conversation_id":"c","sender_id":"s",
    "receiver_id":"p:r","account":"a","content":"t","accepted_at":1800000000000}"#;

#[tokio::test(start_paused = true)]
async fn events_meet_whatever_their_order() {
    let world = World::new().await;
    let receipt =
        r#"{"platform":"p","account":"a","external_id":"x","status":"READ","timestamp":7}"#;
    let status = r#"{"message_id":"m","status":"DELIVERED","timestamp":5,"platform":"p",
        "account":"a","external_id":"x"}"#;
    world.append("receipts", receipt).await;
    world.project().await;
    world.append("status-updates", status).await;
    world.project().await;
    assert_eq!(world.status("m").await, None, "a row without content is not shown");
    world.append("messages", MESSAGE).await;
    world.project().await;
    assert_eq!(world.status("m").await, Some(Status::Read));
    assert_eq!(world.uncommitted().await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_record_goes_to_the_dead_letters_and_stops_nothing() {
    let world = World::new().await;
    for topic in ["messages", "status-updates", "receipts"] {
        world.append(topic, "garbage").await;
    }
    world.append("messages", MESSAGE).await;
    world.project().await;
    assert_eq!(world.status("m").await, Some(Status::Accepted));
    for topic in ["messages", "status-updates", "receipts"] {
        let at = TopicPartition::new(&format!("{topic}-dead-letters"), 0);
        let records = world.log.read(&at, 0, 10).await.unwrap();
        let letter = DeadLetter::parse(&records[0].value).unwrap();
        assert_eq!((letter.topic.as_str(), letter.raw.as_slice()), (topic, b"garbage".as_slice()));
    }
    assert_eq!(world.uncommitted().await, 0);
}

#[tokio::test]
async fn nothing_is_committed_that_the_store_did_not_take() {
    let folder = tempfile::tempdir().unwrap();
    // Too small for a single message of this size.
    let options = StoreOptions { max_pages: Some(30), ..StoreOptions::default() };
    let store = EmbeddedStore::open_file(&folder.path().join("store.db"), options).unwrap();
    let world = World::with_store(store).await;
    let content = "x".repeat(200_000);
    world.append("messages", &MESSAGE.replace(r#""t""#, &format!("{content:?}"))).await;
    world.project().await;
    assert_eq!(world.status("m").await, None);
    assert_eq!(world.uncommitted().await, 1);
}

const FAILED: &str = r#"{"message_id":"m","conversation_id":"c","accepted_at":1800000000000,
    "status":"FAILED","timestamp":1800000000500,"reason":"refused"}"#;

/// As releases wrote it before letters named their conversation.
const OLDER_LETTER: &str = r#"{"topic":"p-outbound","partition":0,"offset":4,"reason":"refused",
    "detail":"100","raw":"e30=","message_id":"m","generation":0}"#;

#[tokio::test(start_paused = true)]
async fn what_a_connector_gave_up_is_listed_once_its_message_is_failed() {
    let world = World::new().await;
    world.append("p-outbound-dead-letters", OLDER_LETTER).await;
    world.append("p-outbound-dead-letters", OLDER_LETTER).await;
    world.append("messages", MESSAGE).await;
    world.project().await;
    assert!(world.open().await.is_empty());
    world.append("status-updates", FAILED).await;
    world.project().await;
    assert_eq!(world.open().await, ["message:m:0"]);
    assert_eq!(world.uncommitted().await, 0);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_could_read_is_listed_with_its_record() {
    let world = World::new().await;
    world.append("receipts", "garbage").await;
    world.project().await;
    world.project().await;
    assert_eq!(world.open().await, ["record:receipts:0:0"]);
    let id = LetterId::parse("record:receipts:0:0").unwrap();
    let raw = world.store.letters().letter_raw(&Tenant::default(), &id).await.unwrap();
    assert_eq!(raw.as_deref(), Some(b"garbage".as_slice()));
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_dead_letter_is_counted_and_begets_no_other() {
    let recorder = DebuggingRecorder::new();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let world = World::new().await;
    world.append("p-outbound-dead-letters", "garbage").await;
    world.append("p-outbound-dead-letters", OLDER_LETTER).await;
    world.project().await;
    assert_eq!(world.uncommitted().await, 0);
    let counted = recorder.snapshotter().snapshot().into_vec().into_iter().any(|(key, _, _, n)| {
        let is_topic = |label: &metrics::Label| label.value() == "p-outbound-dead-letters";
        key.key().name() == "chat4all_dead_letters_unreadable_total"
            && key.key().labels().any(is_topic)
            && n == DebugValue::Counter(1)
    });
    assert!(counted);
    let none = TopicPartition::new("p-outbound-dead-letters-dead-letters", 0);
    assert!(world.log.bounds(&none).await.is_err(), "there is no such topic");
}
