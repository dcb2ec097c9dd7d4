//! The WhatsApp API as a client sees it.
#![allow(clippy::unwrap_used)] // helpers of tests

mod common;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use common::{START_MS, WHATSAPP, World, post, text};
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn an_accepted_text_is_answered_like_the_vendor_after_the_latency() {
    let world = World::new(json!({})).await;
    let started = tokio::time::Instant::now();
    let (status, headers, body) = world.send(post(WHATSAPP, &text("m1", "c1"))).await;
    assert_eq!((status, started.elapsed().as_millis()), (StatusCode::OK, 300));
    assert_eq!(headers["content-type"], "application/json; charset=UTF-8");
    let id = body["messages"][0]["id"].as_str().unwrap();
    assert!(id.starts_with("wamid.") && id.len() > 20, "{id}");
    let expected = json!({
        "messaging_product": "whatsapp",
        "contacts": [{"input": "+5511999990001", "wa_id": "5511999990001"}],
        "messages": [{"id": id}],
    });
    assert_eq!(body, expected);
}

#[tokio::test(start_paused = true)]
async fn a_user_id_is_a_recipient_too() {
    let world = World::new(json!({})).await;
    let mut message = text("m1", "c1");
    message.as_object_mut().unwrap().remove("to");
    message["recipient"] = json!("US.13491208655302741918");
    let (status, body) = world.post(WHATSAPP, &message).await;
    let user = "US.13491208655302741918";
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(body["contacts"], json!([{"input": user, "user_id": user}]));
    world.wait_ms(2000).await;
    let hooks = world.connector.hooks();
    assert_eq!(hooks[0].status()["recipient_user_id"], user);
    assert_eq!(hooks[0].status().get("recipient_id"), None);
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_gets_the_vendors_code_and_status() {
    let world = World::new(json!({})).await;
    let with = |key: &str, value: Value| {
        let mut message = text("m1", "c1");
        message[key] = value;
        message
    };
    let without = |key: &str| {
        let mut message = text("m1", "c1");
        message.as_object_mut().unwrap().remove(key);
        message
    };
    let cases = [
        (without("messaging_product"), 100),
        (with("messaging_product", json!("sms")), 100),
        (with("recipient_type", json!("crowd")), 100),
        (without("to"), 100),
        (with("to", json!("nobody")), 131009),
        (with("to", json!("12")), 131009),
        (with("type", json!("hologram")), 131051),
        (with("type", json!("image")), 131008),
        (without("text"), 100),
        (with("text", json!({"body": ""})), 100),
        (with("text", json!({"body": "x", "color": "red"})), 100),
        (with("text", json!({"body": "é".repeat(4097)})), 100),
        (with("biz_opaque_callback_data", json!("x".repeat(513))), 100),
    ];
    for (message, code) in &cases {
        let (status, body) = world.post(WHATSAPP, message).await;
        assert_eq!((status.as_u16(), &body["error"]["code"]), (400, &json!(code)), "{message}");
        assert_eq!(body["error"]["type"], "OAuthException");
        assert_eq!(body["error"]["error_data"]["messaging_product"], "whatsapp");
        assert_eq!(body["error"]["fbtrace_id"].as_str().unwrap().len(), 23);
    }
    for allowed in [
        with("text", json!({"body": "é".repeat(4096)})),
        with("biz_opaque_callback_data", json!("x".repeat(512))),
        without("type"),
    ] {
        assert_eq!(world.post(WHATSAPP, &allowed).await.0, StatusCode::OK);
    }
    let totals = world.get("/_sim/ledger").await["totals"].clone();
    assert_eq!((&totals["calls"], &totals["refused"]), (&json!(16), &json!(13)));
}

#[tokio::test(start_paused = true)]
async fn a_call_needs_a_token_a_version_and_a_number() {
    let world = World::new(json!({})).await;
    let body = || Body::from(text("m1", "c1").to_string());
    for authorization in ["", "Bearer", "Bearer  ", "Basic x"] {
        let request = Request::post(WHATSAPP).header("authorization", authorization);
        let (status, _, answer) = world.send(request.body(body()).unwrap()).await;
        let code = answer["error"]["code"].clone();
        assert_eq!((status.as_u16(), code), (401, json!(190)), "{authorization:?}");
    }
    for (path, code) in [
        ("/whatsapp/1001/messages", 2500),
        ("/whatsapp/vX/1001/messages", 2500),
        ("/whatsapp/v26.0/1001/message", 2500),
        ("/whatsapp/v26.0/abc/messages", 100),
    ] {
        let (status, answer) = world.post(path, &text("m1", "c1")).await;
        assert_eq!((status.as_u16(), &answer["error"]["code"]), (400, &json!(code)), "{path}");
    }
    assert_eq!(world.ask(Method::GET, WHATSAPP).await.0, StatusCode::BAD_REQUEST);
    let (status, answer) = world.post("/whatsapp/v19.0/1001/messages", &text("m1", "c1")).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_reading_by_the_business_is_no_message() {
    let world = World::new(json!({})).await;
    let read = json!({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.x"});
    let answer = world.post(WHATSAPP, &read).await;
    assert_eq!(answer, (StatusCode::OK, json!({"success": true})));
    assert_eq!(world.get("/_sim/ledger").await["totals"]["calls"], 0);
}

#[tokio::test(start_paused = true)]
async fn receipts_are_shaped_like_the_vendors_and_come_in_time() {
    let world = World::new(json!({})).await;
    let (_, answer) = world.post(WHATSAPP, &text("m1", "c1")).await;
    world.wait_ms(3000).await;
    let hooks = world.connector.hooks();
    let times: Vec<_> = hooks.iter().map(|hook| (hook.stage(), hook.at_ms)).collect();
    assert_eq!(times, [("sent", 300), ("delivered", 500), ("read", 1500)]);
    let user = hooks[0].status()["recipient_user_id"].clone();
    assert!(user.as_str().unwrap().starts_with("US."));
    let value = &hooks[2].body["entry"][0]["changes"][0]["value"];
    let expected = json!({
        "messaging_product": "whatsapp",
        "metadata": {
            "display_phone_number": value["metadata"]["display_phone_number"],
            "phone_number_id": "1001",
        },
        "contacts": [{
            "profile": {"name": "Simulated user"}, "wa_id": "5511999990001", "user_id": user,
        }],
        "statuses": [{
            "id": answer["messages"][0]["id"],
            "status": "read",
            "timestamp": ((START_MS + 1500) / 1000).to_string(),
            "recipient_id": "5511999990001",
            "recipient_user_id": user,
            "biz_opaque_callback_data": r#"{"c":"c1","m":"m1"}"#,
        }],
    });
    assert_eq!(value, &expected);
    assert_eq!(hooks[2].body["object"], "whatsapp_business_account");
    assert_eq!(hooks[2].body["entry"][0]["changes"][0]["field"], "messages");
}
