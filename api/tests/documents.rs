//! The routes that describe the API: OpenAPI, error pages, probes; and what has no route.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)] // a test fails by panicking

mod support;

use axum::http::{Method, Request};
use chat4all_api::ErrorCode;
use serde_json::Value;
use support::log::LogFault;
use support::store::{Op, StoreFault};
use support::{World, body_with};

/// Every route with its methods, as the documentation promises them.
const ROUTES: &[(&str, &str)] = &[
    ("/v1/messages", "post"),
    ("/v1/messages/{message_id}", "get"),
    ("/v1/conversations/{conversation_id}/messages", "get"),
    ("/v1/open", "get"),
    ("/v1/dead-letters", "get"),
    ("/v1/dead-letters/{letter_id}", "get"),
    ("/v1/dead-letters/redrive", "post"),
    ("/v1/dead-letters/discard", "post"),
    ("/v1/audit", "get"),
    ("/v1/accounts", "get"),
    ("/v1/accounts/{platform}/{account}/pause", "post"),
    ("/v1/accounts/{platform}/{account}/resume", "post"),
    ("/v1/accounts/{platform}/{account}/close-breaker", "post"),
    ("/health", "get"),
    ("/ready", "get"),
    ("/metrics", "get"),
    ("/openapi.json", "get"),
    ("/errors/{code}", "get"),
];

fn concrete(path: &str) -> String {
    path.replace("{message_id}", "m1")
        .replace("{conversation_id}", "c1")
        .replace("{letter_id}", "message:m1:0")
        .replace("{platform}", "whatsapp")
        .replace("{account}", "main")
        .replace("{code}", "log_full")
}

#[tokio::test(start_paused = true)]
async fn the_document_describes_exactly_the_routes_there_are() {
    let world = World::new();
    let answer = world.get("/openapi.json").await;
    assert_eq!(answer.header("content-type"), "application/json");
    let document = answer.json();
    let paths = document["paths"].as_object().unwrap();
    let documented: Vec<_> = paths
        .iter()
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |m| (&**path, &**m)))
        .collect();
    let mut routes = ROUTES.to_vec();
    routes.sort_unstable();
    assert_eq!(documented, routes);
    for (path, method) in ROUTES {
        let wrong = if *method == "get" { Method::POST } else { Method::GET };
        let answer = world.request(wrong, &concrete(path)).await;
        answer.refused(405, "method_not_allowed");
        assert!(answer.header("allow").to_lowercase().contains(method), "{path}");
    }
}

/// All `$ref`s of a document.
fn references(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(map) => map
            .iter()
            .flat_map(|(key, value)| match (key.as_str(), value.as_str()) {
                ("$ref", Some(target)) => vec![target],
                _ => references(value),
            })
            .collect(),
        Value::Array(values) => values.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn the_document_names_bodies_headers_and_every_error_code() {
    let document = World::new().get("/openapi.json").await.json();
    for target in references(&document) {
        let place = target.strip_prefix('#').unwrap();
        assert!(document.pointer(place).is_some(), "{target} leads nowhere");
    }
    let text = document["paths"].to_string();
    // Of no route in particular.
    let elsewhere = [ErrorCode::MethodNotAllowed];
    for code in ErrorCode::ALL.iter().filter(|code| !elsewhere.contains(code)) {
        assert!(text.contains(&format!("`{}`", code.word())), "{} is not documented", code.word());
    }
    let send = &document["paths"]["/v1/messages"]["post"];
    assert!(send["responses"]["503"]["headers"]["Retry-After"].is_object());
    assert!(send["responses"]["202"]["headers"]["Location"].is_object());
    assert!(send["responses"]["409"]["content"]["application/problem+json"].is_object());
    let codes = document["components"]["schemas"]["ErrorCode"]["enum"].as_array().unwrap();
    assert_eq!(codes.len(), ErrorCode::ALL.len());
}

#[tokio::test(start_paused = true)]
async fn the_documented_body_has_exactly_the_fields_that_are_taken() {
    let world = World::new();
    let document = world.get("/openapi.json").await.json();
    let schema = &document["components"]["schemas"]["SendMessage"];
    let documented: Vec<_> = schema["properties"].as_object().unwrap().keys().cloned().collect();
    let refused = world.post(&body_with(serde_json::json!({"x": 1}))).await;
    let rule = refused.field("rule");
    let mut taken: Vec<_> = rule.split_once("known are ").unwrap().1.split(", ").collect();
    taken.sort_unstable();
    assert_eq!(documented, taken);
    assert_eq!(schema["required"], serde_json::json!(["conversation_id", "content"]));
}

#[tokio::test(start_paused = true)]
async fn the_documented_commands_have_exactly_the_fields_that_are_taken() {
    let world = World::new();
    let document = world.get("/openapi.json").await.json();
    for (name, body) in [
        ("DeadLetterCommand", serde_json::json!({"x": 1})),
        ("DeadLetterFilter", serde_json::json!({"filter": {"x": "1"}})),
    ] {
        let schema = &document["components"]["schemas"][name];
        let documented: Vec<_> =
            schema["properties"].as_object().unwrap().keys().cloned().collect();
        let request = Request::post("/v1/dead-letters/redrive");
        let request = request.header("content-type", "application/json");
        let refused = world.call(request.body(body.to_string().into()).unwrap()).await;
        let rule = refused.field("rule");
        let mut taken: Vec<_> = rule.split_once("known are ").unwrap().1.split(", ").collect();
        taken.sort_unstable();
        assert_eq!(documented, taken, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_error_code_has_a_page() {
    let world = World::new();
    for code in ErrorCode::ALL {
        let page = world.get(&format!("/errors/{}", code.word())).await;
        assert_eq!(
            (page.status.as_u16(), page.header("content-type")),
            (200, "text/plain; charset=utf-8")
        );
        for part in [code.word(), code.title(), code.meaning(), code.fix(), code.status().as_str()]
        {
            assert!(page.text.contains(part), "{part}");
        }
    }
    for other in ["/errors/none", "/errors/%ff", "/errors"] {
        world.get(other).await.refused(404, "not_found");
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_no_route_is_404() {
    let world = World::new();
    for path in
        ["/", "/v1", "/v1/messages/", "/v1/messages/a/b", "/v2/messages", "/v1/conversations/c1"]
    {
        world.get(path).await.refused(404, "not_found");
    }
}

#[tokio::test(start_paused = true)]
async fn the_probes_tell_of_log_and_store() {
    let world = World::new();
    assert_eq!(world.get("/health").await.text, r#"{"status":"healthy"}"#);
    assert_eq!(world.get("/ready").await.status, 200);
    world.log.fail(LogFault::NeverAcks);
    let answer = world.get("/ready").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["dependencies"]["store"], "ready");
    world.log.fail(None);
    world.store.fail(&[Op::Check], StoreFault::Away);
    let answer = world.get("/ready").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["dependencies"]["log"], "ready");
    assert_eq!(world.get("/health").await.status, 200);
}
