//! Messages that flow while Prometheus looks: one to each platform, twenty times a second.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use serde_json::json;

use super::http;
use crate::wait::pause;

/// Conversations of each platform.
const CONVERSATIONS: usize = 20;
/// The most messages; a check that takes longer than an hour has hung.
const MOST: usize = 200_000;

/// What was sent.
#[derive(Debug, Default)]
pub struct Sent {
    /// The ids of messages that were accepted.
    pub accepted: Vec<String>,
    /// What the API said to the others.
    pub refused: Vec<String>,
}

/// Messages that flow until this is asked to stop.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Sent>,
}

impl Load {
    /// Begins to send.
    pub fn start(api: SocketAddr, receivers: Vec<String>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        Self { stop, thread: thread::spawn(move || send(api, &receivers, &told)) }
    }

    /// Sends no more.
    pub fn stop(self) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        let panicked =
            |_| Sent { refused: vec!["the sender panicked".to_owned()], ..Sent::default() };
        self.thread.join().unwrap_or_else(panicked)
    }
}

fn send(api: SocketAddr, receivers: &[String], told: &AtomicBool) -> Sent {
    let mut sent = Sent::default();
    let mut round = 0;
    while !told.load(Ordering::Relaxed) && sent.accepted.len() < MOST {
        for receiver in receivers {
            let conversation = format!("monitor-{}", round % CONVERSATIONS);
            match accept(api, receiver, &conversation) {
                Ok(id) => sent.accepted.push(id),
                Err(why) => sent.refused.push(why),
            }
        }
        look(api, &sent);
        round += 1;
        pause();
    }
    sent
}

fn accept(api: SocketAddr, receiver: &str, conversation: &str) -> Result<String, String> {
    let platform = receiver.split(':').next().unwrap_or_default();
    let body = json!({
        "conversation_id": format!("{platform}-{conversation}"),
        "receiver_id": receiver,
        "content": "Is anybody watching?",
    });
    let answer = http::post(api, "/v1/messages", "application/json", &body.to_string())
        .map_err(|error| error.to_string())?;
    match (answer.status, answer.json()["message_id"].as_str()) {
        (202, Some(id)) => Ok(id.to_owned()),
        _ => Err(format!("{} {}", answer.status, answer.body)),
    }
}

/// Asks for the last message, so that the routes of questions have something to show too.
fn look(api: SocketAddr, sent: &Sent) {
    if let Some(id) = sent.accepted.last() {
        // Whether it is found already is not what is checked here.
        let _answer = http::ask("GET", api, &format!("/v1/messages/{id}"));
        let _answer = http::ask("GET", api, "/v1/conversations/monitor/messages");
    }
}
