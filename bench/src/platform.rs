//! The platform: accepts every call at once and says when it came.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::State;
use axum::routing::any;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// What was called: the message's text, and when.
type Call = (String, Instant);

pub(crate) struct Platform {
    pub(crate) address: SocketAddr,
}

/// The most calls that nobody has taken yet: one message is under way at a time.
const CALLS: usize = 1_000;

impl Platform {
    /// Serves until the process ends.
    pub(crate) async fn listen() -> std::io::Result<(Self, mpsc::Receiver<Call>)> {
        let (sender, calls) = mpsc::channel(CALLS);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = axum::Router::new().fallback(any(accept)).with_state(sender);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok((Self { address }, calls))
    }
}

async fn accept(State(calls): State<mpsc::Sender<Call>>, body: Bytes) -> Json<Value> {
    let at = Instant::now();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = text(&body).unwrap_or_default().to_owned();
    // Nobody measures any more.
    let _ended = calls.send((text.clone(), at)).await;
    // What the platforms' answers have in common with what each of them needs.
    let id = format!("bench-{text}");
    Json(json!({"messages": [{"id": id}], "message_id": id, "recipient_id": "bench"}))
}

/// The message's text, wherever the platform has it.
fn text(body: &Value) -> Option<&str> {
    body.pointer("/text/body").or_else(|| body.pointer("/message/text"))?.as_str()
}
