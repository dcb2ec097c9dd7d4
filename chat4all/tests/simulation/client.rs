//! An application that uses the API: one client a conversation, one message after the other. What
//! it knows survives a power cut of the system.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use chat4all_contracts::MessageId;
use chat4all_process::Random;
use chat4all_process::http_client::HttpPort;
use http::{Request, StatusCode};
use serde_json::{Value, json};

const API: &str = "http://127.0.0.1:8080";
const TIMEOUT: Duration = Duration::from_secs(10);

/// A conversation, as its client knows it.
#[derive(Debug)]
pub struct Conversation {
    pub name: String,
    pub receiver: String,
    pub account: Option<String>,
    pub messages: usize,
    /// The ids of the answers 202, in the order of the messages.
    pub accepted: Vec<MessageId>,
}

/// Shared with the world, which outlives the client's task.
pub type Shared = Arc<Mutex<Conversation>>;

/// Sends what has not been accepted yet, each message until it is.
pub async fn run(conversation: Shared, http: Arc<dyn HttpPort>, random: Random) {
    loop {
        let (index, body) = {
            let known = conversation.lock().unwrap();
            if known.accepted.len() == known.messages {
                return;
            }
            (known.accepted.len(), body(&known))
        };
        let gap = random.duration_between(Duration::ZERO, Duration::from_secs(4));
        tokio::time::sleep(gap).await; // sleep: a person types
        let key = format!("{}-{index}", conversation.lock().unwrap().name);
        let request = Request::post(format!("{API}/v1/messages"))
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .body(Bytes::from(body.to_string()))
            .unwrap();
        let Ok(answer) = http.call(request, TIMEOUT).await else { continue };
        match answer.status() {
            StatusCode::ACCEPTED => {
                let answer: Value = serde_json::from_slice(answer.body()).unwrap();
                let id = answer["message_id"].as_str().unwrap();
                // 503 while the store is away, but never 404.
                let found = [Some(StatusCode::OK), Some(StatusCode::SERVICE_UNAVAILABLE), None];
                assert!(found.contains(&get(&*http, id).await), "a GET straight after a 202");
                conversation.lock().unwrap().accepted.push(MessageId::new(id).unwrap());
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::INSUFFICIENT_STORAGE => {}
            other => panic!("an answer of {other}"),
        }
    }
}

fn body(known: &Conversation) -> Value {
    let mut body = json!({
        "conversation_id": known.name,
        "receiver_id": known.receiver,
        "content": format!("message {}", known.accepted.len()),
    });
    // Some do not live long enough to wait out an outage.
    if known.accepted.len() % 3 == 1 {
        body["expires_in"] = json!(4 + 3 * known.accepted.len());
    }
    if let Some(account) = &known.account {
        body["account"] = json!(account);
    }
    body
}

/// `None` if there was no answer in time.
async fn get(http: &dyn HttpPort, id: &str) -> Option<StatusCode> {
    let request = Request::get(format!("{API}/v1/messages/{id}")).body(Bytes::new()).unwrap();
    Some(http.call(request, TIMEOUT).await.ok()?.status())
}
