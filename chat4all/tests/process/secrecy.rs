//! What must never be seen outside messages and their answers (I10).

use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::harness::{Http, Installation, eventually};

const CONTENT: &str = "XCONTENTX";
const CONVERSATION: &str = "XCONVERSATIONX";
const SENDER: &str = "XSENDERX";
const PHONE: &str = "5511987651234";
const PERSON: &str = "17841477665544332";
const KEY: &str = "XKEYX";
const TOKEN: &str = "XTOKENX";
const APP_SECRET: &str = "XAPPSECRETX";
const VERIFY: &str = "XVERIFYX";

const MARKERS: [&str; 9] =
    [CONTENT, CONVERSATION, SENDER, PHONE, PERSON, KEY, TOKEN, APP_SECRET, VERIFY];

fn assert_clean(what: &str, text: &str) {
    for marker in MARKERS {
        let line = text.lines().find(|line| line.contains(marker));
        assert_eq!(line, None, "{what} show {marker}");
    }
}

/// WhatsApp with credentials, which the stand-in takes as the platform would; Instagram without.
fn installation() -> Installation {
    let new = Installation::new().log("trace");
    let (platform, webhook) = (new.url("simulator"), new.url("whatsapp"));
    let api = "connectors.whatsapp.api";
    let receipts = "simulation.simulator.webhooks.whatsapp";
    new.set(&format!("{api}.base_url"), &format!("\"{platform}/whatsapp\""))
        .set(&format!("{api}.app_secret"), &format!("{APP_SECRET:?}"))
        .set(&format!("{api}.verify_token"), &format!("{VERIFY:?}"))
        .set(&format!("{api}.accounts.default.id"), "\"100000000000001\"")
        .set(&format!("{api}.accounts.default.access_token"), &format!("{TOKEN:?}"))
        .set(&format!("{receipts}.url"), &format!("\"{webhook}/webhook\""))
        .set(&format!("{receipts}.app_secret"), &format!("{APP_SECRET:?}"))
        .set("connectors.whatsapp.policy.retry_first_ms", "10")
        .set("connectors.instagram.policy.retry_first_ms", "10")
}

fn message(receiver: &str) -> Value {
    json!({
        "conversation_id": CONVERSATION,
        "receiver_id": receiver,
        "sender_id": SENDER,
        "content": CONTENT,
    })
}

/// Sends a message under a fault and waits for its end.
async fn send(installation: &Installation, http: &Http, receiver: &str, fault: Option<Value>) {
    if let Some(fault) = fault {
        let url = format!("{}/_sim/faults", installation.url("simulator"));
        assert_eq!(http.post(&url, &fault).await.expect("an answer").status, 201);
    }
    let url = format!("{}/v1/messages", installation.url("api"));
    let sent = http.post(&url, &message(receiver)).await.expect("an answer");
    assert_eq!(sent.status, 202, "{}", sent.text);
    let id = sent.json()["message_id"].as_str().expect("an id").to_owned();
    eventually("the message's end", async || {
        let message = http.get(&format!("{url}/{id}")).await?;
        matches!(message["status"].as_str()?, "READ" | "FAILED").then_some(())
    })
    .await;
}

/// Requests that are refused; returns what they were answered.
async fn bad_requests(installation: &Installation, http: &Http) -> String {
    let url = format!("{}/v1/messages", installation.url("api"));
    let whatsapp = format!("whatsapp:+{PHONE}");
    let mut bodies = vec![
        message(PHONE).to_string(),
        message(&format!("whatsapp:{PHONE}")).to_string(),
        message(&format!("{CONVERSATION}:{PHONE}")).to_string(),
        format!("{{\"content\": \"{CONTENT}\", {PHONE}"),
        format!("\"{CONTENT}\""),
    ];
    for field in ["conversation_id", "content", "sender_id", "account", "expires_in", "file_id"] {
        for bad in [json!({ CONTENT: PHONE }), json!(format!("{CONTENT}\u{7}{PHONE}"))] {
            let mut body = message(&whatsapp);
            body[field] = bad;
            bodies.push(body.to_string());
        }
    }
    let mut body = message(&whatsapp);
    body[format!("{CONTENT} {PHONE}")] = json!(1);
    bodies.push(body.to_string());
    let mut answers = String::new();
    let headers = [("content-type", "application/json"), ("idempotency-key", KEY)];
    for body in bodies {
        let answer = http.call(Method::POST, &url, &headers, body).await.expect("an answer");
        assert!(answer.status.is_client_error(), "{} {}", answer.status, answer.text);
        answers += &format!("{}\n", answer.text);
    }
    for path in [
        format!("/v1/conversations/{CONVERSATION}/messages?limit={PHONE}"),
        format!("/v1/conversations/{CONVERSATION}/messages?cursor={CONTENT}"),
        format!("/v1/messages/{CONVERSATION}"),
        format!("/v1/messages/%FF{CONVERSATION}"),
        format!("/{CONVERSATION}"),
    ] {
        let url = format!("{}{path}", installation.url("api"));
        let answer = http.call(Method::GET, &url, &[], "").await.expect("an answer");
        assert!(answer.status.is_client_error(), "{path} {}", answer.status);
        answers += &format!("{}\n", answer.text);
    }
    answers
}

fn signature(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(body.as_bytes());
    let hex = mac.finalize().into_bytes().into_iter().map(|byte| format!("{byte:02x}"));
    format!("sha256={}", hex.collect::<String>())
}

/// Webhooks that nobody can read, signed and unsigned; returns what they were answered.
async fn bad_webhooks(installation: &Installation, http: &Http) -> String {
    let mut answers = String::new();
    let status = json!({"object": "whatsapp_business_account", "entry": [{"changes": [{
        "field": "messages", "value": {"metadata": {"phone_number_id": PHONE}, "statuses": [
            {"id": CONTENT, "status": CONTENT, "recipient_id": PHONE, "timestamp": CONTENT,
             "biz_opaque_callback_data": CONVERSATION}]}}]}]});
    let read = json!({"object": "instagram", "entry": [{"id": PERSON, "time": 1, "messaging": [
        {"sender": {"id": PERSON}, "recipient": {"id": PERSON}, "timestamp": CONTENT,
         "read": {"mid": CONTENT}}]}]});
    for (platform, secret, shaped) in
        [("whatsapp", APP_SECRET, status), ("instagram", "simulated", read)]
    {
        let url = format!("{}/webhook", installation.url(platform));
        for body in [format!("{CONTENT} {PHONE} {PERSON}"), shaped.to_string()] {
            for signature in [signature(secret, &body), signature(VERIFY, &body)] {
                let headers = [("x-hub-signature-256", signature.as_str())];
                let answer = http.call(Method::POST, &url, &headers, body.clone()).await;
                answers += &format!("{}\n", answer.expect("an answer").text);
            }
        }
        let wrong = format!("{url}?hub.mode=subscribe&hub.verify_token={TOKEN}&hub.challenge=1");
        let answer = http.call(Method::GET, &wrong, &[], "").await.expect("an answer");
        assert_eq!(answer.status, 403);
        answers += &answer.text;
    }
    answers
}

#[tokio::test]
async fn nothing_of_a_message_and_no_secret_is_logged_measured_or_repeated_in_a_refusal() {
    let http = Http::new();
    let mut installation = installation();
    let mut running = installation.start().await;
    let (whatsapp, instagram) = (format!("whatsapp:+{PHONE}"), format!("instagram:{PERSON}"));
    for (receiver, platform, code) in
        [(&whatsapp, "whatsapp", 131_026), (&instagram, "instagram", 551)]
    {
        let fault = |kind: &str| json!({"kind": kind, "platform": platform});
        let with = |kind: &str, key: &str, value: Value| {
            let mut fault = fault(kind);
            fault[key] = value;
            Some(fault)
        };
        send(&installation, &http, receiver, None).await;
        send(&installation, &http, receiver, with("error", "code", json!(code))).await;
        send(&installation, &http, receiver, with("cut", "accept", json!(true))).await;
        send(&installation, &http, receiver, Some(fault("down"))).await;
    }
    assert_clean("refusals", &bad_requests(&installation, &http).await);
    assert_clean("answers to webhooks", &bad_webhooks(&installation, &http).await);
    running.kill_simulator().await;
    for name in ["api", "router", "whatsapp", "instagram", "status-consumer", "simulator"] {
        for path in ["metrics", "health", "ready", "_sim/settings", "_sim/faults"] {
            let url = format!("{}/{path}", installation.url(name));
            let answer =
                eventually("an answer", async || http.call(Method::GET, &url, &[], "").await.ok());
            assert_clean(&url, &answer.await.text);
        }
    }
    assert!(installation.metrics(&http).await.contains("chat4all_deliveries_total"));
    let bad = installation.client(&["send", &format!("whatsapp:{PHONE}"), CONTENT]).await;
    assert_eq!(bad.code, Some(64), "{bad:?}");
    assert_clean("the command line's errors", &bad.stderr);
    assert_eq!(running.terminate().await, Some(0));
    let outputs = installation.outputs();
    assert!(outputs.contains("\"TRACE\""), "everything is logged");
    assert!(outputs.contains("a message failed"), "failures are logged");
    assert_clean("standard outputs", &outputs);
}
