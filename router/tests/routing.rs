//! What the router does with each kind of record, on an inline log under the paused clock.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chat4all_contracts::{
    AccountName, AccountSpec, DeadLetter, EpochMs, Message, PlatformName, PlatformSpec, Platforms,
    Reason, Status, StatusUpdate,
};
use chat4all_eventlog::inline::{InlineLog, InlineOptions};
use chat4all_eventlog::{
    Admission, ConsumerEvent, EventLog, NewRecord, Patience, ProducerOptions, Record, Subscription,
    TopicPartition, Topology, append,
};
use chat4all_process::{Clock, Random, Shutdown};
use chat4all_router::{GROUP, RouterDeps, RouterService, RouterSettings};
use regex::Regex;

const NOW: u64 = 1_800_000_000_000;

const TOPOLOGY: Topology = Topology {
    messages: 1,
    status_updates: 1,
    receipts: 1,
    inbound: 1,
    retention: Duration::from_secs(300_000),
};

struct World {
    log: Arc<InlineLog>,
    clock: Clock,
    platforms: Arc<Platforms>,
}

impl World {
    async fn new() -> Self {
        let clock = Clock::simulated(EpochMs::saturating(NOW));
        let log = InlineLog::new(InlineOptions::default(), clock.clone(), Random::seeded(1));
        let account = |name: &str| AccountName::new(name).unwrap();
        let spec = PlatformSpec {
            recipient: Regex::new("^.+$").unwrap(),
            recipient_rule: "anything".to_owned(),
            has_receipts: true,
            accounts: [("main", 0), ("second", 1)]
                .map(|(name, partition)| (account(name), AccountSpec { partition }))
                .into(),
            default_account: account("main"),
        };
        let platforms = Platforms([(PlatformName::new("plain").unwrap(), spec)].into());
        TOPOLOGY.ensure(&*log, &platforms).await.unwrap();
        Self { log, clock, platforms: Arc::new(platforms) }
    }

    async fn append(&self, values: &[&str]) {
        let options =
            ProducerOptions { patience: Patience::Forever, admission: Admission::NewWork };
        let producer = self.log.producer(options);
        for value in values {
            let record = NewRecord {
                to: TopicPartition::new("messages", 0),
                key: Bytes::new(),
                value: Bytes::copy_from_slice(value.as_bytes()),
                headers: vec![("traceparent".to_owned(), Bytes::from_static(b"00-trace"))],
                timestamp: self.clock.now(),
            };
            append(&*producer, record).await.unwrap();
        }
    }

    /// Runs a router until everything in `messages` is committed, then stops it.
    async fn route(&self) {
        let deps = RouterDeps {
            log: self.log.clone(),
            platforms: self.platforms.clone(),
            topology: TOPOLOGY,
            clock: self.clock.clone(),
            random: Random::seeded(2),
        };
        let shutdown = Shutdown::new();
        let router = RouterService::new(deps, RouterSettings::default());
        let running = tokio::spawn(router.run(shutdown.clone()));
        // sleep: simulated time; a stop drains, and the position is checked below.
        tokio::time::sleep(Duration::from_secs(1)).await;
        shutdown.trigger();
        running.await.unwrap().unwrap();
        assert!(self.is_all_committed().await, "the router left records uncommitted");
    }

    async fn is_all_committed(&self) -> bool {
        let to = Subscription {
            group: GROUP.to_owned(),
            topics: vec!["messages".to_owned()],
            max_batch: 1,
            revoke_deadline: Duration::from_secs(1),
        };
        let consumer = self.log.subscribe(to).await.unwrap();
        match consumer.next().await.unwrap() {
            ConsumerEvent::Assigned(assigned) => assigned.iter().all(|a| a.position == a.end),
            other => panic!("{other:?}"),
        }
    }

    async fn read(&self, topic: &str, partition: u32) -> Vec<Record> {
        self.log.read(&TopicPartition::new(topic, partition), 0, 1_000).await.unwrap()
    }

    async fn outbound(&self, partition: u32) -> Vec<Message> {
        let records = self.read("plain-outbound", partition).await;
        records.iter().map(|r| Message::parse(&r.value, r.timestamp).unwrap()).collect()
    }
}

fn message(id: &str, extra: &str) -> String {
    format!(
        r#"{{"message_id":"{id}","conversation_id":"c","sender_id":"s",
            "receiver_id":"plain:r","content":"t"{extra}}}"#
    )
}

#[tokio::test(start_paused = true)]
async fn a_message_goes_to_its_accounts_partition_with_the_account_written_in() {
    let world = World::new().await;
    world.append(&[&message("a", ""), &message("b", r#","account":"second""#)]).await;
    world.route().await;
    let (main, second) = (world.outbound(0).await, world.outbound(1).await);
    assert_eq!((main[0].message_id.as_str(), second[0].message_id.as_str()), ("a", "b"));
    assert_eq!(main[0].account.as_ref().map(AccountName::as_str), Some("main"));
    // What the minimal record left out is written down, so that no later stage decides otherwise.
    assert_eq!(main[0].accepted_at.as_ms(), NOW);
    let headers = &world.read("plain-outbound", 0).await[0].headers;
    assert!(headers.iter().any(|(name, value)| name == "traceparent" && value == "00-trace"));
}

#[tokio::test(start_paused = true)]
async fn the_order_of_a_partition_is_kept() {
    let world = World::new().await;
    let values: Vec<String> = (0..500).map(|n| message(&format!("m{n}"), "")).collect();
    world.append(&values.iter().map(String::as_str).collect::<Vec<_>>()).await;
    world.route().await;
    let ids: Vec<String> =
        world.outbound(0).await.iter().map(|m| m.message_id.as_str().to_owned()).collect();
    assert_eq!(ids, (0..500).map(|n| format!("m{n}")).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_platform_or_account_is_a_failed_message() {
    let world = World::new().await;
    let elsewhere = message("a", "").replace("plain:r", "carrier-pigeon:r");
    world.append(&[&elsewhere, &message("b", r#","account":"third""#), &message("c", "")]).await;
    world.route().await;
    let updates: Vec<StatusUpdate> = world
        .read("status-updates", 0)
        .await
        .iter()
        .map(|record| StatusUpdate::parse(&record.value).unwrap())
        .collect();
    let told: Vec<_> =
        updates.iter().map(|u| (u.message_id.as_str(), u.status, u.reason)).collect();
    assert_eq!(
        told,
        [
            ("a", Status::Failed, Some(Reason::UnknownPlatform)),
            ("b", Status::Failed, Some(Reason::UnknownAccount)),
        ]
    );
    assert_eq!(world.outbound(0).await.len(), 1, "the neighbour does not notice");
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_record_goes_to_the_dead_letters_with_its_bytes() {
    let world = World::new().await;
    let without_content = r#"{"message_id":"a","conversation_id":"c","sender_id":"s",
        "receiver_id":"plain:r"}"#;
    world.append(&["garbage", without_content, &message("b", "")]).await;
    world.route().await;
    let letters: Vec<DeadLetter> = world
        .read("messages-dead-letters", 0)
        .await
        .iter()
        .map(|record| DeadLetter::parse(&record.value).unwrap())
        .collect();
    assert_eq!((letters[0].raw.as_slice(), letters[0].offset), (b"garbage".as_slice(), 0));
    assert_eq!(letters[1].detail, "content is required");
    assert_eq!(letters[1].raw, without_content.as_bytes());
    assert_eq!(world.outbound(0).await.len(), 1);
}
