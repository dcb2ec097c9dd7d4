//! No input makes the API fail: random requests are taken or refused, never 5xx, never a panic.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)] // a test fails by panicking

mod support;

use axum::body::Body;
use axum::http::{HeaderValue, Request};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use serde_json::{Map, Value, json};
use support::{RECEIVER, World};

fn status_of(request: Request<Body>) -> u16 {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async { World::new().call(request).await.status.as_u16() })
}

fn post(key: Option<HeaderValue>, body: Vec<u8>) -> TestCaseResult {
    let mut request = Request::post("/v1/messages").header("content-type", "application/json");
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key);
    }
    let status = status_of(request.body(Body::from(body)).unwrap());
    prop_assert!(status == 202 || (400..500).contains(&status), "{}", status);
    Ok(())
}

fn full_body() -> String {
    json!({"conversation_id": "c1", "receiver_id": RECEIVER, "content": "hello \u{1F600}",
        "sender_id": "shop", "account": "second", "file_id": "f1", "expires_in": 60,
        "message_id": "018bcfe5-687b-7000-8000-00000000abcd"})
    .to_string()
}

/// Any JSON value, nested a little.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(Value::from(RECEIVER)),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_field() -> impl Strategy<Value = String> {
    let known = ["conversation_id", "receiver_id", "recipient_id", "content", "sender_id"];
    let more = ["account", "file_id", "message_id", "expires_in"];
    let known: Vec<String> = known.iter().chain(&more).map(|name| (*name).to_owned()).collect();
    prop::sample::select(known)
}

fn any_key() -> impl Strategy<Value = Option<HeaderValue>> {
    let bytes = prop::collection::vec(any::<u8>(), 0..40);
    prop::option::of(bytes.prop_map(|bytes| {
        HeaderValue::from_bytes(&bytes).unwrap_or_else(|_| HeaderValue::from_static("key"))
    }))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..Default::default() })]

    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        post(None, bytes)?;
    }

    #[test]
    fn mutated_json_is_taken_or_refused(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..6),
        key in any_key(),
    ) {
        let mut bytes = full_body().into_bytes();
        for (place, byte, kind) in edits {
            let at = place.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        post(key, bytes)?;
    }

    #[test]
    fn any_value_in_any_field_is_taken_or_refused(
        fields in prop::collection::btree_map(any_field(), any_json(), 0..4),
        key in any_key(),
    ) {
        let mut body: Map<String, Value> = serde_json::from_str(&full_body()).unwrap();
        body.extend(fields);
        post(key, Value::Object(body).to_string().into_bytes())?;
    }

    #[test]
    fn any_path_and_query_is_answered(
        segment in "[a-zA-Z0-9%/._~-]{0,40}",
        query in "[a-zA-Z0-9%&=+._~-]{0,60}",
        kind in 0..3_u8,
    ) {
        let uri = match kind {
            0 => format!("/v1/messages/{segment}?{query}"),
            1 => format!("/v1/conversations/{segment}/messages?limit=5&{query}"),
            _ => format!("/v1/conversations/c1/messages?cursor={segment}&{query}"),
        };
        let status = status_of(Request::get(uri).body(Body::empty()).unwrap());
        prop_assert!(status < 500, "{}", status);
    }
}
