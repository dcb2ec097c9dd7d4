//! What the ledger says.
#![allow(clippy::unwrap_used)] // helpers of tests

mod common;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use common::{INSTAGRAM, WHATSAPP, World, direct, post, text};
use futures::future::join_all;
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn an_untouched_ledger_is_all_zeros() {
    let world = World::new(json!({})).await;
    let expected = json!({
        "totals": {
            "calls": 0, "accepted": 0, "refused": 0, "messages": 0, "duplicates": 0, "overlaps": 0,
            "receipts_pending": 0, "receipts_answered": 0, "receipts_lost": 0,
            "receipts_expired": 0,
        },
        "conversations": [],
        "next": null,
    });
    assert_eq!(world.get("/_sim/ledger").await, expected);
    assert_eq!(world.get("/health").await, json!({"status": "healthy"}));
}

#[tokio::test(start_paused = true)]
async fn order_is_by_first_acceptance_and_repetitions_are_duplicates() {
    let world = World::new(json!({})).await;
    world.fault(json!({"kind": "error", "code": 131000})).await;
    for id in ["m2", "m1", "m2", "m1", "m3"] {
        world.post(WHATSAPP, &text(id, "c1")).await;
    }
    world.post(WHATSAPP, &text("m4", "c2")).await;
    let ledger = world.get("/_sim/ledger").await;
    let totals = &ledger["totals"];
    let numbers = ["calls", "accepted", "refused", "messages", "duplicates", "overlaps"];
    assert_eq!(numbers.map(|key| totals[key].as_u64().unwrap()), [6, 5, 1, 4, 1, 0]);
    let first = json!({
        "platform": "whatsapp", "account": "1001", "conversation": "c1",
        "attempts": 5, "accepted": 4, "duplicates": 1, "overlaps": 0,
        "order": ["m1", "m2", "m3"],
    });
    assert_eq!(ledger["conversations"][0], first);
    let other = world.get("/_sim/ledger?conversation=c2").await;
    assert_eq!(other["conversations"].as_array().unwrap().len(), 1);
    assert_eq!(other["conversations"][0]["order"], json!(["m4"]));
}

#[tokio::test(start_paused = true)]
async fn a_message_lists_its_attempts_and_its_external_ids() {
    let world = World::new(json!({})).await;
    world.fault(json!({"kind": "down"})).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let (_, answer) = world.post(WHATSAPP, &text("m1", "c1")).await;
        ids.extend(answer["messages"][0]["id"].as_str().map(str::to_owned));
    }
    world.post(WHATSAPP, &text("m2", "c1")).await;
    let ledger = world.get("/_sim/ledger/messages?message=m1").await;
    let recipient = ledger["messages"][0]["recipient"].as_str().unwrap();
    assert_eq!(recipient.len(), 16);
    let expected = json!({"messages": [{
        "platform": "whatsapp", "account": "1001", "conversation": "c1", "message": "m1",
        "recipient": recipient, "attempts": 3, "accepted": 2, "first_sequence": 1,
        "first_accepted_sequence": 2, "external_ids": ids,
    }], "next": null});
    assert_eq!(ledger, expected);
}

#[tokio::test(start_paused = true)]
async fn only_calls_of_one_conversation_that_meet_are_overlaps() {
    let world = World::new(json!({})).await;
    let apart = ["a", "b", "c"].map(|c| text("m1", c));
    join_all(apart.iter().map(|body| world.post(WHATSAPP, body))).await;
    assert_eq!(world.get("/_sim/ledger").await["totals"]["overlaps"], 0);
    let together = ["m2", "m3", "m4"].map(|m| text(m, "a"));
    join_all(together.iter().map(|body| world.post(WHATSAPP, body))).await;
    let ledger = world.get("/_sim/ledger?conversation=a").await;
    assert_eq!(ledger["conversations"][0]["overlaps"], 2);
    assert_eq!(ledger["totals"]["overlaps"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_client_went_away_is_accepted_and_overlaps_nothing() {
    let world = World::new(json!({})).await;
    let body = text("m1", "c1");
    let call = world.post(WHATSAPP, &body);
    let gone = tokio::time::timeout(std::time::Duration::from_millis(100), call).await;
    assert!(gone.is_err());
    world.post(WHATSAPP, &body).await;
    let totals = world.get("/_sim/ledger").await["totals"].clone();
    assert_eq!((&totals["accepted"], &totals["overlaps"]), (&json!(2), &json!(0)));
    world.wait_ms(5000).await;
    assert_eq!(world.connector.hooks().len(), 6, "the first one's receipts come too");
}

#[tokio::test(start_paused = true)]
async fn without_ids_of_its_own_a_message_is_known_by_header_or_content() {
    let world = World::new(json!({})).await;
    let with_header = |id: &str| {
        let mut request = post(INSTAGRAM, &direct("9001", "hi"));
        request.headers_mut().insert("x-correlation-id", id.parse().unwrap());
        request
    };
    world.send(with_header("m1")).await;
    world.send(with_header("m2")).await;
    world.post(INSTAGRAM, &direct("9001", "hi")).await;
    world.post(INSTAGRAM, &direct("9001", "ho")).await;
    world.post(INSTAGRAM, &direct("9001", "hi")).await;
    let ledger = world.get("/_sim/ledger").await;
    let order = ledger["conversations"][0]["order"].as_array().unwrap();
    assert_eq!((order.len(), &order[0], &order[1]), (4, &json!("m1"), &json!("m2")));
    assert_eq!(ledger["totals"]["duplicates"], 1);
    let all = format!("{ledger}{}", world.get("/_sim/ledger/messages").await);
    assert!(!all.contains("9001\""), "{all}");
}

#[tokio::test(start_paused = true)]
async fn the_ledger_is_read_in_pages() {
    let world = World::new(json!({})).await;
    for n in 0..5 {
        world.post(WHATSAPP, &text(&format!("m{n}"), &format!("c{n}"))).await;
    }
    for (path, list) in [("/_sim/ledger", "conversations"), ("/_sim/ledger/messages", "messages")] {
        let mut seen = Vec::new();
        let mut after = json!(0);
        while !after.is_null() {
            let page = world.get(&format!("{path}?limit=2&after={after}")).await;
            let conversations = page[list].as_array().unwrap().iter();
            seen.extend(conversations.map(|row| row["conversation"].clone()));
            after = page["next"].clone();
        }
        assert_eq!(seen, ["c0", "c1", "c2", "c3", "c4"]);
    }
    for bad in ["limit=0", "limit=100001", "limit=x", "after=-1", "order=up"] {
        let (status, body) = world.ask(Method::GET, &format!("/_sim/ledger?{bad}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{bad}");
        assert!(body["error"]["field"].is_string() && body["error"]["rule"].is_string());
    }
}

#[tokio::test(start_paused = true)]
async fn the_settings_are_shown_without_secrets() {
    let world = World::new(json!({})).await;
    let settings = world.get("/_sim/settings").await;
    assert_eq!(settings["latency_min_ms"], 300);
    assert!(!settings.to_string().contains("secret"), "{settings}");
}

/// Many calls with every kind of trouble, some at once; everything that can be seen afterwards.
async fn troubled_run(seed: u64) -> (Value, Value, Vec<common::Hook>) {
    let database =
        chat4all_sqlite::Database::in_memory(&chat4all_simulator::Simulator::database_options())
            .unwrap();
    let trouble = json!({
        "latency_min_ms": 200, "latency_max_ms": 500, "delivered_after_max_ms": 800,
        "read_after_max_ms": 2000, "read_per_mille": 700, "early_receipt_per_mille": 100,
        "duplicate_receipt_per_mille": 100, "lost_receipt_per_mille": 100,
        "error_per_mille": 100, "cut_per_mille": 100, "down_per_mille": 100,
        "slow_per_mille": 100, "slow_ms": 700, "webhook_concurrency": 3,
    });
    let world = World::on(trouble, database, seed).await;
    world.connector.answer(&[500, 200, 0, 503, 200, 200, 500]);
    let calls = (0..60).map(|n| {
        let router = world.simulator.router();
        let request = match n % 3 {
            0 => post(INSTAGRAM, &direct(&format!("{}", n % 5), &format!("text {n}"))),
            _ => post(WHATSAPP, &text(&format!("m{}", n % 40), &format!("c{}", n % 7))),
        };
        async move { drop(tower::ServiceExt::oneshot(router, request).await) }
    });
    join_all(calls).await;
    world.wait_ms(120_000).await;
    let ledger = world.get("/_sim/ledger").await;
    (ledger, world.get("/_sim/ledger/messages").await, world.connector.hooks())
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_run() {
    let first = troubled_run(11).await;
    assert_eq!(first, troubled_run(11).await);
    assert_ne!(first, troubled_run(12).await);
    assert!(first.0["totals"]["refused"].as_u64().unwrap() > 0);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_calls_at_once_wait_only_for_their_own_latency() {
    let world = World::new(json!({"latency_min_ms": 350, "latency_max_ms": 350})).await;
    let started = tokio::time::Instant::now();
    let calls = (0..1000).map(|n| {
        let router = world.simulator.router();
        let body = text(&format!("m{n}"), &format!("c{n}")).to_string();
        let request = Request::post(WHATSAPP).header("authorization", "Bearer t");
        let request = request.body(Body::from(body)).unwrap();
        async move { tower::ServiceExt::oneshot(router, request).await.unwrap().status() }
    });
    let statuses = join_all(calls).await;
    assert!(statuses.iter().all(|status| *status == StatusCode::OK));
    assert_eq!(started.elapsed().as_millis(), 350);
    assert_eq!(world.get("/_sim/ledger").await["totals"]["messages"], 1000);
}
