//! Failures on request.
#![allow(clippy::unwrap_used)] // helpers of tests

mod common;

use std::time::Duration;

use axum::http::{Method, StatusCode};
use chat4all_process::{Shutdown, serve};
use chat4all_simulator::{Fault, FaultKind};
use common::{INSTAGRAM, WHATSAPP, World, direct, post, text};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::ServiceExt;

#[tokio::test(start_paused = true)]
async fn an_error_on_request_has_the_vendors_shape() {
    let world = World::new(json!({})).await;
    world.fault(json!({"kind": "error", "code": 131056, "retry_after_s": 7})).await;
    let (status, headers, body) = world.send(post(WHATSAPP, &text("m1", "c1"))).await;
    assert_eq!((status.as_u16(), &headers["retry-after"]), (400, &"7".parse().unwrap()));
    let title = "(Business Account, Consumer Account) pair rate limit hit";
    let expected = json!({"error": {
        "message": format!("(#131056) {title}"),
        "type": "OAuthException",
        "code": 131056,
        "error_data": {"messaging_product": "whatsapp", "details": title},
        "fbtrace_id": body["error"]["fbtrace_id"],
    }});
    assert_eq!(body, expected);
    for (code, expected) in [(190, 401), (131031, 403), (131000, 500), (2, 503), (132001, 404)] {
        world.fault(json!({"kind": "error", "code": code})).await;
        assert_eq!(world.post(WHATSAPP, &text("m1", "c1")).await.0.as_u16(), expected, "{code}");
    }
    let outside = json!({"kind": "error", "code": 10, "subcode": 2534022, "http_status": 429});
    world.fault(outside).await;
    let (status, body) = world.post(INSTAGRAM, &direct("1", "x")).await;
    assert_eq!((status.as_u16(), &body["error"]["error_subcode"]), (429, &json!(2534022)));
}

#[tokio::test(start_paused = true)]
async fn a_fault_is_listed_until_it_is_used_up_or_cleared() {
    let world = World::new(json!({})).await;
    let fault = Fault::new(FaultKind::Down).times(2).platform("whatsapp").account("1001");
    world.simulator.add_fault(fault.recipient("5511999990001")).unwrap();
    assert_eq!(world.post(INSTAGRAM, &direct("1", "x")).await.0, StatusCode::OK);
    let (status, body) = world.post(WHATSAPP, &text("m1", "c1")).await;
    assert_eq!((status, body), (StatusCode::SERVICE_UNAVAILABLE, Value::Null));
    let listed = world.get("/_sim/faults").await;
    assert_eq!(listed["faults"][0]["times"], 1);
    assert!(!listed.to_string().contains("5511999990001"));
    world.post(WHATSAPP, &text("m1", "c1")).await;
    assert_eq!(world.get("/_sim/faults").await, json!({"faults": []}));
    assert_eq!(world.post(WHATSAPP, &text("m1", "c1")).await.0, StatusCode::OK);
    world.fault(json!({"kind": "down", "times": 5})).await;
    let cleared = world.ask(Method::DELETE, "/_sim/faults").await;
    assert_eq!(cleared, (StatusCode::OK, json!({"cleared": 1})));
    assert_eq!(world.post(WHATSAPP, &text("m1", "c1")).await.0, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn bad_input_is_refused_with_field_and_rule() {
    let world = World::new(json!({})).await;
    for (body, field) in [
        (json!({"kind": "explode"}), "kind"),
        (json!({"kind": "down", "platform": "fax"}), "platform"),
        (json!({"kind": "down", "times": 0}), "times"),
        (json!({"kind": "slow", "delay_ms": 600_001}), "delay_ms"),
        (json!({"kind": "error", "code": 1, "http_status": 200}), "http_status"),
        (json!({"kind": "error", "code": 1, "retry_after_s": 86_401}), "retry_after_s"),
    ] {
        let (status, answer) = world.post("/_sim/faults", &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(answer["error"]["field"], field, "{answer}");
        assert!(answer["error"]["rule"].as_str().unwrap().len() > 5);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_takes_longer_and_is_accepted() {
    let world = World::new(json!({})).await;
    world.fault(json!({"kind": "slow", "delay_ms": 5000})).await;
    let started = tokio::time::Instant::now();
    assert_eq!(world.post(WHATSAPP, &text("m1", "c1")).await.0, StatusCode::OK);
    assert_eq!(started.elapsed().as_millis(), 5300);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_known_by_the_client_is_in_the_ledger() {
    for (kind, seconds) in [("cut", 0), ("hang", 300)] {
        for accept in [true, false] {
            let world = World::new(json!({})).await;
            world.fault(json!({"kind": kind, "accept": accept})).await;
            let started = tokio::time::Instant::now();
            let request = post(WHATSAPP, &text("m1", "c1"));
            let response = world.simulator.router().oneshot(request).await.unwrap();
            assert!(response.into_body().collect().await.is_err(), "{kind} gives no whole body");
            assert_eq!(started.elapsed().as_secs(), seconds);
            let totals = world.get("/_sim/ledger").await["totals"].clone();
            assert_eq!(totals["accepted"], u64::from(accept));
            world.wait_ms(5000).await;
            assert_eq!(world.connector.hooks().len(), if accept { 3 } else { 0 });
        }
    }
}

#[tokio::test]
async fn a_cut_answer_breaks_off_in_the_middle_of_its_body() {
    let world = World::new(json!({"latency_min_ms": 0, "latency_max_ms": 0})).await;
    world.simulator.add_fault(Fault::new(FaultKind::Cut { accept: true })).unwrap();
    let listener = serve::bind("listen", "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::new();
    let server = tokio::spawn(serve::serve(listener, world.simulator.router(), shutdown.clone()));
    let body = text("m1", "c1").to_string();
    let head = format!(
        "POST {WHATSAPP} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer t\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The end comes as a close or as a reset; what was read before it counts.
    let ended = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer));
    assert!(ended.await.is_ok(), "the connection stays open");
    let answer = String::from_utf8(answer).unwrap();
    let (head, half) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    assert_eq!(half.len(), length.parse::<usize>().unwrap() / 2);
    shutdown.trigger();
    server.await.unwrap();
}
