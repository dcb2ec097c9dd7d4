//! The Instagram API as a client sees it.
#![allow(clippy::unwrap_used)] // helpers of tests

mod common;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use common::{INSTAGRAM, START_MS, World, direct, post};
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn an_accepted_text_is_answered_and_read_but_never_reported_delivered() {
    let world = World::new(json!({})).await;
    let (status, answer) = world.post(INSTAGRAM, &direct("9001", "hi")).await;
    assert_eq!(status, StatusCode::OK);
    let mid = answer["message_id"].as_str().unwrap();
    assert_eq!(answer, json!({"recipient_id": "9001", "message_id": mid}));
    world.wait_ms(5000).await;
    let hooks = world.connector.hooks();
    assert_eq!(hooks.len(), 1);
    let at_ms = START_MS + 1500;
    let expected = json!({"object": "instagram", "entry": [{
        "id": "17840001",
        "time": at_ms,
        "messaging": [{
            "sender": {"id": "9001"},
            "recipient": {"id": "17840001"},
            "timestamp": at_ms,
            "read": {"mid": mid},
        }],
    }]});
    assert_eq!(hooks[0].body, expected);
}

#[tokio::test(start_paused = true)]
async fn both_ways_to_authorize_and_both_paths_are_taken() {
    let world = World::new(json!({})).await;
    let plain = |path: &str| {
        let body = Body::from(direct("9001", "hi").to_string());
        Request::post(path.to_owned()).body(body).unwrap()
    };
    let me = "/instagram/v25.0/me/messages";
    assert_eq!(world.send(post(me, &direct("9001", "hi"))).await.0, StatusCode::OK);
    let with_query = format!("{me}?access_token=token");
    assert_eq!(world.send(plain(&with_query)).await.0, StatusCode::OK);
    assert_eq!(world.send(post("/instagram/v25/1784/messages", &direct("1", "x"))).await.0, 200);
    for path in [me, INSTAGRAM, "/instagram/v25.0/me/messages?access_token="] {
        let (status, _, body) = world.send(plain(path)).await;
        assert_eq!((status.as_u16(), &body["error"]["code"]), (401, &json!(190)), "{path}");
    }
    // One token is one account, however it is given.
    let ledger = world.get("/_sim/ledger?platform=instagram").await;
    assert_eq!(ledger["conversations"].as_array().unwrap().len(), 2 + 1);
    assert!(!ledger.to_string().contains("token"));
}

#[tokio::test(start_paused = true)]
async fn a_text_is_measured_in_bytes() {
    let world = World::new(json!({})).await;
    let longest = "é".repeat(500);
    assert_eq!(world.post(INSTAGRAM, &direct("9001", &longest)).await.0, StatusCode::OK);
    let (status, body) = world.post(INSTAGRAM, &direct("9001", &format!("{longest}x"))).await;
    assert_eq!((status.as_u16(), &body["error"]["code"]), (400, &json!(100)));
    assert_eq!(body["error"]["type"], "IGApiException");
    assert!(body["error"]["fbtrace_id"].is_string());
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_says_why() {
    let world = World::new(json!({})).await;
    let image = json!({"type": "image", "payload": {"url": "https://a/b.png"}});
    let recipient = json!({"id": "9001"});
    let refused = [
        json!({}),
        json!({"recipient": recipient}),
        json!({"recipient": {"id": 9001}, "message": {"text": "x"}}),
        json!({"recipient": recipient, "message": {}}),
        json!({"recipient": recipient, "message": {"text": ""}}),
        json!({"recipient": recipient, "message": {"text": "x", "attachment": image}}),
        json!({"recipient": recipient, "message": {"attachments": vec![&image; 11]}}),
        json!({"recipient": recipient, "message": {"attachment": {"type": "image"}}}),
        json!({"recipient": recipient, "sender_action": "dance"}),
        json!({"recipient": recipient, "message": {"text": "x"}, "messaging_type": "MESSAGE_TAG"}),
    ];
    for body in &refused {
        let (status, answer) = world.post(INSTAGRAM, body).await;
        assert_eq!((status.as_u16(), &answer["error"]["code"]), (400, &json!(100)), "{body}");
    }
    let (_, answer) = world.post(INSTAGRAM, &direct("nobody", "x")).await;
    assert_eq!(answer["error"]["error_subcode"], 2018001);
    let images = json!({"recipient": recipient, "message": {"attachments": vec![&image; 10]}});
    assert_eq!(world.post(INSTAGRAM, &images).await.0, StatusCode::OK);
    let typing = json!({"recipient": recipient, "sender_action": "typing_on"});
    let typing = world.post(INSTAGRAM, &typing).await;
    assert_eq!(typing, (StatusCode::OK, json!({"recipient_id": "9001"})));
}
