//! `chat4all show`: a message and its statuses.

use chat4all_process::Failure;
use http::Method;
use serde_json::Value;

use crate::cli::ShowArgs;
use crate::client::{ApiClient, message_path};

pub(crate) async fn show(args: &ShowArgs) -> Result<u8, Failure> {
    let client = ApiClient::new(&args.api);
    let message = client.call(Method::GET, &message_path(&args.message_id), None, None).await?;
    if client.wants_json() {
        client.print(&message.to_string());
        return Ok(0);
    }
    let text = |name: &str| message[name].as_str().unwrap_or("-").to_owned();
    client.print(&format!("{}  {}", text("message_id"), text("status")));
    let simulated = if message["simulated"] == true { " (simulated)" } else { "" };
    client.print(&format!("  to            {}{simulated}", text("receiver_id")));
    client.print(&format!("  from          {} as {}", text("account"), text("sender_id")));
    client.print(&format!("  conversation  {}", text("conversation_id")));
    client.print(&format!("  external id   {}", text("external_id")));
    client.print(&format!("  expires       {}", text("expires_at")));
    if message["possible_duplicate"] == true {
        client.print(
            "  perhaps twice an earlier call, whose outcome is unknown, may have been taken too",
        );
    }
    for status in message["statuses"].as_array().into_iter().flatten() {
        client.print(&format!("  {}", status_line(status, &message)));
    }
    Ok(0)
}

/// One status with its time, and the reason if it is a failure.
pub(crate) fn status_line(status: &Value, message: &Value) -> String {
    let text = |name: &str| status[name].as_str().unwrap_or("-").to_owned();
    let reason = reason_of(status, message).map(|reason| format!("  {reason}"));
    format!("{:<10} {}{}", text("status"), text("at"), reason.unwrap_or_default())
}

/// Why, if the status is one that has a reason.
pub(crate) fn reason_of<'a>(status: &Value, message: &'a Value) -> Option<&'a str> {
    let has_one = matches!(status["status"].as_str(), Some("FAILED" | "UNKNOWN"));
    message["reason"].as_str().filter(|_| has_one)
}
