//! `chat4all send`: sends one message and, if asked, watches what becomes of it.

use std::time::Duration;

use chat4all_process::{Failure, exit};
use http::Method;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::cli::SendArgs;
use crate::client::{ApiClient, message_path};
use crate::show::{reason_of, status_line};

/// How often the API is asked while following.
const POLL: Duration = Duration::from_millis(100);

pub(crate) async fn send(args: &SendArgs) -> Result<u8, Failure> {
    let client = ApiClient::new(&args.api);
    let conversation = args.conversation.as_ref().unwrap_or(&args.receiver);
    let mut body = Map::new();
    body.insert("conversation_id".to_owned(), json!(conversation));
    body.insert("receiver_id".to_owned(), json!(args.receiver));
    body.insert("content".to_owned(), json!(args.text));
    if let Some(account) = &args.account {
        body.insert("account".to_owned(), json!(account));
    }
    let key = args.idempotency_key.as_deref();
    let body = Value::Object(body);
    let accepted = client.call(Method::POST, "/v1/messages", key, Some(&body)).await?;
    let id = accepted["message_id"].as_str().unwrap_or_default().to_owned();
    if !args.follow {
        if client.wants_json() {
            client.print(&accepted.to_string());
        } else {
            client.print(&format!("{id}  {}", accepted["status"].as_str().unwrap_or_default()));
            client.print(&format!("chat4all show {id}"));
        }
        return Ok(0);
    }
    if !client.wants_json() {
        client.print(&id);
    }
    follow(&client, &id, Duration::from_secs(args.timeout)).await
}

/// Prints every status as it comes, until no other can follow or the time is over.
async fn follow(client: &ApiClient, id: &str, timeout: Duration) -> Result<u8, Failure> {
    let deadline = Instant::now() + timeout;
    // A receipt can come before our own SENT, so the list also grows in its middle.
    let mut shown = Vec::new();
    loop {
        let message = client.call(Method::GET, &message_path(id), None, None).await?;
        let statuses = message["statuses"].as_array().cloned().unwrap_or_default();
        for status in statuses {
            if shown.contains(&status) {
                continue;
            }
            if client.wants_json() {
                let mut line = status.clone();
                line["message_id"] = json!(id);
                if let Some(reason) = reason_of(&status, &message) {
                    line["reason"] = json!(reason);
                }
                client.print(&line.to_string());
            } else {
                client.print(&status_line(&status, &message));
            }
            shown.push(status);
        }
        let status = message["status"].as_str().unwrap_or_default();
        match status {
            "READ" => return Ok(0),
            "FAILED" => return Ok(exit::UNSUCCESSFUL),
            _ if Instant::now() >= deadline => {
                return end_of_patience(status, timeout);
            }
            _ => tokio::time::sleep(POLL).await,
        }
    }
}

/// A delivered message may never be read; anything less is worth an error.
fn end_of_patience(status: &str, timeout: Duration) -> Result<u8, Failure> {
    if status == "DELIVERED" {
        return Ok(0);
    }
    let text = format!("still {status} after {} s; it goes on without us", timeout.as_secs());
    Err(Failure::new(exit::UNSUCCESSFUL, text))
}
