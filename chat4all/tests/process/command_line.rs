//! What the command line says when something is wrong, and that it repeats safely.

use serde_json::json;

use crate::harness::{Http, Installation, Ledger};

const RECEIVER: &str = "whatsapp:+5511999990000";

#[tokio::test]
async fn send_without_a_server_says_how_to_start_one() {
    let installation = Installation::new();
    let sent = installation.client(&["send", RECEIVER, "Olá"]).await;
    assert_eq!(sent.code, Some(1), "{sent:?}");
    assert!(sent.stderr.contains("nothing answers at http://127.0.0.1:"), "{}", sent.stderr);
    assert!(sent.stderr.contains("--api"), "{}", sent.stderr);
    let shown = installation.client(&["show", "019a0b1c-0000-7000-8000-000000000000"]).await;
    assert_eq!(shown.code, Some(1), "{shown:?}");
}

#[tokio::test]
async fn whatever_else_answers_is_not_taken_for_the_api() {
    let mut installation = Installation::new();
    let _running = installation.start().await;
    // A page that is no JSON, and one that is not there.
    for api in [format!("{}/metrics?", installation.url("api")), installation.url("simulator")] {
        let listed = installation.run(&["account", "list", "--api", &api]).await;
        assert_eq!((listed.code, &*listed.stdout), (Some(1), ""), "{listed:?}");
        assert!(listed.stderr.contains("is not the API"), "{}", listed.stderr);
    }
    for api in ["", "127.0.0.1", "/v1"] {
        let listed = installation.run(&["account", "list", "--api", api]).await;
        assert_eq!(listed.code, Some(64), "{listed:?}");
    }
}

#[tokio::test]
async fn a_bad_receiver_and_an_unknown_message_are_named() {
    let mut installation = Installation::new();
    let _running = installation.start().await;
    for (receiver, word) in [
        ("whatsapp:123", "invalid_receiver"),
        ("whatsapp", "invalid_receiver"),
        ("pigeon:1", "unknown_platform"),
    ] {
        let sent = installation.client(&["send", receiver, "Olá"]).await;
        assert_eq!(sent.code, Some(64), "{sent:?}");
        assert!(sent.stderr.contains(word) && sent.stderr.contains("fix: "), "{}", sent.stderr);
    }
    let shown = installation.client(&["show", "019a0b1c-0000-7000-8000-000000000000"]).await;
    assert_eq!(shown.code, Some(1), "{shown:?}");
    assert!(shown.stderr.contains("message_not_found"), "{}", shown.stderr);
}

#[tokio::test]
async fn a_message_that_fails_ends_with_code_1_and_the_reason() {
    let http = Http::new();
    let mut installation = Installation::new();
    let _running = installation.start().await;
    let fault = json!({"kind": "error", "platform": "whatsapp", "code": 131_026});
    let url = format!("{}/_sim/faults", installation.url("simulator"));
    assert_eq!(http.post(&url, &fault).await.expect("an answer").status, 201);
    let sent = installation.client(&["send", RECEIVER, "Olá", "--follow"]).await;
    assert_eq!(sent.code, Some(1), "{sent:?}");
    assert!(sent.stdout.contains("FAILED"), "{}", sent.stdout);
    let last = sent.stdout.lines().last().expect("a status");
    let last: serde_json::Value = serde_json::from_str(last).expect("JSON");
    assert!(last["reason"].is_string(), "{last} names no reason");
}

#[tokio::test]
async fn the_same_idempotency_key_sends_once() {
    let http = Http::new();
    let mut installation = Installation::new();
    let _running = installation.start().await;
    let args = ["send", RECEIVER, "Olá", "--idempotency-key", "order-42", "--follow"];
    for _ in 0..2 {
        let sent = installation.client(&args).await;
        assert_eq!(sent.code, Some(0), "{sent:?}");
    }
    let ledger = Ledger::read(&installation, &http).await;
    assert_eq!((ledger.total("calls"), ledger.total("messages")), (1, 1));
    let other = installation.client(&["send", RECEIVER, "Oi", "--idempotency-key", "order-42"]);
    let other = other.await;
    assert_eq!(other.code, Some(64), "{other:?}");
    assert!(other.stderr.contains("key_conflict"), "{}", other.stderr);
}
