//! Messages without an outcome: which they are, where each waits and why.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)] // a test fails by panicking

mod support;

use std::time::Duration;

use chat4all_contracts::event::encode;
use chat4all_contracts::{
    AccountCondition, AccountName, AccountState, EpochMs, PlatformName, Reason, Status,
    StatusUpdate, group,
};
use chat4all_eventlog::{
    Admission, Assignment, Cleanup, Commit, ConsumerEvent, EventLog, Patience, Placement,
    ProducerOptions, Subscription, TopicPartition, TopicSpec, append, topology,
};
use chat4all_store::Tenant;
use chat4all_store::projection::project_status;
use serde_json::{Value, json};
use support::store::{Op, StoreFault};
use support::{START, World, body_with};

/// A world with an outbound topic that has read what is said of the accounts.
async fn world() -> World {
    let mut world = World::new();
    let outbound = TopicSpec {
        name: "whatsapp-outbound".to_owned(),
        partitions: 2,
        placement: Placement::Named,
        retention: Duration::from_secs(7 * 86_400),
        cleanup: Cleanup::Delete,
    };
    world.log.ensure_topics(vec![outbound]).await.unwrap();
    world.follow();
    settle().await;
    world
}

/// Lets what waits for the log run. The clock is paused: it costs no time.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(10)).await; // sleep: simulated time
}

const PATIENT: ProducerOptions =
    ProducerOptions { patience: Patience::Forever, admission: Admission::Progress };

async fn commit(world: &World, group: &str, topic: &str) {
    let to = Subscription {
        group: group.to_owned(),
        topics: vec![topic.to_owned()],
        max_batch: 100,
        revoke_deadline: Duration::from_secs(1),
    };
    let consumer = world.log.subscribe(to).await.unwrap();
    let ConsumerEvent::Assigned(assigned) = consumer.next().await.unwrap() else {
        panic!("a new member is assigned partitions first");
    };
    let commit = |assignment: &Assignment| Commit {
        at: assignment.at.clone(),
        epoch: assignment.epoch,
        offset: assignment.end,
        note: String::new(),
    };
    assert_eq!(consumer.commit(assigned.iter().map(commit).collect()).await.unwrap(), []);
    consumer.close().await;
}

fn platform() -> PlatformName {
    PlatformName::new("whatsapp").unwrap()
}

/// What the router does with the last message.
async fn route(world: &World) {
    let message = world.appended().pop().unwrap();
    let at = TopicPartition::new("whatsapp-outbound", 0);
    let record = topology::outbound(at, &message, Vec::new(), world.clock.now());
    assert_eq!(record.value, encode(&message));
    append(&*world.log.producer(PATIENT), record).await.unwrap();
    commit(world, group::ROUTER, "messages").await;
}

async fn say(world: &World, state: AccountCondition, parked: u64) {
    let at = EpochMs::saturating(START);
    let state = AccountState {
        platform: platform(),
        account: AccountName::new("main").unwrap(),
        state,
        since: at,
        until: (state != AccountCondition::Active).then_some(at),
        parked,
        in_flight: 0,
        per_second: None,
        consecutive_failures: 0,
        oldest_parked_at: None,
        detail: None,
        applied: None,
        at,
        owner: "host/1".to_owned(),
    };
    append(&*world.log.producer(PATIENT), topology::account_state(&state)).await.unwrap();
    settle().await;
}

async fn report(world: &World, id: &str, status: Status) {
    report_why(world, id, status, (status == Status::Unknown).then_some(Reason::InDoubt)).await;
}

async fn report_why(world: &World, id: &str, status: Status, reason: Option<Reason>) {
    let mut update = StatusUpdate::minimal(support::id(id), status, world.clock.now());
    update.reason = reason;
    let now = world.clock.now();
    project_status(&*world.store, &Tenant::default(), &update, now).await.unwrap();
}

async fn accept(world: &World, fields: Value) -> String {
    let answer = world.post(&body_with(fields)).await.accepted();
    answer["message_id"].as_str().unwrap().to_owned()
}

/// Where the only open message waits, and why.
async fn waits(world: &World) -> (String, String) {
    let list = world.get("/v1/open").await.json();
    let [message] = list["messages"].as_array().unwrap().as_slice() else { panic!("{list}") };
    let text = |name: &str| message[name].as_str().unwrap().to_owned();
    (text("waits"), text("why"))
}

#[tokio::test(start_paused = true)]
async fn an_open_message_says_where_it_waits_and_why() {
    let world = world().await;
    let id = accept(&world, json!({})).await;
    assert_eq!(waits(&world).await.0, "router_backlog");
    route(&world).await;
    assert_eq!(waits(&world).await.0, "connector_backlog");
    say(&world, AccountCondition::Active, 7).await;
    let paced =
        ("paced".to_owned(), "for the account's pace, or its receiver's: 7 wait".to_owned());
    assert_eq!(waits(&world).await, paced);
    say(&world, AccountCondition::Open, 7).await;
    let why = "the account is open until 2023-11-14T22:13:20.123Z";
    assert_eq!(waits(&world).await, ("parked".to_owned(), why.to_owned()));
    commit(&world, &group::connector(&platform()), "whatsapp-outbound").await;
    assert_eq!(waits(&world).await.0, "projection_behind");
    report(&world, &id, Status::Unknown).await;
    assert_eq!(waits(&world).await.0, "in_doubt");
    report(&world, &id, Status::Sent).await;
    assert_eq!(world.get("/v1/open").await.json(), json!({ "messages": [] }));
}

#[tokio::test(start_paused = true)]
async fn a_message_in_doubt_says_whether_it_is_called_again() {
    for (reason, says) in [
        (Reason::PossibleDuplicate, "it is called again unless a receipt comes"),
        (Reason::InDoubt, "a receipt may settle it"),
    ] {
        let world = world().await;
        let id = accept(&world, json!({})).await;
        report_why(&world, &id, Status::Unknown, Some(reason)).await;
        let why = format!("a call was made and no answer came; {says}");
        assert_eq!(waits(&world).await, ("in_doubt".to_owned(), why));
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_message_is_shown_with_its_ages_and_without_its_content() {
    let world = world().await;
    let id = accept(&world, json!({"expires_in": 60})).await;
    tokio::time::sleep(Duration::from_secs(45)).await; // sleep: simulated time
    let answer = world.get("/v1/open?older_than=30s").await;
    let message = &answer.json()["messages"][0];
    assert_eq!(message["message_id"], id);
    assert_eq!((&message["age_s"], &message["expires_in_s"]), (&json!(45), &json!(15)));
    assert_eq!((&message["platform"], &message["account"]), (&json!("whatsapp"), &json!("main")));
    assert_eq!(message["status"], "ACCEPTED");
    assert!(!answer.text.contains("hello") && !answer.text.contains("+55"), "{}", answer.text);
    let younger = world.get("/v1/open?older_than=1m").await.json();
    assert_eq!(younger, json!({ "messages": [] }));
}

#[tokio::test(start_paused = true)]
async fn filters_and_pages_show_each_message_once() {
    let world = world().await;
    let mut expected = Vec::new();
    for n in 0..12 {
        let account = if n % 3 == 0 { "second" } else { "main" };
        let id =
            accept(&world, json!({"account": account, "conversation_id": n.to_string()})).await;
        if account == "main" {
            expected.push(id);
        }
    }
    let instagram = json!({"receiver_id": "instagram:123", "account": "page"});
    accept(&world, instagram).await;
    expected.sort();
    let filter = "platform=whatsapp&account=main";
    for limit in [1, 5, 100] {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/open?{filter}&limit={limit}{cursor}");
            let page = world.get(&path).await.json();
            let messages = page["messages"].as_array().unwrap();
            assert!(messages.len() <= limit);
            let id = |message: &Value| message["message_id"].as_str().unwrap().to_owned();
            found.extend(messages.iter().map(id));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        found.sort();
        assert_eq!(found, expected, "in pages of {limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_question_is_said() {
    let world = world().await;
    for _ in 0..2 {
        accept(&world, json!({})).await;
    }
    let page = world.get("/v1/open?limit=1").await.json();
    let cursor = page["next_cursor"].as_str().unwrap();
    let other_filter = format!("platform=whatsapp&cursor={cursor}");
    for (query, code, field) in [
        ("older_than=5", "invalid_field", "older_than"),
        ("platform=What", "invalid_field", "platform"),
        ("account=%00", "invalid_field", "account"),
        ("limit=0", "invalid_field", "limit"),
        ("cursor=x", "invalid_cursor", "cursor"),
        (&other_filter, "invalid_cursor", "cursor"),
        ("reason=lost", "unknown_field", "reason"),
        ("older_than=5m&older_than=6m", "invalid_field", "query"),
    ] {
        let problem = world.get(&format!("/v1/open?{query}")).await.refused(400, code);
        assert_eq!(problem["field"], field, "{query}");
    }
    world.store.fail(&[Op::Open], StoreFault::Away);
    world.get("/v1/open").await.refused(503, "store_unavailable");
}
