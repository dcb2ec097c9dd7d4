//! `chat4all dead-letters show`.

use chat4all_process::Failure;
use http::Method;
use serde_json::Value;

use super::args::ShowLetterArgs;
use crate::client::{ApiClient, encoded};
use crate::table::printable;

/// What is shown, in this order, as far as it is there.
const FIELDS: [(&str, &str); 14] = [
    ("reason", "reason"),
    ("detail", "detail"),
    ("platform", "platform"),
    ("account", "account"),
    ("conversation_id", "conversation"),
    ("message_id", "message"),
    ("status", "status"),
    ("generation", "life"),
    ("attempts", "calls"),
    ("accepted_at", "accepted"),
    ("given_up_at", "given up"),
    ("topic", "topic"),
    ("partition", "partition"),
    ("offset", "offset"),
];

pub(super) async fn show(args: &ShowLetterArgs) -> Result<u8, Failure> {
    let client = ApiClient::new(&args.api);
    let content = if args.content { "?content=true" } else { "" };
    let path = format!("/v1/dead-letters/{}{content}", encoded(&args.id));
    let letter = client.call(Method::GET, &path, None, None).await?;
    if client.wants_json() {
        client.print(&letter.to_string());
        return Ok(0);
    }
    let text = |value: &Value| match value {
        Value::String(text) => printable(text),
        other => other.to_string(),
    };
    client.print(&format!("{}  {}", text(&letter["id"]), text(&letter["standing"])));
    let line = |name: &str, value: &str| client.print(&format!("  {name:<12} {value}"));
    for (field, name) in FIELDS {
        if !letter[field].is_null() {
            line(name, &text(&letter[field]));
        }
    }
    for verdict in ["discarded", "redriven"] {
        let mark = &letter[verdict];
        if mark.is_null() {
            continue;
        }
        let why = mark["why"].as_str().map(|why| format!(": {}", printable(why)));
        let (at, by) = (text(&mark["at"]), text(&mark["by"]));
        line(verdict, &format!("{at} by {by}{}", why.unwrap_or_default()));
    }
    for field in ["content", "raw"] {
        if let Some(content) = letter[field].as_str() {
            line(field, &printable(content));
        }
    }
    Ok(0)
}
