//! What a client hears while the log or the store is away.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)] // a test fails by panicking

mod support;

use std::time::Duration;

use chat4all_contracts::event::{SCHEMA_HEADER, SCHEMA_VERSION};
use chat4all_contracts::partition;
use chat4all_eventlog::{Admission, AppendError, EventLog, Patience};
use serde_json::json;
use support::log::LogFault;
use support::store::{Op, StoreFault};
use support::{PARTITIONS, START, World, body, body_with};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_record_is_keyed_partitioned_and_marked_as_the_contract_says() {
    let world = World::new();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let body = body().to_string();
    world.post_with(&[("traceparent", trace)], body.clone()).await.accepted();
    world.post_with(&[("traceparent", "made up")], body).await.accepted();
    let [traced, plain] = &world.log.records()[..] else { panic!("two records") };
    assert_eq!(&*traced.to.topic, "messages");
    assert_eq!(traced.to.partition, partition::for_key(b"c1", PARTITIONS));
    assert_eq!((&traced.key[..], traced.timestamp.as_ms()), (&b"c1"[..], START));
    let schema = (SCHEMA_HEADER.to_owned(), SCHEMA_VERSION.into());
    assert_eq!(traced.headers, [schema.clone(), ("traceparent".to_owned(), trace.into())]);
    assert_eq!(plain.headers, [schema]);
    let patience = Patience::GiveUpAfter(Duration::from_secs(4));
    assert_eq!(world.log.patience(), (patience, Admission::NewWork));
    let kept = world.log.read(&traced.to, 0, 10).await.unwrap();
    assert_eq!(kept.len(), 2);
    assert!(kept[0].value == traced.value && kept[0].headers == traced.headers);
}

#[tokio::test(start_paused = true)]
async fn an_append_that_failed_or_is_in_doubt_is_503_with_the_id_to_retry() {
    let away = || "not there".to_owned();
    for (fault, code) in [
        (LogFault::Refuses(AppendError::Full), "log_full"),
        (LogFault::Refuses(AppendError::UnknownPartition), "log_unavailable"),
        (LogFault::Refuses(AppendError::Unavailable(away())), "outcome_unknown"),
        (LogFault::Refuses(AppendError::Closed), "outcome_unknown"),
        (LogFault::NeverAcks, "outcome_unknown"),
        (LogFault::QueueFull, "outcome_unknown"),
    ] {
        let world = World::new();
        world.log.fail(fault.clone());
        let started = Instant::now();
        let problem = world.post(&body()).await.refused(503, code);
        assert!(started.elapsed() < Duration::from_secs(5), "{fault:?}");
        let id = problem["message_id"].as_str().unwrap().to_owned();
        world.get(&format!("/v1/messages/{id}")).await.refused(404, "message_not_found");

        world.log.fail(None);
        tokio::time::advance(Duration::from_secs(60)).await;
        let retried = world.post(&body_with(json!({"message_id": id}))).await.accepted();
        assert_eq!(retried["message_id"], *id);
        assert!(world.appended().iter().all(|message| *message == world.appended()[0]));
        assert_eq!(world.appended()[0].accepted_at.as_ms(), START);
        assert_eq!(world.get(&format!("/v1/messages/{id}")).await.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_the_log_never_takes_is_the_clients_to_shorten() {
    let world = World::new();
    world.log.fail(LogFault::Refuses(AppendError::TooLarge { bytes: 9, max: 5 }));
    let problem = world.post(&body()).await.refused(413, "body_too_large");
    assert_eq!(problem["rule"], "must make a record of at most 5 bytes");
}

#[tokio::test(start_paused = true)]
async fn once_appended_the_answer_is_202_whatever_the_store_says() {
    for fault in [StoreFault::Away, StoreFault::Hangs, StoreFault::Unreadable] {
        let world = World::new();
        world.store.fail(&Op::ALL, fault);
        let started = Instant::now();
        let accepted = world.post(&body()).await.accepted();
        assert!(started.elapsed() < Duration::from_secs(5));
        assert_eq!(accepted["status"], "ACCEPTED");
        assert_eq!(world.appended().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_accepted_message_that_the_store_missed_is_503_and_never_404() {
    let world = World::new();
    world.store.fail(&[Op::Write], StoreFault::Away);
    let answer = world.post(&body()).await;
    answer.accepted();
    let place = answer.header("location");
    let problem = world.get(place).await.refused(503, "store_unavailable");
    assert_eq!(problem["message_id"], answer.field("message_id"));
    world.store.fail(&[Op::Message], StoreFault::Away);
    world.get(place).await.refused(503, "store_unavailable");
    world.store.heal();
    world.get(place).await.refused(503, "store_unavailable");
    world.get("/v1/messages/never-sent").await.refused(404, "message_not_found");

    // The same projection as the status-consumer's.
    let retry = body_with(json!({"message_id": answer.field("message_id")}));
    world.post(&retry).await.accepted();
    assert_eq!(world.get(place).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_claim_needs_the_store_and_nothing_is_appended_without_it() {
    for fault in [StoreFault::Away, StoreFault::Hangs] {
        let world = World::new();
        world.store.fail(&Op::ALL, fault);
        let named = body_with(json!({"message_id": "order-42"}));
        let started = Instant::now();
        let problem = world.post(&named).await.refused(503, "store_unavailable");
        assert_eq!(problem["message_id"], "order-42");
        let problem = world.post_keyed("k", &body()).await.refused(503, "store_unavailable");
        // Which id the key stands for may have been fixed by an earlier request.
        assert!(problem["message_id"].is_null());
        assert!(started.elapsed() < Duration::from_secs(5));
        assert!(world.appended().is_empty());

        world.store.heal();
        world.post(&named).await.accepted();
        world.post_keyed("k", &body()).await.accepted();
    }
}

#[tokio::test(start_paused = true)]
async fn a_uuid_v7_needs_no_store() {
    for fault in [StoreFault::Away, StoreFault::Hangs] {
        let world = World::new();
        world.store.fail(&Op::ALL, fault);
        let named = body_with(json!({"message_id": world.id_at(0)}));
        let started = Instant::now();
        world.post(&named).await.accepted();
        assert!(started.elapsed() < Duration::from_secs(5));
        assert_eq!(world.appended().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_known_repetition_waits_for_the_store_instead_of_sending_twice() {
    let world = World::new();
    let named = body_with(json!({"message_id": "order-42"}));
    world.post(&named).await.accepted();
    world.store.fail(&[Op::Message], StoreFault::Away);
    let problem = world.post(&named).await.refused(503, "store_unavailable");
    assert_eq!(problem["message_id"], "order-42");
    assert_eq!(world.appended().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn everything_hanging_at_once_still_answers_within_five_seconds() {
    let world = World::new();
    world.store.fail(&Op::ALL, StoreFault::Hangs);
    world.log.fail(LogFault::NeverAcks);
    for request in [body(), body_with(json!({"message_id": world.id_at(0)}))] {
        let started = Instant::now();
        world.post(&request).await.refused(503, "outcome_unknown");
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_row_is_an_internal_error() {
    let world = World::new();
    world.store.fail(&Op::ALL, StoreFault::Unreadable);
    world.get("/v1/messages/m1").await.refused(500, "internal_error");
    world.get("/v1/conversations/c1/messages").await.refused(500, "internal_error");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_stops_accepts_nothing_and_still_answers() {
    let world = World::new();
    let accepted = world.post(&body()).await.accepted();
    world.stopping.trigger();
    world.post(&body()).await.refused(503, "stopping");
    assert_eq!(world.appended().len(), 1);
    let path = format!("/v1/messages/{}", accepted["message_id"].as_str().unwrap());
    assert_eq!(world.get(&path).await.status, 200);
}
