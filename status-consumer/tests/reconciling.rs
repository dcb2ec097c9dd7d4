//! Whether every message ends, whoever loses it: the whole status-consumer on an inline log and a
//! store in memory under the paused clock. Router and connectors are commits of their groups.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use chat4all_contracts::event::{Message, encode};
use chat4all_contracts::{
    EpochMs, Generation, MessageId, PlatformName, Platforms, Reason, Status, StatusUpdate, group,
    topic,
};
use chat4all_eventlog::inline::{InlineLog, InlineOptions};
use chat4all_eventlog::{
    Admission, Cleanup, Commit, ConsumerEvent, EventLog, NewRecord, Patience, Placement,
    ProducerOptions, Subscription, TopicPartition, TopicSpec, Topology, append,
};
use chat4all_process::config::Bounded;
use chat4all_process::{Clock, Random, Shutdown};
use chat4all_status_consumer::{StatusConsumer, StatusConsumerDeps, StatusConsumerSettings};
use chat4all_store::embedded::EmbeddedStore;
use chat4all_store::faulty::{FaultyStore, StoreFault, StoreFaults};
use chat4all_store::{MessageStore, Tenant};
use futures::future::BoxFuture;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// The life of a message in these tests.
const LIFE: Duration = MINUTE;

/// When a verdict is there for certain: life, grace, and time to look.
const JUDGED: Duration = Duration::from_secs(20 * 60);

/// How often it looks, in seconds.
const LOOK_S: u64 = 120;

const TOPOLOGY: Topology = Topology {
    messages: 2,
    status_updates: 3,
    receipts: 1,
    inbound: 1,
    retention: Duration::from_secs(300_000),
};

struct World {
    log: Arc<InlineLog>,
    store: Arc<EmbeddedStore>,
    /// What the status-consumer has of it.
    seen: Arc<dyn MessageStore>,
    clock: Clock,
}

impl World {
    async fn new() -> Self {
        let clock = Clock::simulated(EpochMs::saturating(1_800_000_000_000));
        let log = InlineLog::new(InlineOptions::default(), clock.clone(), Random::seeded(1));
        TOPOLOGY.ensure(&*log, &Platforms::default()).await.unwrap();
        let outbound = TopicSpec {
            name: "p-outbound".to_owned(),
            partitions: 2,
            placement: Placement::Named,
            retention: TOPOLOGY.retention,
            cleanup: Cleanup::Delete,
        };
        log.ensure_topics(vec![outbound]).await.unwrap();
        let store = EmbeddedStore::in_memory().unwrap();
        Self { log, seen: store.clone(), store, clock }
    }

    async fn append(&self, record: NewRecord) {
        let options =
            ProducerOptions { patience: Patience::Forever, admission: Admission::NewWork };
        append(&*self.log.producer(options), record).await.unwrap();
    }

    /// What the API does.
    async fn accept(&self, id: &str) -> Message {
        self.accept_for("p", id).await
    }

    async fn accept_for(&self, platform: &str, id: &str) -> Message {
        let text = format!(
            r#"{{"message_id":"{id}","conversation_id":"c","sender_id":"s","receiver_id":"{platform}:r",
                "account":"a","content":"t"}}"#
        );
        let now = self.clock.now();
        let message = Message::parse(text.as_bytes(), now).unwrap();
        let message = Message { expires_at: now.plus(LIFE), ..message };
        self.append(TOPOLOGY.message(&message, Vec::new())).await;
        message
    }

    /// What the router does: the record of the second account lies on the second partition.
    async fn route(&self, message: &Message) {
        self.append(NewRecord {
            to: TopicPartition::new("p-outbound", 1),
            key: Bytes::new(),
            value: encode(message).into(),
            headers: Vec::new(),
            timestamp: self.clock.now(),
        })
        .await;
    }

    async fn report(&self, of: &Message, status: Status) {
        self.report_why(of, status, None).await;
    }

    async fn report_why(&self, of: &Message, status: Status, reason: Option<Reason>) {
        let mut update = StatusUpdate::minimal(of.message_id.clone(), status, self.clock.now());
        update.conversation_id = Some(of.conversation_id.clone());
        update.accepted_at = Some(of.accepted_at);
        update.reason = reason;
        self.append(TOPOLOGY.status_update(&update, self.clock.now())).await;
    }

    /// A group commits everything that there is.
    async fn commit(&self, group: &str, topic: &str) {
        let to = Subscription {
            group: group.to_owned(),
            topics: vec![topic.to_owned()],
            max_batch: 100,
            revoke_deadline: Duration::from_secs(1),
        };
        let consumer = self.log.subscribe(to).await.unwrap();
        let ConsumerEvent::Assigned(assigned) = consumer.next().await.unwrap() else {
            panic!("a new member is assigned partitions first");
        };
        let commit = |assignment: &chat4all_eventlog::Assignment| Commit {
            at: assignment.at.clone(),
            epoch: assignment.epoch,
            offset: assignment.end,
            note: String::new(),
        };
        let refused = consumer.commit(assigned.iter().map(commit).collect()).await.unwrap();
        assert_eq!(refused, []);
        consumer.close().await;
    }

    async fn pass_the_router(&self) {
        self.commit(group::ROUTER, topic::MESSAGES).await;
    }

    async fn pass_the_connector(&self) {
        let platform = PlatformName::new("p").unwrap();
        self.commit(&group::connector(&platform), "p-outbound").await;
    }

    /// Runs a status-consumer for a time, then stops it.
    async fn run(&self, time: Duration) {
        self.run_with(async || tokio::time::sleep(time).await).await; // sleep: simulated time
    }

    /// Runs a status-consumer until `work` is done, then stops it.
    async fn run_with(&self, work: impl AsyncFnOnce()) {
        let deps = StatusConsumerDeps {
            log: self.log.clone(),
            store: self.seen.clone(),
            platforms: Arc::default(),
            clock: self.clock.clone(),
            random: Random::seeded(2),
        };
        let settings = StatusConsumerSettings {
            commit_interval_ms: Bounded::new(10_000),
            reconcile_interval_s: Bounded::new(LOOK_S),
            sweep_interval_s: Bounded::new(86_400),
            reconcile_abandoned_s: Bounded::new(36_000),
            ..StatusConsumerSettings::default()
        };
        let shutdown = Shutdown::new();
        let running = tokio::spawn(StatusConsumer::new(deps, settings).run(shutdown.clone()));
        work().await;
        shutdown.trigger();
        running.await.unwrap().unwrap();
    }

    async fn ended(&self, id: &str) -> (Status, Option<Reason>) {
        let id = MessageId::new(id).unwrap();
        let stored = self.store.message(&Tenant::default(), &id).await.unwrap().unwrap();
        (stored.state.status(), stored.state.reason())
    }

    /// How many statuses were ever appended.
    async fn statuses(&self) -> u64 {
        let mut statuses = 0;
        for number in 0..TOPOLOGY.status_updates {
            let at = TopicPartition::new(topic::STATUS_UPDATES, number);
            statuses += self.log.bounds(&at).await.unwrap().end;
        }
        statuses
    }
}

const OPEN: (Status, Option<Reason>) = (Status::Accepted, None);
const LOST: (Status, Option<Reason>) = (Status::Failed, Some(Reason::Lost));
const IN_DOUBT: (Status, Option<Reason>) = (Status::Failed, Some(Reason::InDoubt));
const EXPIRED: (Status, Option<Reason>) = (Status::Failed, Some(Reason::Expired));

/// How often each verdict was counted.
fn verdicts(work: impl Future<Output = ()>) -> Vec<(String, u64)> {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(work);
    });
    let mut counted: Vec<(String, u64)> = snapshotter
        .snapshot()
        .into_vec()
        .into_iter()
        .filter(|(key, ..)| key.key().name() == "chat4all_messages_judged_total")
        .map(|(key, _, _, value)| match value {
            DebugValue::Counter(n) => (key.key().labels().last().unwrap().value().to_owned(), n),
            other => panic!("{other:?}"),
        })
        .collect();
    counted.sort();
    counted
}

#[test]
fn a_message_whose_outbound_record_is_lost_ends_so_and_is_counted_once() {
    let counted = verdicts(async {
        let world = World::new().await;
        world.accept("m").await;
        world.pass_the_router().await;
        world.run(LIFE + 9 * MINUTE).await;
        assert_eq!(world.ended("m").await, OPEN, "within the grace nothing is judged");
        world.run(JUDGED).await;
        assert_eq!(world.ended("m").await, LOST);
        world.run(2 * HOUR).await;
        assert_eq!(world.statuses().await, 1, "one verdict is enough");
    });
    let expected = [("expired", 0), ("in_doubt", 0), ("lost", 1)];
    assert_eq!(counted, expected.map(|(reason, n)| (reason.to_owned(), n)));
}

#[tokio::test(start_paused = true)]
async fn a_message_of_unknown_outcome_ends_in_doubt_whatever_the_backlog() {
    let world = World::new().await;
    let message = world.accept("m").await;
    world.report(&message, Status::Unknown).await;
    world.run(LIFE + 5 * MINUTE).await;
    assert_eq!(world.ended("m").await, (Status::Unknown, None));
    world.run(JUDGED).await;
    assert_eq!(world.ended("m").await, IN_DOUBT);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_waits_before_router_or_connector_is_not_judged() {
    let world = World::new().await;
    let message = world.accept("m").await;
    world.run(2 * HOUR).await;
    assert_eq!(world.ended("m").await, OPEN, "before the router");
    world.route(&message).await;
    world.pass_the_router().await;
    world.run(2 * HOUR).await;
    assert_eq!(world.ended("m").await, OPEN, "before the connector");
    world.report(&message, Status::Sent).await;
    world.pass_the_connector().await;
    world.run(2 * HOUR).await;
    assert_eq!(world.ended("m").await, (Status::Sent, None));
    assert_eq!(world.statuses().await, 1, "no verdict beside the outcome");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_will_be_called_again_is_judged_once_its_connector_has_passed_it() {
    let world = World::new().await;
    let doubtful = world.accept("m").await;
    world.route(&doubtful).await;
    let reason = Some(Reason::PossibleDuplicate);
    world.report_why(&doubtful, Status::Unknown, reason).await;
    world.pass_the_router().await;
    world.run(JUDGED).await;
    assert_eq!(world.ended("m").await, (Status::Unknown, reason));
    world.pass_the_connector().await;
    world.run(JUDGED).await;
    assert_eq!(world.ended("m").await, IN_DOUBT);
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_passes_a_message_without_an_outcome_has_lost_it() {
    let world = World::new().await;
    let message = world.accept("m").await;
    world.route(&message).await;
    world.pass_the_router().await;
    world.run(2 * HOUR).await;
    assert_eq!(world.ended("m").await, OPEN);
    world.pass_the_connector().await;
    world.run(JUDGED).await;
    assert_eq!(world.ended("m").await, LOST);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_nobody_fetches_for_long_ends_expired() {
    let world = World::new().await;
    let message = world.accept("m").await;
    world.route(&message).await;
    world.pass_the_router().await;
    world.run(10 * HOUR).await;
    assert_eq!(world.ended("m").await, OPEN);
    world.run(2 * HOUR).await;
    assert_eq!(world.ended("m").await, EXPIRED);
}

#[tokio::test(start_paused = true)]
async fn a_late_proof_of_acceptance_beats_the_verdict() {
    let world = World::new().await;
    let message = world.accept("m").await;
    world.report(&message, Status::Unknown).await;
    world.run(LIFE + JUDGED).await;
    assert_eq!(world.ended("m").await, IN_DOUBT);
    world.report(&message, Status::Sent).await;
    world.run(MINUTE).await;
    assert_eq!(world.ended("m").await, (Status::Sent, None));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_ahead_judges_nothing_early() {
    let world = World::new().await;
    let message = world.accept("m").await;
    world.report(&message, Status::Unknown).await;
    let jump = async || {
        let status = async || world.ended("m").await;
        tokio::time::sleep(MINUTE).await; // sleep: simulated time
        world.clock.set(world.clock.now().plus(200 * HOUR));
        tokio::time::sleep(5 * MINUTE).await; // sleep: simulated time
        assert_eq!(status().await, (Status::Unknown, None));
        tokio::time::sleep(JUDGED).await; // sleep: simulated time
        assert_eq!(status().await, IN_DOUBT, "the time in the log runs on by itself");
    };
    world.run_with(jump).await;
}

#[tokio::test(start_paused = true)]
async fn a_redriven_message_is_judged_by_its_new_life() {
    let world = World::new().await;
    let first = world.accept("m").await;
    world.report(&first, Status::Failed).await;
    world.run(LIFE + JUDGED).await;
    let generation = Generation::new(1).unwrap();
    let expires_at = world.clock.now().plus(2 * HOUR);
    let second = Message { generation, expires_at, ..first };
    world.append(TOPOLOGY.message(&second, Vec::new())).await;
    world.pass_the_router().await;
    world.run(2 * HOUR).await;
    assert_eq!(world.ended("m").await, OPEN);
    world.run(JUDGED).await;
    assert_eq!(world.ended("m").await, LOST);
}

/// A store that answers two reads between looks, and fails all others.
struct TwoReads {
    began: Instant,
    /// Which time between looks it is, and how many reads it has had.
    reads: Mutex<(u64, u32)>,
}

impl StoreFaults for TwoReads {
    fn before(&self, writes: bool) -> BoxFuture<'static, Option<StoreFault>> {
        let now = self.began.elapsed().as_secs() / LOOK_S;
        let mut reads = self.reads.lock().unwrap();
        if reads.0 != now {
            *reads = (now, 0);
        }
        reads.1 += u32::from(!writes);
        let fails = !writes && reads.1 > 2;
        Box::pin(std::future::ready(fails.then_some(StoreFault::NotDone)))
    }

    fn after(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_amid_each_look_does_not_keep_the_last_message_from_its_verdict() {
    let mut world = World::new().await;
    // Three pages of what waits for a connector, and then one that nobody will deliver.
    for n in 0..250 {
        let waits = world.accept(&format!("m{n:03}")).await;
        world.route(&waits).await;
    }
    world.accept_for("q", "z").await;
    world.pass_the_router().await;
    world.run(LIFE / 2).await;
    let (began, reads) = (Instant::now(), Mutex::default());
    world.seen = FaultyStore::new(world.store.clone(), Arc::new(TwoReads { began, reads }));
    world.run(2 * HOUR).await;
    assert_eq!(world.ended("z").await, LOST);
    assert_eq!(world.ended("m249").await, OPEN);
}
