//! Actors that die: each is restarted from the log, no message is lost, none is overtaken, and too
//! many deaths end the connector with an error.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

mod accounts;
mod faults;
mod platform;
mod poison;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chat4all_connector_kit::{
    Connector, ConnectorDeps, ConnectorError, Ended, KitSettings, Source,
};
use chat4all_contracts::{
    AccountName, AccountSpec, EpochMs, Message, PlatformName, PlatformSpec, Platforms, Reason,
    Status, StatusUpdate, topic,
};
use chat4all_eventlog::faulty::FaultyLog;
use chat4all_eventlog::inline::{InlineLog, InlineOptions};
use chat4all_eventlog::{
    Admission, EventLog, Patience, ProducerOptions, TopicPartition, Topology, append, topology,
};
use chat4all_process::{Clock, Random, Shutdown};
use regex::Regex;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use faults::Faults;
use platform::{Answers, Plain};

const CONVERSATIONS: usize = 10;
const MESSAGES: usize = 10;

struct World {
    inner: Arc<InlineLog>,
    log: Arc<FaultyLog>,
    faults: Arc<Faults>,
    answers: Arc<Answers>,
    clock: Clock,
    platforms: Platforms,
}

const TOPOLOGY: Topology = Topology {
    messages: 1,
    status_updates: 1,
    receipts: 1,
    inbound: 1,
    retention: Duration::from_secs(300_000),
};

fn name(text: &str) -> PlatformName {
    PlatformName::new(text).unwrap()
}

impl World {
    async fn new() -> Self {
        let clock = Clock::simulated(EpochMs::saturating(1_800_000_000_000));
        let random = Random::seeded(1);
        let inner = InlineLog::new(InlineOptions::default(), clock.clone(), random.fork());
        let faults = Arc::new(Faults::default());
        let log = FaultyLog::new(inner.clone(), faults.clone());
        let main = AccountName::new("main").unwrap();
        let spec = PlatformSpec {
            recipient: Regex::new("^.+$").unwrap(),
            recipient_rule: "anything".to_owned(),
            has_receipts: true,
            accounts: [(main.clone(), AccountSpec { partition: 0 })].into(),
            default_account: main,
        };
        let platforms = Platforms([(name("plain"), spec)].into());
        TOPOLOGY.ensure(&*log, &platforms).await.unwrap();
        let answers = Arc::new(Answers::new(random.fork()));
        Self { inner, log, faults, answers, clock, platforms }
    }

    fn start(&self, shutdown: &Shutdown) -> JoinHandle<Result<(), ConnectorError>> {
        let deps = ConnectorDeps {
            log: self.log.clone(),
            topology: TOPOLOGY,
            http: self.answers.clone(),
            clock: self.clock.clone(),
            random: Random::seeded(2),
            platform: Arc::new(Plain(name("plain"))),
            spec: Arc::new(self.platforms.0[&name("plain")].clone()),
            per_second: BTreeMap::new(),
            source: Source::of(&name("plain")),
            owner: "test".to_owned(),
        };
        tokio::spawn(Connector::new(deps, KitSettings::default()).run(shutdown.clone()))
    }

    /// Routes the messages, conversation by conversation in turn.
    async fn route(&self) {
        let producer = self.log.producer(ProducerOptions {
            patience: Patience::Forever,
            admission: Admission::Progress,
        });
        for index in 0..MESSAGES {
            for conversation in 0..CONVERSATIONS {
                let text = format!(
                    r#"{{"message_id":"{conversation}-{index}","conversation_id":"{conversation}",
                        "sender_id":"s","receiver_id":"plain:r","content":"t"}}"#
                );
                let message = Message::parse(text.as_bytes(), self.clock.now()).unwrap();
                let at = TopicPartition::new("plain-outbound", 0);
                let record = topology::outbound(at, &message, Vec::new(), self.clock.now());
                append(&*producer, record).await.unwrap();
            }
        }
    }

    /// The statuses; reading them is no business of the faults.
    async fn statuses(&self) -> Vec<StatusUpdate> {
        let at = TopicPartition::new(topic::STATUS_UPDATES, 0);
        let records = self.inner.read(&at, 0, 100_000).await.unwrap();
        records.iter().map(|record| StatusUpdate::parse(&record.value).unwrap()).collect()
    }

    /// All but doubts: those are told of a message that is called again.
    async fn ends(&self) -> Vec<StatusUpdate> {
        let is_doubt = |update: &StatusUpdate| update.reason == Some(Reason::PossibleDuplicate);
        self.statuses().await.into_iter().filter(|update| !is_doubt(update)).collect()
    }

    /// Waits until every message has been reported as sent.
    async fn settled(&self) {
        let deadline = Instant::now() + Duration::from_secs(600);
        loop {
            let mut sent: Vec<_> = self.ends().await.into_iter().map(|s| s.message_id).collect();
            sent.sort();
            sent.dedup();
            if sent.len() == CONVERSATIONS * MESSAGES {
                return;
            }
            assert!(Instant::now() < deadline, "only {} messages settled", sent.len());
            tokio::time::sleep(Duration::from_millis(100)).await; // sleep: simulated time
        }
    }

    /// Runs a connector through its faults to the end.
    async fn run(&self) {
        let shutdown = Shutdown::new();
        let connector = self.start(&shutdown);
        self.route().await;
        self.settled().await;
        shutdown.trigger();
        connector.await.unwrap().unwrap();
        assert!(self.ends().await.iter().all(|status| status.status == Status::Sent));
        self.answers.assert_in_order(CONVERSATIONS, MESSAGES);
        let committed = self.log.bounds(&TopicPartition::new("plain-outbound", 0)).await.unwrap();
        assert_eq!(self.faults.committed.load(Ordering::Relaxed), committed.end);
    }
}

#[tokio::test(start_paused = true)]
async fn without_faults_every_message_is_called_once() {
    let world = World::new().await;
    world.run().await;
    assert_eq!(world.answers.calls(), CONVERSATIONS * MESSAGES);
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_panics_loses_no_status() {
    let world = World::new().await;
    world.faults.append_panics.store(3, Ordering::Relaxed);
    world.run().await;
    assert_eq!(world.answers.calls(), CONVERSATIONS * MESSAGES);
    assert_eq!(world.faults.append_panics.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn an_intake_that_panics_while_committing_begins_at_the_last_commit() {
    let world = World::new().await;
    world.faults.commit_panics.store(2, Ordering::Relaxed);
    world.run().await;
    assert_eq!(world.faults.commit_panics.load(Ordering::Relaxed), 0);
    assert!(world.answers.calls() > CONVERSATIONS * MESSAGES, "nothing had to be repeated");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_cannot_read_back_waits_for_the_log() {
    let world = World::new().await;
    // A first connector leaves a position behind, so that the second one reads back.
    world.run().await;
    world.faults.read_errors.store(2, Ordering::Relaxed);
    // The same messages again: each is recognised by what was read back, and none is called.
    let shutdown = Shutdown::new();
    let connector = world.start(&shutdown);
    world.route().await;
    let end = 2 * (CONVERSATIONS * MESSAGES) as u64;
    while world.faults.committed.load(Ordering::Relaxed) < end {
        tokio::time::sleep(Duration::from_millis(10)).await; // sleep: simulated time
    }
    shutdown.trigger();
    connector.await.unwrap().unwrap();
    assert_eq!(world.faults.read_errors.load(Ordering::Relaxed), 0);
    assert_eq!(world.answers.calls(), CONVERSATIONS * MESSAGES);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_panics_below_the_platforms_code_is_in_doubt_and_tried_again() {
    let world = World::new().await;
    world.answers.panics.store(3, Ordering::Relaxed);
    world.run().await;
    assert_eq!(world.answers.panics.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn too_many_deaths_end_the_connector_with_an_error() {
    let world = World::new().await;
    world.faults.commit_panics.store(u32::MAX, Ordering::Relaxed);
    let shutdown = Shutdown::new();
    let connector = world.start(&shutdown);
    world.route().await;
    let error = connector.await.unwrap().unwrap_err();
    assert!(matches!(error, ConnectorError::Ended(Ended::GaveUp { .. })), "{error}");
    assert!(error.to_string().contains("intake ended (panicked)"), "{error}");
}
