//! Receipts: signed, repeated until they are answered, remembered over a restart.
#![allow(clippy::unwrap_used)] // helpers of tests

mod common;

use std::collections::BTreeMap;

use axum::http::StatusCode;
use chat4all_simulator::Simulator;
use chat4all_sqlite::Database;
use common::{INSTAGRAM, WHATSAPP, World, direct, text};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

fn verifies(signature: &str, secret: &str, raw: &[u8]) -> bool {
    let hex = signature.strip_prefix("sha256=").unwrap();
    let bytes: Vec<u8> =
        (0..32).map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap()).collect();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(raw);
    mac.verify_slice(&bytes).is_ok()
}

#[tokio::test(start_paused = true)]
async fn each_receipt_is_signed_over_its_raw_body_with_its_own_secret() {
    let webhooks = json!({
        "whatsapp": {
            "url": "http://connector/wa", "app_secret": "wa-secret",
            "accounts": {"1002": {"url": "http://other/wa", "app_secret": "other-secret"}},
        },
        "instagram": {"url": "http://connector/ig", "app_secret": "ig-secret"},
    });
    let world = World::new(json!({"webhooks": webhooks})).await;
    world.post(WHATSAPP, &text("m1", "c/ü")).await;
    world.post("/whatsapp/v26.0/1002/messages", &text("m2", "c2")).await;
    world.post(INSTAGRAM, &direct("9001", "hi")).await;
    world.wait_ms(5000).await;
    let secrets = BTreeMap::from([
        ("http://connector/wa", "wa-secret"),
        ("http://other/wa", "other-secret"),
        ("http://connector/ig", "ig-secret"),
    ]);
    let hooks = world.connector.hooks();
    assert_eq!(hooks.len(), 7);
    for hook in &hooks {
        assert!(verifies(&hook.signature, secrets[hook.url.as_str()], &hook.raw), "{}", hook.url);
        assert!(!verifies(&hook.signature, "wrong", &hook.raw));
        assert!(hook.raw.is_ascii());
    }
    let escaped = r#"\"c\":\"c\/\u00fc\""#;
    let raw = String::from_utf8(hooks[0].raw.clone()).unwrap();
    assert!(raw.contains(escaped), "{raw} has no {escaped}");
}

#[tokio::test(start_paused = true)]
async fn a_receipt_is_repeated_until_it_is_answered_with_200() {
    let world = World::new(json!({"read_per_mille": 0, "delivered_after_min_ms": 0})).await;
    world.connector.answer(&[503, 202, 302, 0, 500, 500, 500, 500, 500, 500]);
    world.post(INSTAGRAM, &direct("1", "x")).await;
    assert!(world.connector.hooks().is_empty());
    world.post(WHATSAPP, &text("m1", "c1")).await;
    world.wait_ms(600_000).await;
    let hooks = world.connector.hooks();
    assert_eq!(hooks.len(), 2 + 10, "two receipts, ten vain attempts");
    let totals = world.get("/_sim/ledger").await["totals"].clone();
    let counts = (&totals["receipts_answered"], &totals["receipts_pending"]);
    assert_eq!(counts, (&json!(2), &json!(0)));
}

#[tokio::test(start_paused = true)]
async fn the_pauses_double_from_one_second_to_a_minute_and_end_after_a_week() {
    let world = World::new(json!({"read_per_mille": 1000})).await;
    world.connector.answer(&[500; 20_000]);
    world.post(INSTAGRAM, &direct("1", "x")).await;
    world.wait_ms(8 * 24 * 3_600_000).await;
    let hooks = world.connector.hooks();
    let pauses: Vec<_> = hooks.windows(2).map(|pair| pair[1].at_ms - pair[0].at_ms).collect();
    for (n, pause) in pauses.iter().enumerate() {
        let longest = (1000 << n.min(6)).min(60_000);
        assert!((longest * 3 / 4..=longest + 20).contains(pause), "{n}: {pause}");
    }
    let last = hooks.last().unwrap().at_ms;
    let week = 7 * 24 * 3_600_000;
    assert!((week..week + 70_000).contains(&last), "{last}");
    let totals = world.get("/_sim/ledger").await["totals"].clone();
    assert_eq!((&totals["receipts_expired"], &totals["receipts_pending"]), (&json!(1), &json!(0)));
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_hangs_does_not_stop_another_platforms() {
    let world = World::new(json!({"webhook_concurrency": 1})).await;
    world.connector.is_deaf_at("/wa");
    for n in 0..20 {
        world.post(WHATSAPP, &text(&format!("m{n}"), "c1")).await;
    }
    world.post(INSTAGRAM, &direct("1", "x")).await;
    let sent = world.connector.hooks().len();
    world.wait_ms(1300).await;
    let hooks = world.connector.hooks();
    assert!(hooks[sent..].iter().any(|hook| hook.url.ends_with("/ig")));
    // Concurrency 1 and a timeout of 10 s: one call in 10 s.
    assert_eq!(hooks.iter().filter(|hook| hook.url.ends_with("/wa")).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_early_receipt_is_answered_before_the_call_is() {
    let world = World::new(json!({"early_receipt_per_mille": 1000})).await;
    // The delivery is refused once and repeated 750 to 1,000 ms later; the latency is 300 ms.
    world.connector.answer(&[500]);
    let started = tokio::time::Instant::now();
    let (status, _) = world.post(WHATSAPP, &text("m1", "c1")).await;
    assert_eq!(status, StatusCode::OK);
    assert!((750..1100).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    let stages = |world: &World| {
        let hooks = world.connector.hooks();
        hooks.iter().map(|hook| hook.stage().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(stages(&world), ["delivered", "sent", "delivered"]);
    world.wait_ms(5000).await;
    assert_eq!(stages(&world), ["delivered", "sent", "delivered", "read"]);
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_never_answers_delays_a_call_with_an_early_receipt_by_five_seconds() {
    let world = World::new(json!({"early_receipt_per_mille": 1000})).await;
    world.connector.is_deaf_at("/ig");
    let started = tokio::time::Instant::now();
    let (status, _) = world.post(INSTAGRAM, &direct("1", "x")).await;
    assert_eq!((status, started.elapsed().as_millis()), (StatusCode::OK, 5300));
}

#[tokio::test(start_paused = true)]
async fn receipts_can_be_lost_and_doubled() {
    let world = World::new(json!({"duplicate_receipt_per_mille": 1000})).await;
    world.post(WHATSAPP, &text("m1", "c1")).await;
    world.wait_ms(10_000).await;
    let hooks = world.connector.hooks();
    for stage in ["sent", "delivered", "read"] {
        let twice: Vec<_> = hooks.iter().filter(|hook| hook.stage() == stage).collect();
        assert_eq!(twice.len(), 2, "{stage}");
        assert_eq!(twice[0].body, twice[1].body);
    }
    let world = World::new(json!({"lost_receipt_per_mille": 1000})).await;
    world.post(WHATSAPP, &text("m1", "c1")).await;
    world.wait_ms(10_000).await;
    assert!(world.connector.hooks().is_empty());
    assert_eq!(world.get("/_sim/ledger").await["totals"]["receipts_lost"], 3);
}

#[tokio::test]
async fn a_restarted_simulator_goes_on_with_ledger_and_receipts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("simulator.db");
    let fast = json!({
        "latency_min_ms": 0, "latency_max_ms": 0,
        "delivered_after_min_ms": 0, "delivered_after_max_ms": 0,
        "read_after_min_ms": 0, "read_after_max_ms": 0,
    });
    let open = || Database::open_file(&file, &Simulator::database_options()).unwrap();
    let killed = World::on(fast.clone(), open(), 7).await;
    killed.connector.is_deaf_at("/");
    let (_, first) = killed.post(WHATSAPP, &text("m1", "c1")).await;
    killed.post(INSTAGRAM, &direct("9001", "hi")).await;
    drop(killed);

    let world = World::on(fast, open(), 7).await;
    // The same seed, and yet another id.
    let (_, second) = world.post(WHATSAPP, &text("m1", "c1")).await;
    assert_ne!(first["messages"][0]["id"], second["messages"][0]["id"]);
    loop {
        let totals = world.get("/_sim/ledger").await["totals"].clone();
        if totals["receipts_pending"] == 0 {
            assert_eq!(totals["calls"], 3);
            assert_eq!((&totals["messages"], &totals["duplicates"]), (&json!(2), &json!(1)));
            break;
        }
        world.wait_ms(1).await;
    }
    let hooks = world.connector.hooks();
    let id = first["messages"][0]["id"].as_str().unwrap();
    let resumed: Vec<_> = hooks.iter().filter(|hook| hook.status()["id"] == id).collect();
    assert_eq!(resumed.len(), 3);
    let echoed = r#"{"c":"c1","m":"m1"}"#;
    for hook in resumed {
        assert_eq!(hook.status()["biz_opaque_callback_data"], echoed);
        // The number itself was never written down.
        assert_eq!(hook.status().get("recipient_id"), None);
        assert!(hook.status()["recipient_user_id"].is_string());
    }
    let reading = hooks.iter().find(|hook| hook.url.ends_with("/ig")).unwrap();
    assert_eq!(reading.body["entry"][0]["messaging"][0]["sender"]["id"], "9001");
    let bytes = std::fs::read(&file).unwrap();
    let log = std::fs::read(file.with_extension("db-wal")).unwrap_or_default();
    for part in ["5511999990001", "hello"] {
        let found = |bytes: &[u8]| bytes.windows(part.len()).any(|w| w == part.as_bytes());
        assert!(!found(&bytes) && !found(&log), "{part}");
    }
}
