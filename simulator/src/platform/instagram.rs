//! Instagram's send API (developers.facebook.com/docs/instagram-platform).
//!
//! There is no delivery event: a reading is all a business hears.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::graph::{self, invalid};
use super::{Event, Incoming, Message, Parsed, Platform, Stage, VendorError};
use crate::hash::digits;

/// Bytes of a text in UTF-8.
const MAX_TEXT_BYTES: usize = 1000;
/// Images of one message.
const MAX_IMAGES: usize = 10;

/// See the module.
pub(super) struct Instagram;

impl Platform for Instagram {
    fn name(&self) -> &'static str {
        "instagram"
    }

    fn stages(&self) -> &'static [Stage] {
        &[Stage::Read]
    }

    fn transient_errors(&self) -> &'static [i64] {
        &[2, 1200, 613, 4]
    }

    fn parse(&self, call: &Incoming<'_>) -> Parsed {
        let unusable =
            |account: &str, refusal| Parsed::Unusable { account: account.to_owned(), refusal };
        let segment = match graph::account_of(call) {
            Ok(segment) => segment,
            Err(refusal) => return unusable("", refusal),
        };
        let token = graph::bearer(call.headers).or_else(|| query_token(call.query));
        let unauthorized = token.is_none().then(graph::no_token);
        let account = match (segment, token) {
            // The token says who "me" is; its hash stands for the account.
            ("me", Some(token)) => format!("1784{}", digits(token, 13)),
            ("me", None) => return unusable("", graph::no_token()),
            (id, _) if graph::is_id(id) => id.to_owned(),
            _ => return unusable("", unauthorized.unwrap_or_else(graph::no_such_object)),
        };
        let body = match graph::object(call.body) {
            Ok(body) => body,
            Err(refusal) => return unusable(&account, unauthorized.unwrap_or(refusal)),
        };
        let recipient = body.get("recipient").and_then(|recipient| recipient.get("id"));
        let Some(recipient) = recipient.and_then(Value::as_str).filter(|id| !id.is_empty()) else {
            let missing = invalid("The parameter recipient is required");
            return unusable(&account, unauthorized.unwrap_or(missing));
        };
        if body.contains_key("sender_action") {
            return sender_action(&account, recipient, &body, unauthorized);
        }
        let message = Message {
            account,
            recipient: recipient.to_owned(),
            content: body.get("message").map(Value::to_string).unwrap_or_default(),
            opaque: None,
        };
        Parsed::Send { message, refusal: unauthorized.or_else(|| check(&body, recipient).err()) }
    }

    fn external_id(&self, number: u64, random: u64) -> String {
        graph::opaque_id(b"ig_dm_item:1:IGMessageID:", number, random)
    }

    fn accepted(&self, message: &Message, external_id: &str) -> Value {
        json!({"recipient_id": message.recipient, "message_id": external_id})
    }

    fn error(&self, error: &VendorError, trace_id: &str) -> (StatusCode, Value) {
        let message = if error.details.is_empty() { title(error.code) } else { &error.details };
        let kind = if error.code == 190 { "OAuthException" } else { "IGApiException" };
        let body = graph::envelope(error, message, kind, trace_id);
        (graph::status(error, documented_status(error.code)), json!({"error": body}))
    }

    /// An Instagram-scoped id means nothing outside the app.
    fn address(&self, recipient: &str) -> (String, bool) {
        (recipient.to_owned(), true)
    }

    fn webhook(&self, event: &Event<'_>) -> Value {
        let sender = match event.address {
            Some(address) => address.to_owned(),
            None => digits(event.recipient, 16),
        };
        let reading = json!({
            "sender": {"id": sender},
            "recipient": {"id": event.account},
            "timestamp": event.at_ms,
            "read": {"mid": event.external_id},
        });
        let entry = json!({"id": event.account, "time": event.at_ms, "messaging": [reading]});
        json!({"object": "instagram", "entry": [entry]})
    }
}

fn query_token(query: Option<&str>) -> Option<&str> {
    let pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    let mut tokens = pairs.filter(|(key, token)| *key == "access_token" && !token.is_empty());
    tokens.next().map(|(_, token)| token)
}

fn sender_action(
    account: &str,
    recipient: &str,
    body: &Map<String, Value>,
    refusal: Option<VendorError>,
) -> Parsed {
    const ACTIONS: [&str; 5] = ["mark_seen", "typing_on", "typing_off", "react", "unreact"];
    let action = body.get("sender_action").and_then(Value::as_str).unwrap_or_default();
    let known = ACTIONS.contains(&action);
    let unknown = || invalid("Param sender_action must be a known action");
    match refusal.or_else(|| (!known).then(unknown)) {
        Some(refusal) => Parsed::Unusable { account: account.to_owned(), refusal },
        None => Parsed::Other(json!({"recipient_id": recipient})),
    }
}

fn check(body: &Map<String, Value>, recipient: &str) -> Result<(), VendorError> {
    if !graph::is_id(recipient) {
        let unknown = VendorError::new(100, "No matching user found");
        return Err(VendorError { subcode: Some(2018001), ..unknown });
    }
    if body.get("messaging_type") == Some(&json!("MESSAGE_TAG"))
        && body.get("tag") != Some(&json!("HUMAN_AGENT"))
    {
        return Err(invalid("Param tag must be HUMAN_AGENT"));
    }
    let Some(message) = body.get("message").and_then(Value::as_object) else {
        return Err(invalid("The parameter message is required"));
    };
    let attachments = message.get("attachment").or(message.get("attachments"));
    match (message.get("text").and_then(Value::as_str), attachments) {
        (Some(""), _) | (None, None) => {
            Err(invalid("Param message must be non-empty: either text or an attachment"))
        }
        (Some(_), Some(_)) => Err(invalid("Param message cannot have both text and attachments")),
        (Some(text), None) if text.len() > MAX_TEXT_BYTES => {
            Err(invalid("Length of param message[text] must be less than or equal to 1000"))
        }
        (Some(_), None) => Ok(()),
        (None, Some(Value::Array(list))) if list.is_empty() || list.len() > MAX_IMAGES => {
            Err(invalid("Param message[attachments] must have 1 to 10 elements"))
        }
        (None, Some(Value::Array(list))) => list.iter().try_for_each(check_attachment),
        (None, Some(attachment)) => check_attachment(attachment),
    }
}

fn check_attachment(attachment: &Value) -> Result<(), VendorError> {
    let typed = attachment.get("type").is_some_and(Value::is_string);
    if typed && attachment.get("payload").is_some_and(Value::is_object) {
        return Ok(());
    }
    Err(invalid("Param message[attachment] must have type and payload"))
}

fn documented_status(code: i64) -> u16 {
    match code {
        190 => 401,
        10 | 200..=299 | 368 => 403,
        -1 | 1 | 2 | 1200 => 500,
        _ => 400,
    }
}

fn title(code: i64) -> &'static str {
    match code {
        -1 | 1 => "An unknown error occurred",
        2 => "Service temporarily unavailable",
        4 => "Application request limit reached",
        10 => "This message is sent outside of allowed window",
        17 => "User request limit reached",
        32 => "Page request limit reached",
        100 => "Invalid parameter",
        190 => "Invalid OAuth access token",
        200..=299 => "Permission error",
        368 => "Temporarily blocked for policies violations",
        551 => "This person isn't available right now",
        613 => "Calls to this api have exceeded the rate limit",
        1200 => "Temporary send message failure. Please try again later",
        80002 => "There have been too many calls from this account",
        _ => "An error occurred",
    }
}
