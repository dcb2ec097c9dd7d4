//! Dead letters: listed, shown, redriven, discarded, and who did it.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)] // a test fails by panicking

mod support;

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use chat4all_contracts::{
    AccountName, DeadLetter, EpochMs, FieldError, Message, Reason, Status, StatusUpdate,
};
use chat4all_eventlog::AppendError;
use chat4all_store::letters::project_letter;
use chat4all_store::projection::{project_message, project_status};
use chat4all_store::{MessageStore, Tenant};
use serde_json::{Value, json};
use support::log::LogFault;
use support::store::{Op, StoreFault};
use support::{Answer, START, World, body_with};

const REDRIVE: &str = "/v1/dead-letters/redrive";
/// A vendor's code and words.
const DETAIL: &str = "131026: secret words";
const DISCARD: &str = "/v1/dead-letters/discard";

/// Accepts a message, `ms` after the start.
async fn send(world: &World, id: &str, fields: Value) -> Message {
    let mut body = body_with(fields);
    body["message_id"] = json!(id);
    world.post(&body).await.accepted();
    world.appended().pop().unwrap()
}

/// Gives a message up, as its connector and the status-consumer do.
async fn give_up(world: &World, of: &Message, reason: Reason) {
    let (store, tenant, now): (&dyn MessageStore, _, _) =
        (&*world.store.inner, Tenant::default(), world.clock.now());
    let account = AccountName::new("main").unwrap();
    let letter = DeadLetter::given_up(("whatsapp-outbound", 0, 7), b"{}", of, reason, DETAIL)
        .tried(of.account.as_ref().unwrap_or(&account), 2)
        .dated(now, now);
    project_letter(store, &tenant, &letter, now, now).await.unwrap();
    let mut failed = StatusUpdate::minimal(of.message_id.clone(), Status::Failed, now);
    failed.conversation_id = Some(of.conversation_id.clone());
    failed.accepted_at = Some(of.accepted_at);
    failed.generation = of.generation;
    failed.reason = Some(reason);
    project_status(store, &tenant, &failed, now).await.unwrap();
}

/// A message that was given up.
async fn failed(world: &World, id: &str, fields: Value) -> Message {
    tokio::time::advance(Duration::from_millis(1)).await;
    let message = send(world, id, fields).await;
    give_up(world, &message, Reason::Exhausted).await;
    message
}

/// A record that nobody could read.
async fn unreadable(world: &World) {
    let now = world.clock.now();
    let why = FieldError::missing("content");
    let letter = DeadLetter::unreadable("messages", 3, 9, b"{\"a\":1}", &why).dated(now, now);
    let store: &dyn MessageStore = &*world.store.inner;
    project_letter(store, &Tenant::default(), &letter, now, now).await.unwrap();
}

async fn command(world: &World, path: &str, body: Value) -> Answer {
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    world.call(request.body(Body::from(body.to_string())).unwrap()).await
}

async fn done(world: &World, path: &str, body: Value) -> Value {
    let answer = command(world, path, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

async fn listed(world: &World, query: &str) -> Vec<String> {
    let page = world.get(&format!("/v1/dead-letters{query}")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    texts(&page.json()["dead_letters"], "id")
}

fn texts(list: &Value, field: &str) -> Vec<String> {
    let text = |item: &Value| item[field].as_str().unwrap_or("-").to_owned();
    list.as_array().unwrap().iter().map(text).collect()
}

async fn commands(world: &World) -> Vec<Value> {
    world.get("/v1/audit").await.json()["commands"].as_array().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn what_was_given_up_is_listed_without_content_oldest_first() {
    let world = World::new();
    failed(&world, "m1", json!({"content": "secret-1"})).await;
    failed(&world, "m2", json!({"content": "secret-2", "conversation_id": "c2"})).await;
    unreadable(&world).await;
    send(&world, "m3", json!({})).await;
    let answer = world.get("/v1/dead-letters").await;
    assert!(!answer.text.contains("secret"), "{}", answer.text);
    let letters = &answer.json()["dead_letters"];
    assert_eq!(texts(letters, "id"), ["message:m1:0", "message:m2:0", "record:messages:3:9"]);
    assert_eq!(
        letters[0],
        json!({"id": "message:m1:0", "standing": "open", "reason": "exhausted", "attempts": 2,
            "detail": "131026", "platform": "whatsapp", "account": "main", "status": "FAILED",
            "conversation_id": "c1", "message_id": "m1", "generation": 0,
            "accepted_at": "2023-11-14T22:13:20.124Z", "given_up_at": "2023-11-14T22:13:20.124Z",
            "topic": "whatsapp-outbound", "partition": 0, "offset": 7})
    );
}

#[tokio::test(start_paused = true)]
async fn a_list_is_filtered_and_paged() {
    let world = World::new();
    failed(&world, "m1", json!({})).await;
    failed(&world, "m2", json!({"account": "second"})).await;
    failed(&world, "i1", json!({"receiver_id": "instagram:42", "conversation_id": "c2"})).await;
    unreadable(&world).await;
    let all = ["message:m1:0", "message:m2:0", "message:i1:0", "record:messages:3:9"];
    tokio::time::advance(Duration::from_secs(3_600)).await;
    for (query, expected) in [
        ("?platform=whatsapp", &all[..2]),
        ("?account=second", &all[1..2]),
        ("?reason=unreadable", &all[3..]),
        ("?conversation_id=c2", &all[2..3]),
        ("?older_than=59m", &all[..]),
        ("?older_than=2h", &all[..0]),
        ("?newer_than=2h", &all[..]),
        ("?newer_than=59m", &all[..0]),
        ("?platform=whatsapp&account=page", &all[..0]),
    ] {
        assert_eq!(listed(&world, query).await, expected, "{query}");
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = world.get(&format!("/v1/dead-letters?limit=1{cursor}")).await.json();
        seen.extend(texts(&page["dead_letters"], "id"));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, all);
    let other_filter = format!("/v1/dead-letters?platform=whatsapp{cursor}");
    assert_eq!(world.get(&other_filter).await.refused(400, "invalid_cursor")["field"], "cursor");
}

#[tokio::test(start_paused = true)]
async fn a_letter_is_shown_with_content_only_if_asked_for() {
    let world = World::new();
    failed(&world, "m/1", json!({"content": "hidden"})).await;
    unreadable(&world).await;
    let path = "/v1/dead-letters/message:m%2F1:0";
    let plain = world.get(path).await;
    assert!(plain.status == 200 && !plain.text.contains("hidden"), "{}", plain.text);
    assert_eq!(plain.field("detail"), DETAIL);
    assert_eq!(world.get(&format!("{path}?content=true")).await.json()["content"], "hidden");
    let record = world.get("/v1/dead-letters/record:messages:3:9?content=true").await.json();
    assert_eq!((&record["raw"], &record["content"]), (&json!("eyJhIjoxfQ=="), &Value::Null));
    world.get("/v1/dead-letters/message:none:0").await.refused(404, "letter_not_found");
    world.get("/v1/dead-letters/m1").await.refused(400, "invalid_field");
    world.get(&format!("{path}?content=yes")).await.refused(400, "invalid_field");
    world.get(&format!("{path}?conten=true")).await.refused(400, "unknown_field");
}

#[tokio::test(start_paused = true)]
async fn a_filter_is_a_dry_run_until_it_says_otherwise() {
    let world = World::new();
    failed(&world, "m1", json!({})).await;
    let before = world.appended().len();
    for (path, action) in [(REDRIVE, "redrive"), (DISCARD, "discard")] {
        let answer = done(&world, path, json!({"filter": {}})).await;
        assert_eq!((&answer["dry_run"], &answer["done"]), (&json!(true), &json!(1)), "{action}");
        assert_eq!(texts(&answer["results"], "outcome"), ["would_do"]);
        assert!(answer["audit_id"].is_null());
    }
    let ids = json!({"ids": ["message:m1:0"], "dry_run": true});
    assert_eq!(done(&world, REDRIVE, ids).await["results"][0]["generation"], 1);
    assert_eq!(world.appended().len(), before);
    assert!(commands(&world).await.is_empty());
    assert_eq!(listed(&world, "").await, ["message:m1:0"]);
}

#[tokio::test(start_paused = true)]
async fn a_redrive_appends_each_message_once_in_the_order_of_acceptance() {
    let world = World::new();
    let mut expected = Vec::new();
    for (n, conversation) in ["a", "b", "a", "a", "b"].into_iter().enumerate() {
        let fields = json!({"conversation_id": conversation, "expires_in": 60});
        expected.push(failed(&world, &format!("m{n}"), fields).await);
    }
    tokio::time::advance(Duration::from_secs(600)).await;
    let before = world.appended().len();
    // Named in another order.
    let ids: Vec<String> = (0..5).rev().map(|n| format!("message:m{n}:0")).collect();
    let body = json!({"ids": ids, "expires_in": 120, "by": "ana", "why": "outage over"});
    let answer = done(&world, REDRIVE, body).await;
    assert_eq!((&answer["done"], &answer["dry_run"]), (&json!(5), &json!(false)));
    let appended = world.appended()[before..].to_vec();
    assert_eq!(appended.len(), 5);
    for name in ["a", "b"] {
        let of = |messages: &[Message]| -> Vec<String> {
            let own = messages.iter().filter(|m| m.conversation_id.as_str() == name);
            own.map(|m| m.message_id.to_string()).collect()
        };
        assert_eq!(of(&appended), of(&expected), "conversation {name}");
    }
    for message in &appended {
        let first = expected.iter().find(|m| m.message_id == message.message_id).unwrap();
        let expires_at = world.clock.now().plus(Duration::from_secs(120));
        let generation = message.generation;
        assert_eq!((generation.as_u32(), message.expires_at), (1, expires_at));
        let as_before = Message {
            generation: first.generation,
            expires_at: first.expires_at,
            ..message.clone()
        };
        assert_eq!(&as_before, first);
    }
    assert!(listed(&world, "").await.is_empty());
    let shown = world.get("/v1/messages/m0").await.json();
    assert_eq!((&shown["status"], &shown["generation"]), (&json!("ACCEPTED"), &json!(1)));
    let letter = world.get("/v1/dead-letters/message:m0:0").await.json();
    assert_eq!(
        (&letter["standing"], &letter["redriven"]["by"]),
        (&json!("redriven"), &json!("ana"))
    );
    let commands = commands(&world).await;
    assert_eq!(commands.len(), 1);
    assert_eq!(commands[0]["id"], answer["audit_id"]);
    assert_eq!(commands[0]["id"], letter["redriven"]["audit_id"]);
    assert_eq!((&commands[0]["selected"], &commands[0]["done"]), (&json!(5), &json!(5)));
    assert_eq!((&commands[0]["by"], &commands[0]["why"]), (&json!("ana"), &json!("outage over")));
}

#[tokio::test(start_paused = true)]
async fn a_redriven_message_ends_delivered_or_gets_a_letter_of_its_new_life() {
    let world = World::new();
    failed(&world, "m1", json!({})).await;
    failed(&world, "m2", json!({})).await;
    done(&world, REDRIVE, json!({"filter": {"platform": "whatsapp"}, "dry_run": false})).await;
    let appended = world.appended();
    let [.., first, second] = appended.as_slice() else { panic!("two were redriven") };
    let (store, tenant): (&dyn MessageStore, _) = (&*world.store.inner, Tenant::default());
    let at = EpochMs::saturating(START + 9_000);
    for status in [Status::Sent, Status::Delivered] {
        let mut update = StatusUpdate::minimal(first.message_id.clone(), status, at);
        update.conversation_id = Some(first.conversation_id.clone());
        update.accepted_at = Some(first.accepted_at);
        update.generation = first.generation;
        project_status(store, &tenant, &update, world.clock.now()).await.unwrap();
    }
    give_up(&world, second, Reason::Refused).await;
    assert_eq!(world.get("/v1/messages/m1").await.json()["status"], "DELIVERED");
    assert_eq!(listed(&world, "").await, ["message:m2:1"]);
    let answer = done(&world, REDRIVE, json!({"ids": ["message:m2:1"]})).await;
    assert_eq!(answer["results"][0]["generation"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_redrive_begins_no_second_life() {
    let world = World::new();
    failed(&world, "m1", json!({})).await;
    let ids = json!({"ids": ["message:m1:0"]});
    // It is in the log, and nobody was told: as if the process had died then.
    world.log.fail(LogFault::NeverAcks);
    let answer = done(&world, REDRIVE, ids.clone()).await;
    assert_eq!(texts(&answer["results"], "code"), ["outcome_unknown"]);
    world.log.fail(None);
    assert_eq!(done(&world, REDRIVE, ids.clone()).await["done"], 1);
    let lives: Vec<u32> = world.appended().iter().map(|m| m.generation.as_u32()).collect();
    assert_eq!(lives, [0, 1, 1], "one life, appended twice");
    let store: &dyn MessageStore = &*world.store.inner;
    for redriven in &world.appended()[1..] {
        project_message(store, &Tenant::default(), redriven, world.clock.now()).await.unwrap();
    }
    assert_eq!(world.get("/v1/messages/m1").await.json()["generation"], 1);
    let answer = done(&world, REDRIVE, ids).await;
    assert_eq!(texts(&answer["results"], "code"), ["redriven"]);
}

#[tokio::test(start_paused = true)]
async fn a_redrive_that_the_store_does_not_hear_of_is_done_all_the_same() {
    let world = World::new();
    failed(&world, "m1", json!({})).await;
    world.store.fail(&[Op::Write], StoreFault::Away);
    assert_eq!(done(&world, REDRIVE, json!({"ids": ["message:m1:0"]})).await["done"], 1);
    world.store.heal();
    assert!(listed(&world, "").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_append_the_rest_of_the_conversation_waits() {
    let world = World::new();
    for id in ["m1", "m2"] {
        failed(&world, id, json!({})).await;
    }
    let fault = AppendError::Unavailable("told to fail".to_owned());
    world.log.fail(LogFault::Refuses(fault));
    let body = json!({"filter": {}, "dry_run": false});
    let answer = done(&world, REDRIVE, body.clone()).await;
    assert_eq!((&answer["done"], &answer["failed"]), (&json!(0), &json!(2)));
    assert_eq!(texts(&answer["results"], "code"), ["outcome_unknown", "not_tried"]);
    assert_eq!(commands(&world).await[0]["done"], 0);
    world.log.fail(None);
    let answer = done(&world, REDRIVE, body).await;
    assert_eq!((&answer["done"], &answer["failed"]), (&json!(2), &json!(0)));
    let order: Vec<_> = world.appended()[2..].iter().map(|m| m.message_id.to_string()).collect();
    assert_eq!(order, ["m1", "m2"]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_redriven_is_refused_by_name() {
    let world = World::new();
    unreadable(&world).await;
    send(&world, "m1", json!({})).await;
    let message = send(&world, "m2", json!({})).await;
    give_up(&world, &message, Reason::Expired).await;
    done(&world, DISCARD, json!({"ids": ["message:m2:0"]})).await;
    let before = world.appended().len();
    let ids = json!({"ids": ["record:messages:3:9", "message:m1:0", "message:m2:0"]});
    let answer = done(&world, REDRIVE, ids).await;
    assert_eq!((&answer["refused"], &answer["done"]), (&json!(3), &json!(0)));
    let mut codes = texts(&answer["results"], "code");
    codes.sort();
    assert_eq!(codes, ["discarded", "letter_not_found", "unreadable"]);
    assert_eq!(world.appended().len(), before);
}

#[tokio::test(start_paused = true)]
async fn a_discarded_letter_is_gone_from_the_list_and_its_message_stays_failed() {
    let world = World::new();
    failed(&world, "m1", json!({})).await;
    unreadable(&world).await;
    let body = json!({"filter": {}, "dry_run": false, "by": "ana"});
    let answer = done(&world, DISCARD, body.clone()).await;
    assert_eq!((&answer["done"], &answer["refused"]), (&json!(2), &json!(0)));
    assert!(listed(&world, "").await.is_empty());
    assert_eq!(done(&world, DISCARD, body).await["done"], 0);
    assert_eq!(world.get("/v1/messages/m1").await.json()["status"], "FAILED");
    let letter = world.get("/v1/dead-letters/message:m1:0").await.json();
    assert_eq!(letter["standing"], "discarded");
    assert_eq!(letter["discarded"]["by"], "ana");
    let commands = commands(&world).await;
    assert_eq!(commands[1]["action"], "dead_letters.discard");
    assert_eq!(commands[1]["selection"]["filter"], json!({}));
}

#[tokio::test(start_paused = true)]
async fn commands_are_paged_newest_first() {
    let world = World::new();
    for n in 0..5 {
        failed(&world, &format!("m{n}"), json!({})).await;
        let ids = json!({"ids": [format!("message:m{n}:0")], "by": format!("ana {n}")});
        done(&world, DISCARD, ids).await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("/v1/audit?limit=2{cursor}")).await.json();
        seen.extend(texts(&page["commands"], "by"));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, ["ana 4", "ana 3", "ana 2", "ana 1", "ana 0"]);
    world.get("/v1/audit?limit=0").await.refused(400, "invalid_field");
    world.get("/v1/audit?cursor=x").await.refused(400, "invalid_cursor");
    world.get("/v1/audit?since=x").await.refused(400, "unknown_field");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_command_is_refused_by_field() {
    let world = World::new();
    let many: Vec<String> = (0..101).map(|n| format!("message:m{n}:0")).collect();
    for (body, code, field) in [
        (json!({}), "missing_field", "ids"),
        (json!({"ids": ["message:m:0"], "filter": {}}), "conflicting_fields", "filter"),
        (json!({"ids": []}), "invalid_field", "ids"),
        (json!({"ids": many}), "invalid_field", "ids"),
        (json!({"ids": ["m1"]}), "invalid_field", "ids"),
        (json!({"ids": [7]}), "invalid_field", "ids"),
        (json!({"ids": ["message:m:0"], "limit": 5}), "conflicting_fields", "limit"),
        (json!({"filter": []}), "invalid_field", "filter"),
        (json!({"filter": {"platform": 7}}), "invalid_field", "filter"),
        (json!({"filter": {"platfrom": "x"}}), "unknown_field", "platfrom"),
        (json!({"filter": {"reason": "bad luck"}}), "invalid_field", "reason"),
        (json!({"filter": {"older_than": "yesterday"}}), "invalid_field", "older_than"),
        (json!({"filter": {}, "limit": 0}), "invalid_field", "limit"),
        (json!({"filter": {}, "limit": 101}), "invalid_field", "limit"),
        (json!({"filter": {}, "dry_run": "no"}), "invalid_field", "dry_run"),
        (json!({"filter": {}, "cursor": "x"}), "invalid_cursor", "cursor"),
        (json!({"filter": {}, "by": ""}), "invalid_field", "by"),
        (json!({"filter": {}, "why": "x".repeat(257)}), "invalid_field", "why"),
        (json!({"filter": {}, "force": true}), "unknown_field", "force"),
    ] {
        for path in [REDRIVE, DISCARD] {
            let answer = command(&world, path, body.clone()).await;
            assert_eq!(answer.refused(400, code)["field"], field, "{path} {body}");
        }
    }
    let expiring = json!({"filter": {}, "expires_in": 60});
    command(&world, DISCARD, expiring).await.refused(400, "unknown_field");
    let endless = json!({"filter": {}, "expires_in": 86_401});
    command(&world, REDRIVE, endless).await.refused(400, "invalid_field");
    for query in ["?platform=NO", "?reason=x", "?newer_than=1", "?limit=0", "?state=open"] {
        assert_eq!(world.get(&format!("/v1/dead-letters{query}")).await.status, 400, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_or_the_process_stops_nothing_is_done() {
    let world = World::new();
    failed(&world, "m1", json!({})).await;
    let before = world.appended().len();
    world.store.fail(&[Op::Message], StoreFault::Away);
    let body = json!({"filter": {}, "dry_run": false});
    for path in [REDRIVE, DISCARD] {
        command(&world, path, body.clone()).await.refused(503, "store_unavailable");
    }
    world.get("/v1/dead-letters").await.refused(503, "store_unavailable");
    world.store.heal();
    world.stopping.trigger();
    command(&world, REDRIVE, body).await.refused(503, "stopping");
    assert_eq!(world.appended().len(), before);
}
