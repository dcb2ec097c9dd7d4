//! A request that is repeated means one message.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)] // a test fails by panicking

mod support;

use std::time::Duration;

use chat4all_contracts::{EpochMs, Status, StatusUpdate};
use chat4all_store::projection::project_status;
use chat4all_store::{MessageStore, RowAddress, Tenant};
use serde_json::json;
use support::store::{Op, StoreFault};
use support::{RECEIVER, START, World, body, body_with};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

async fn mark_sent(world: &World) {
    let message = world.appended()[0].clone();
    let mut sent =
        StatusUpdate::minimal(message.message_id.clone(), Status::Sent, world.clock.now());
    let row = RowAddress::of(&message);
    sent.conversation_id = Some(row.conversation_id);
    sent.accepted_at = Some(row.accepted_at);
    let store: &dyn MessageStore = &*world.store.inner;
    project_status(store, &Tenant::default(), &sent, world.clock.now()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_a_name_every_request_is_a_new_message() {
    let world = World::new();
    let (a, b) = (world.post(&body()).await, world.post(&body()).await);
    assert_ne!(a.field("message_id"), b.field("message_id"));
    assert_eq!(world.appended().len(), 2);
    assert_eq!((world.store.calls(Op::Claim), world.store.calls(Op::Message)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_repeated_id_is_answered_with_the_current_status_and_not_appended() {
    for client_id in ["order-42/é", "018bcfe5-687b-7000-8000-00000000ABCD"] {
        let world = World::new();
        let request = body_with(json!({"message_id": client_id}));
        let first = world.post(&request).await.accepted();
        assert_eq!(first["message_id"], client_id);
        mark_sent(&world).await;
        tokio::time::advance(Duration::from_secs(100)).await;
        let again = world.post(&request).await.accepted();
        assert_eq!(again["status"], "SENT");
        assert_eq!(again["timestamp"], first["timestamp"]);
        assert_eq!(world.appended().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_with_odd_characters_is_found_at_its_location() {
    let world = World::new();
    let answer = world.post(&body_with(json!({"message_id": "a/b?c#é %"}))).await;
    assert_eq!(answer.header("location"), "/v1/messages/a%2Fb%3Fc%23%C3%A9%20%25");
    let found = world.get(answer.header("location")).await;
    assert_eq!(found.field("message_id"), "a/b?c#é %");
}

#[tokio::test(start_paused = true)]
async fn another_body_under_the_same_name_is_a_conflict() {
    let changes = [
        json!({"content": "other"}),
        json!({"conversation_id": "c2"}),
        json!({"receiver_id": "whatsapp:+5511999990001"}),
        json!({"sender_id": "other"}),
        json!({"account": "second"}),
        json!({"file_id": "f"}),
        json!({"expires_in": 60}),
    ];
    for client_id in ["order-42", "018bcfe5-687b-7000-8000-00000000abcd"] {
        let world = World::new();
        let id = json!({"message_id": client_id});
        world.post(&body_with(id.clone())).await.accepted();
        for change in &changes {
            let mut changed = body_with(id.clone());
            changed.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            let problem = world.post(&changed).await.refused(409, "id_conflict");
            assert_eq!(
                (&problem["field"], &problem["message_id"]),
                (&json!("message_id"), &id["message_id"])
            );
        }
        assert_eq!(world.appended().len(), 1);
    }
    let world = World::new();
    world.post_keyed("k", &body()).await.accepted();
    for change in &changes {
        let problem = world.post_keyed("k", &body_with(change.clone())).await;
        assert_eq!(problem.refused(409, "key_conflict")["field"], "Idempotency-Key");
    }
    assert_eq!(world.appended().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn of_many_bodies_under_one_id_at_once_one_is_taken() {
    for id in ["order-42".to_owned(), World::new().id_at(0)] {
        let world = World::new();
        let bodies =
            (0..20).map(|n| body_with(json!({"message_id": id, "content": format!("{n}")})));
        let bodies: Vec<_> = bodies.collect();
        let answers = futures::future::join_all(bodies.iter().map(|body| world.post(body))).await;
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 202).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 19, "{statuses:?}");
        assert_eq!(world.appended().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_in_a_uuid_v7_is_the_time_of_acceptance() {
    let world = World::new();
    for offset in [-7 * DAY_MS, -60_000, 0, 5 * 60_000] {
        let id = world.id_at(offset);
        world.post(&body_with(json!({"message_id": id, "expires_in": 60}))).await.accepted();
        let message = world.appended().pop().unwrap();
        assert_eq!(message.message_id.as_str(), id);
        assert_eq!(message.accepted_at, EpochMs::saturating(START.saturating_add_signed(offset)));
        assert_eq!(message.expires_at.since(message.accepted_at), Duration::from_secs(60));
    }
    for offset in [-7 * DAY_MS - 1, 5 * 60_000 + 1] {
        let request = body_with(json!({"message_id": world.id_at(offset)}));
        let problem = world.post(&request).await.refused(400, "id_out_of_time");
        assert_eq!(problem["field"], "message_id");
    }
    let far = body_with(json!({"message_id": "ffffffff-ffff-7fff-bfff-ffffffffffff"}));
    world.post(&far).await.refused(400, "id_out_of_time");
}

#[tokio::test(start_paused = true)]
async fn a_key_names_one_message_and_claims_its_id() {
    let world = World::new();
    let first = world.post_keyed("k1", &body()).await.accepted();
    tokio::time::advance(Duration::from_secs(30)).await;
    let again = world.post_keyed("k1", &body()).await.accepted();
    assert_eq!(first, again);
    let named = body_with(json!({"message_id": first["message_id"]}));
    assert_eq!(world.post_keyed("k1", &named).await.accepted(), first);
    let other = body_with(json!({"message_id": "another"}));
    world.post_keyed("k1", &other).await.refused(409, "key_conflict");
    assert_eq!(world.appended().len(), 1);

    // The id that a key named is taken for everybody.
    world.post_keyed("k2", &body_with(json!({"message_id": "m2"}))).await.accepted();
    let other = body_with(json!({"message_id": "m2", "content": "other"}));
    world.post(&other).await.refused(409, "id_conflict");
    world.post_keyed("k3", &other).await.refused(409, "id_conflict");
    world.post(&body_with(json!({"message_id": "m2"}))).await.accepted();
    assert_eq!(world.appended().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn ids_and_keys_have_separate_namespaces() {
    let world = World::new();
    world.post(&body_with(json!({"message_id": "same"}))).await.accepted();
    let keyed = world.post_keyed("same", &body_with(json!({"content": "other"}))).await.accepted();
    assert_ne!(keyed["message_id"], "same");
    assert_eq!(world.appended().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_id_that_was_claimed_first_keeps_its_time_when_a_key_comes_later() {
    let world = World::new();
    let request = body_with(json!({"message_id": "m"}));
    let first = world.post(&request).await.accepted();
    tokio::time::advance(Duration::from_secs(5)).await;
    for _ in 0..2 {
        assert_eq!(world.post_keyed("k", &request).await.accepted(), first);
    }
    assert_eq!(world.appended().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_named_message_whose_row_is_missing_is_appended_again_as_the_same_message() {
    for (key, client_id) in [
        (None, Some("order-42")),
        (None, Some("018bcfe5-687b-7000-8000-00000000abcd")),
        (Some("k"), None),
    ] {
        let world = World::new();
        let request = match client_id {
            Some(client_id) => body_with(json!({"message_id": client_id})),
            None => body(),
        };
        let headers: Vec<_> = key.map(|key| ("Idempotency-Key", key)).into_iter().collect();
        world.store.fail(&[Op::Write], StoreFault::Away);
        let first = world.post_with(&headers, request.to_string()).await.accepted();
        world.store.heal();
        tokio::time::advance(Duration::from_secs(100)).await;
        let again = world.post_with(&headers, request.to_string()).await.accepted();
        assert_eq!(first, again);
        let [a, b] = &world.appended()[..] else { panic!("two appends") };
        assert!(a == b, "the repetition differs from the message");
        world.post_with(&headers, request.to_string()).await.accepted();
        assert_eq!(world.appended().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_has_expired_does_not_make_a_second_message() {
    let world = World::new();
    let request = body_with(json!({"message_id": "order-42"}));
    let first = world.post(&request).await.accepted();
    tokio::time::advance(chat4all_api::CLAIM_LIFETIME + Duration::from_secs(1)).await;
    let changed = body_with(json!({"message_id": "order-42", "content": "other"}));
    world.post(&changed).await.refused(409, "id_conflict");
    assert_eq!(world.appended().len(), 1);
    assert_eq!(first["message_id"], "order-42");
}

#[tokio::test(start_paused = true)]
async fn a_key_is_1_to_128_printable_bytes_sent_once() {
    let world = World::new();
    world.post_keyed(&"k".repeat(128), &body()).await.accepted();
    for bad in ["", " ", &"k".repeat(129)] {
        let problem = world.post_keyed(bad, &body()).await.refused(400, "invalid_field");
        assert_eq!(problem["field"], "Idempotency-Key");
    }
    let twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")];
    let answer = world.post_with(&twice, body().to_string()).await;
    assert_eq!(answer.refused(400, "invalid_field")["rule"], "must be sent once");
}

#[tokio::test(start_paused = true)]
async fn recipient_instead_of_receiver_is_the_same_request() {
    let world = World::new();
    world.post_keyed("k", &body()).await.accepted();
    let renamed = json!({"conversation_id": "c1", "recipient_id": RECEIVER, "content": "hello"});
    world.post_keyed("k", &renamed).await.accepted();
    assert_eq!(world.appended().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn requests_at_the_same_time_under_one_name_mean_one_message() {
    let world = World::new();
    let (body, other) = (body(), body_with(json!({"content": "other"})));
    let (a, b, c) = tokio::join!(
        world.post_keyed("k", &body),
        world.post_keyed("k", &body),
        world.post_keyed("k", &other)
    );
    assert_eq!(a.accepted(), b.accepted());
    c.refused(409, "key_conflict");
    assert!(world.appended().iter().all(|message| *message == world.appended()[0]));
}
