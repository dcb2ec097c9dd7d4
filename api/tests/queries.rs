//! What the API tells about messages.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)] // a test fails by panicking

mod support;

use std::time::Duration;

use chat4all_contracts::{EpochMs, ExternalId, Generation, Message, Reason, Status, StatusUpdate};
use chat4all_store::projection::{project_message, project_status};
use chat4all_store::{MessageStore, Tenant};
use serde_json::{Value, json};
use support::store::{Op, StoreFault};
use support::{START, World, body, body_with};

async fn report(world: &World, message: &Message, change: impl FnOnce(&mut StatusUpdate)) {
    let at = EpochMs::saturating(START + 1_000);
    let mut update = StatusUpdate::minimal(message.message_id.clone(), Status::Sent, at);
    update.conversation_id = Some(message.conversation_id.clone());
    update.accepted_at = Some(message.accepted_at);
    change(&mut update);
    let store: &dyn MessageStore = &*world.store.inner;
    project_status(store, &Tenant::default(), &update, world.clock.now()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_message_is_shown_whole() {
    let world = World::new();
    let full = json!({"message_id": "m1", "account": "second", "sender_id": "shop",
        "file_id": "f1", "expires_in": 60});
    world.post(&body_with(full)).await.accepted();
    assert_eq!(
        world.get("/v1/messages/m1").await.json(),
        json!({
            "message_id": "m1", "conversation_id": "c1", "sender_id": "shop",
            "receiver_id": "whatsapp:+5511999990000", "content": "hello", "file_id": "f1",
            "platform": "whatsapp", "account": "second", "status": "ACCEPTED",
            "accepted_at": "2023-11-14T22:13:20.123Z", "expires_at": "2023-11-14T22:14:20.123Z",
            "statuses": [{"status": "ACCEPTED", "at": "2023-11-14T22:13:20.123Z"}],
            "simulated": false
        })
    );
}

#[tokio::test(start_paused = true)]
async fn what_became_of_a_message_is_shown_with_times_and_reason() {
    let world = World::new();
    world.post(&body_with(json!({"message_id": "m1"}))).await.accepted();
    let message = world.appended().pop().unwrap();
    report(&world, &message, |update| {
        update.external_id = Some(ExternalId::new("wamid.1").unwrap());
    })
    .await;
    let shown = world.get("/v1/messages/m1").await.json();
    assert_eq!((&shown["status"], &shown["external_id"]), (&json!("SENT"), &json!("wamid.1")));
    assert_eq!(shown["statuses"][1], json!({"status": "SENT", "at": "2023-11-14T22:13:21.123Z"}));
    report(&world, &message, |update| {
        update.status = Status::Failed;
        update.reason = Some(Reason::Rejected);
    })
    .await;
    let shown = world.get("/v1/messages/m1").await.json();
    assert_eq!((&shown["status"], &shown["reason"]), (&json!("FAILED"), &json!("rejected")));
}

#[tokio::test(start_paused = true)]
async fn simulated_platforms_and_redrives_are_marked() {
    let world = World::new();
    let fields = json!({"message_id": "m1", "receiver_id": "instagram:42"});
    world.post(&body_with(fields)).await.accepted();
    let shown = world.get("/v1/messages/m1").await.json();
    assert_eq!((&shown["simulated"], &shown["account"]), (&json!(true), &json!("page")));
    let mut message = world.appended().pop().unwrap();
    message.generation = Generation::new(2).unwrap();
    let store: &dyn MessageStore = &*world.store.inner;
    project_message(store, &Tenant::default(), &message, world.clock.now()).await.unwrap();
    assert_eq!(world.get("/v1/messages/m1").await.json()["generation"], 2);
}

fn ids(page: &Value) -> Vec<String> {
    let messages = page["messages"].as_array().unwrap();
    messages.iter().map(|message| message["message_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_conversation_is_paged_newest_first_without_gaps_or_repeats() {
    let world = World::new();
    for n in 0..7 {
        // Pairs of one millisecond.
        tokio::time::advance(Duration::from_millis(n % 2)).await;
        world.post(&body_with(json!({"message_id": format!("m{n}")}))).await.accepted();
        world.post(&body_with(json!({"conversation_id": "other"}))).await.accepted();
    }
    let whole = world.get("/v1/conversations/c1/messages").await.json();
    assert_eq!(ids(&whole), ["m6", "m5", "m4", "m3", "m2", "m1", "m0"]);
    assert!(whole["next_cursor"].is_null());
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for _ in 0..10 {
        let path = format!("/v1/conversations/c1/messages?limit=2{cursor}");
        let page = world.get(&path).await.json();
        assert!(ids(&page).len() <= 2);
        seen.extend(ids(&page));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, ids(&whole));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_conversation_is_an_empty_list() {
    let world = World::new();
    let empty = world.get("/v1/conversations/nobody/messages").await;
    assert_eq!((empty.status.as_u16(), empty.json()), (200, json!({"messages": []})));
}

#[tokio::test(start_paused = true)]
async fn a_page_without_a_limit_has_50_messages() {
    let world = World::new();
    for _ in 0..51 {
        world.post(&body()).await.accepted();
    }
    let page = world.get("/v1/conversations/c1/messages").await.json();
    assert_eq!((ids(&page).len(), page["next_cursor"].is_string()), (50, true));
    let page = world.get("/v1/conversations/c1/messages?limit=100").await.json();
    assert_eq!(ids(&page).len(), 51);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_query_is_refused_by_name() {
    let world = World::new();
    for (query, code, field) in [
        ("limit=0", "invalid_field", "limit"),
        ("limit=101", "invalid_field", "limit"),
        ("limit=ten", "invalid_field", "limit"),
        ("limit=", "invalid_field", "limit"),
        ("cursor=x", "invalid_cursor", "cursor"),
        ("cursor=", "invalid_cursor", "cursor"),
        ("limmit=5", "unknown_field", "limmit"),
        ("limit=5&limit=6", "invalid_field", "query"),
    ] {
        let answer = world.get(&format!("/v1/conversations/c1/messages?{query}")).await;
        assert_eq!(answer.refused(400, code)["field"], field);
    }
    for path in ["/v1/messages/%00", "/v1/messages/%ff", "/v1/messages/%20"] {
        assert_eq!(world.get(path).await.refused(400, "invalid_field")["field"], "message_id");
    }
    let path = format!("/v1/conversations/{}/messages", "x".repeat(129));
    assert_eq!(world.get(&path).await.refused(400, "invalid_field")["field"], "conversation_id");
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_a_query_is_503() {
    for fault in [StoreFault::Away, StoreFault::Hangs] {
        let world = World::new();
        world.store.fail(&[Op::Message, Op::Page], fault);
        let problem = world.get("/v1/messages/m1").await.refused(503, "store_unavailable");
        assert_eq!(problem["message_id"], "m1");
        world.get("/v1/conversations/c1/messages").await.refused(503, "store_unavailable");
    }
}
