//! What is taken and what is refused, and that a refusal names field and rule and no value.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)] // a test fails by panicking

mod support;

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use chat4all_api::{ApiSettings, MAX_BODY_BYTES, MAX_CONTENT_BYTES};
use chat4all_process::config::Bounded;
use futures::stream;
use serde_json::{Value, json};
use support::{RECEIVER, World, body, body_with};

#[tokio::test(start_paused = true)]
async fn a_minimal_message_is_accepted_and_visible_at_once() {
    let world = World::new();
    let answer = world.post(&body()).await;
    let accepted = answer.accepted();
    let id = accepted["message_id"].as_str().unwrap();
    assert!(id.starts_with("018bcfe5-687b-7"), "{id} does not carry its time of acceptance");
    assert_eq!(
        accepted,
        json!({"message_id": id, "conversation_id": "c1", "status": "ACCEPTED",
            "timestamp": "2023-11-14T22:13:20.123Z"})
    );
    assert_eq!(answer.header("location"), format!("/v1/messages/{id}"));
    assert_eq!(world.get(answer.header("location")).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn receiver_and_recipient_are_synonyms() {
    let world = World::new();
    let other = json!({"conversation_id": "c1", "recipient_id": RECEIVER, "content": "x"});
    world.post(&other).await.accepted();
    world.post(&body_with(json!({"recipient_id": RECEIVER}))).await.accepted();
    assert!(world.appended().iter().all(|message| message.receiver_id.as_str() == RECEIVER));
    let different = body_with(json!({"recipient_id": "whatsapp:+5511999990001"}));
    let problem = world.post(&different).await.refused(400, "conflicting_fields");
    assert_eq!(problem["field"], "recipient_id");
}

#[tokio::test(start_paused = true)]
async fn what_is_left_out_gets_its_default_and_what_is_given_is_kept() {
    let world = World::new();
    world.post(&body()).await.accepted();
    let full = json!({"account": "second", "sender_id": "shop", "file_id": "f1", "expires_in": 60});
    world.post(&body_with(full)).await.accepted();
    world.post(&body_with(json!({"sender_id": null, "expires_in": null}))).await.accepted();
    let [a, b, c] = &world.appended()[..] else { panic!("three messages") };
    for message in [a, c] {
        assert_eq!(message.sender_id.as_str(), "main");
        assert_eq!(message.account.as_ref().unwrap().as_str(), "main");
        assert_eq!(message.expires_at.since(message.accepted_at), Duration::from_secs(86_400));
    }
    assert_eq!(b.sender_id.as_str(), "shop");
    assert_eq!(b.account.as_ref().unwrap().as_str(), "second");
    assert_eq!(b.file_id.as_ref().unwrap().as_str(), "f1");
    assert_eq!(b.expires_at.since(b.accepted_at), Duration::from_secs(60));
}

/// Every value holds this; no refusal may.
const SECRET: &str = "S3CRET";

fn refused_bodies() -> Vec<(Value, u16, &'static str, &'static str)> {
    let without = |name: &str| {
        let mut body = body();
        body.as_object_mut().unwrap().remove(name);
        body
    };
    let with = |name: &str, value: Value| body_with(json!({name: value}));
    let long_id = SECRET.repeat(22);
    let mut cases = vec![
        (json!([body()]), 400, "malformed_json", ""),
        (json!("text"), 400, "malformed_json", ""),
        (with("expires_inn", json!(60)), 400, "unknown_field", "expires_inn"),
        (with("Content", json!(SECRET)), 400, "unknown_field", "Content"),
        (with("unknown", Value::Null), 400, "unknown_field", "unknown"),
        (with(&format!("+55 {SECRET}"), json!(1)), 400, "unknown_field", "(a field)"),
        (without("conversation_id"), 400, "missing_field", "conversation_id"),
        (without("receiver_id"), 400, "missing_field", "receiver_id"),
        (without("content"), 400, "missing_field", "content"),
        (with("content", Value::Null), 400, "missing_field", "content"),
        (with("content", json!("")), 400, "invalid_field", "content"),
        (with("content", json!(" \n ")), 400, "invalid_field", "content"),
        (with("content", json!(format!("{SECRET}\u{0}"))), 400, "invalid_field", "content"),
        (with("content", json!(format!("{SECRET}\u{1b}[1m"))), 400, "invalid_field", "content"),
        (with("content", json!(format!("{SECRET}\u{85}"))), 400, "invalid_field", "content"),
        (with("receiver_id", json!(SECRET)), 400, "invalid_receiver", "receiver_id"),
        (with("receiver_id", json!("")), 400, "invalid_receiver", "receiver_id"),
        (with("receiver_id", json!(7)), 400, "invalid_field", "receiver_id"),
        (
            with("receiver_id", json!(format!("whatsapp:{SECRET}"))),
            400,
            "invalid_receiver",
            "receiver_id",
        ),
        (
            with("receiver_id", json!(format!("pigeon:{SECRET}"))),
            400,
            "unknown_platform",
            "receiver_id",
        ),
        (with("account", json!(SECRET)), 400, "unknown_account", "account"),
        (with("account", json!("page")), 400, "unknown_account", "account"),
        (with("account", json!(format!("{SECRET} x"))), 400, "invalid_field", "account"),
        (with("expires_in", json!(0)), 400, "invalid_field", "expires_in"),
        (with("expires_in", json!(86_401)), 400, "invalid_field", "expires_in"),
        (with("expires_in", json!(-1)), 400, "invalid_field", "expires_in"),
        (with("expires_in", json!(1.5)), 400, "invalid_field", "expires_in"),
        (with("expires_in", json!(SECRET)), 400, "invalid_field", "expires_in"),
    ];
    for name in ["conversation_id", "sender_id", "file_id", "message_id"] {
        let bad =
            [json!(""), json!(" "), json!(format!("{SECRET}\n")), json!(long_id), json!([SECRET])];
        cases.extend(bad.map(|value| (with(name, value), 400, "invalid_field", name)));
    }
    cases
}

#[tokio::test(start_paused = true)]
async fn a_refused_body_is_named_by_field_and_rule_and_never_repeated() {
    let world = World::new();
    for (body, status, code, field) in refused_bodies() {
        let answer = world.post(&body).await;
        let problem = answer.refused(status, code);
        assert_eq!(problem["field"].as_str().unwrap_or_default(), field, "{body}");
        assert_eq!(field.is_empty(), problem["rule"].is_null(), "{body}");
        assert!(!answer.text.contains(SECRET), "{}", answer.text);
    }
    assert!(world.log.records().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refused_receiver_is_told_its_platforms_rule_and_the_known_platforms() {
    let world = World::new();
    let rule = |answer: support::Answer| answer.field("rule");
    let bad = world.post(&body_with(json!({"receiver_id": "whatsapp:123"}))).await;
    assert_eq!(rule(bad), "must be whatsapp:+ and 7 to 15 digits");
    let unknown = json!({"conversation_id": "c", "recipient_id": "sms:1", "content": "x"});
    let unknown = world.post(&unknown).await;
    assert_eq!(unknown.field("field"), "recipient_id");
    assert_eq!(rule(unknown), "must name one of the platforms: instagram, whatsapp");
}

#[tokio::test(start_paused = true)]
async fn malformed_json_is_refused() {
    let world = World::new();
    let nested = format!("{{\"content\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let bodies: [&[u8]; 8] = [
        b"",
        b"{",
        b"null",
        b"{\"content\":\"\xff\xfe\"}",
        b"\xef\xbb\xbf{}",
        br#"{"content":"\ud800"}"#,
        b"{} {}",
        nested.as_bytes(),
    ];
    for bytes in bodies {
        world.post_with(&[], bytes.to_vec()).await.refused(400, "malformed_json");
    }
    let huge_number = r#"{"conversation_id":"c","expires_in":1e999}"#;
    world.post_with(&[], huge_number).await.refused(400, "malformed_json");
}

#[tokio::test(start_paused = true)]
async fn of_two_equal_keys_the_last_wins() {
    let world = World::new();
    let twice = format!(
        r#"{{"conversation_id":"c1","content":"first","content":"last","receiver_id":"{RECEIVER}"}}"#
    );
    world.post_with(&[], twice).await.accepted();
    assert_eq!(world.appended()[0].content, "last");
}

#[tokio::test(start_paused = true)]
async fn content_may_be_10240_bytes_with_line_breaks_and_tabs() {
    let world = World::new();
    let longest = format!("{}\r\n\té", "x".repeat(MAX_CONTENT_BYTES - 5));
    world.post(&body_with(json!({"content": longest}))).await.accepted();
    assert_eq!(world.appended()[0].content, longest);
    let longer = body_with(json!({"content": format!("{longest}x")}));
    let problem = world.post(&longer).await.refused(413, "content_too_long");
    assert_eq!(problem["rule"], "must be at most 10240 bytes of UTF-8");
}

#[tokio::test(start_paused = true)]
async fn a_body_may_be_64_kib() {
    let world = World::new();
    let padded = |length: usize| {
        let text = body().to_string();
        format!("{text}{}", " ".repeat(length - text.len()))
    };
    world.post_with(&[], padded(MAX_BODY_BYTES)).await.accepted();
    world.post_with(&[], padded(MAX_BODY_BYTES + 1)).await.refused(413, "body_too_large");
    // The same without a length announced in advance.
    let chunks = [padded(MAX_BODY_BYTES), " ".to_owned()]
        .map(|chunk| Ok::<_, std::io::Error>(Bytes::from(chunk)));
    let streamed = Body::from_stream(stream::iter(chunks));
    world.post_with(&[], streamed).await.refused(413, "body_too_large");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_in_time_is_refused() {
    let world = World::new();
    let stalled = stream::pending::<Result<Bytes, std::io::Error>>();
    let answer = world.post_with(&[], Body::from_stream(stalled)).await;
    answer.refused(408, "request_timeout");
    assert_eq!(answer.header("connection"), "close");
    let broken = stream::iter([Err::<Bytes, _>(std::io::Error::other("broken off"))]);
    world.post_with(&[], Body::from_stream(broken)).await.refused(400, "malformed_json");
}

#[tokio::test(start_paused = true)]
async fn only_json_in_utf_8_is_taken() {
    let world = World::new();
    let world = &world;
    let typed = |kind: &'static str| async move {
        world.post_with(&[("Content-Type", kind)], body().to_string()).await
    };
    typed("application/json; charset=UTF-8").await.accepted();
    for bad in ["text/plain", "application/json; charset=latin1", "", "application/json; v=1"] {
        let problem = typed(bad).await.refused(415, "unsupported_media_type");
        assert_eq!(problem["field"], "Content-Type");
    }
    let packed = world.post_with(&[("Content-Encoding", "gzip")], body().to_string()).await;
    assert_eq!(packed.refused(415, "unsupported_media_type")["field"], "Content-Encoding");
}

#[tokio::test(start_paused = true)]
async fn too_many_requests_at_a_time_are_refused_at_once() {
    let settings = ApiSettings { max_in_flight: Bounded::new(1), ..ApiSettings::default() };
    let world = World::with(settings);
    let stalled = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    let body = body();
    let (first, second) = tokio::join!(world.post_with(&[], stalled), world.post(&body));
    first.refused(408, "request_timeout");
    second.refused(503, "overloaded");
    world.post(&body).await.accepted();
}
