//! The WhatsApp Cloud API (developers.facebook.com/docs/whatsapp/cloud-api).

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::graph::{self, invalid};
use super::{Event, Incoming, Message, Parsed, Platform, Stage, VendorError};
use crate::hash::{canonical, digits};

/// Characters of a text.
const MAX_TEXT: usize = 4096;
/// Characters of a caption.
const MAX_CAPTION: usize = 1024;
/// Characters of what the client wants back.
const MAX_OPAQUE: usize = 512;

/// Types that need only an object of their name.
const PLAIN_TYPES: [&str; 5] = ["template", "interactive", "reaction", "location", "contacts"];
const MEDIA_TYPES: [&str; 5] = ["image", "video", "audio", "document", "sticker"];

/// See the module.
pub(super) struct WhatsApp;

impl Platform for WhatsApp {
    fn name(&self) -> &'static str {
        "whatsapp"
    }

    fn stages(&self) -> &'static [Stage] {
        &Stage::ALL
    }

    fn transient_errors(&self) -> &'static [i64] {
        &[131000, 131016, 2, 130429, 131056]
    }

    fn parse(&self, call: &Incoming<'_>) -> Parsed {
        let unusable =
            |account: &str, refusal| Parsed::Unusable { account: account.to_owned(), refusal };
        let account = match graph::account_of(call) {
            Ok(account) => account,
            Err(refusal) => return unusable("", refusal),
        };
        let unauthorized = graph::bearer(call.headers).is_none().then(graph::no_token);
        if !graph::is_id(account) {
            return unusable("", unauthorized.unwrap_or_else(graph::no_such_object));
        }
        let body = match graph::object(call.body) {
            Ok(body) => body,
            Err(refusal) => return unusable(account, unauthorized.unwrap_or(refusal)),
        };
        if body.contains_key("status") {
            return mark_read(account, &body, unauthorized);
        }
        let text =
            |key: &str| body.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let Some(recipient) = text("to").or(text("recipient")) else {
            let refusal = check(&body).err().unwrap_or_else(|| required("to"));
            return unusable(account, unauthorized.unwrap_or(refusal));
        };
        let message = Message {
            account: account.to_owned(),
            recipient: recipient.to_owned(),
            content: content(&body).map(Value::to_string).unwrap_or_default(),
            opaque: text("biz_opaque_callback_data").map(str::to_owned),
        };
        Parsed::Send { message, refusal: unauthorized.or_else(|| check(&body).err()) }
    }

    fn external_id(&self, number: u64, random: u64) -> String {
        format!("wamid.{}", graph::opaque_id(&[0x1c, 0x18, 0x0d, 0x15, 0x02, 0x00], number, random))
    }

    fn accepted(&self, message: &Message, external_id: &str) -> Value {
        let (address, is_user) = self.address(&message.recipient);
        let mut contact = Map::new();
        contact.insert("input".to_owned(), json!(message.recipient));
        contact.insert(if is_user { "user_id" } else { "wa_id" }.to_owned(), json!(address));
        json!({
            "messaging_product": "whatsapp",
            "contacts": [contact],
            "messages": [{"id": external_id}],
        })
    }

    fn error(&self, error: &VendorError, trace_id: &str) -> (StatusCode, Value) {
        let title = title(error.code);
        let details = if error.details.is_empty() { title } else { &error.details };
        // The vendor repeats the details in the message of code 100 only.
        let shown = if error.code == 100 { details } else { title };
        let mut body = graph::envelope(error, shown, "OAuthException", trace_id);
        let data = json!({"messaging_product": "whatsapp", "details": details});
        body.insert("error_data".to_owned(), data);
        (graph::status(error, documented_status(error.code)), json!({"error": body}))
    }

    /// A phone number as its digits, not to be stored; a business-scoped user id as it is.
    fn address(&self, recipient: &str) -> (String, bool) {
        let address = canonical(recipient);
        let is_user = !address.bytes().all(|b| b.is_ascii_digit());
        (address, is_user)
    }

    fn webhook(&self, event: &Event<'_>) -> Value {
        let is_user = |address: &&str| !address.bytes().all(|b| b.is_ascii_digit());
        let user_id = match event.address.filter(is_user) {
            Some(user_id) => user_id.to_owned(),
            None => format!("US.{}", digits(event.recipient, 20)),
        };
        let mut status = json!({
            "id": event.external_id,
            "status": event.stage.name(),
            "timestamp": (event.at_ms / 1000).to_string(),
            "recipient_user_id": user_id,
        });
        let mut contact = json!({"profile": {"name": "Simulated user"}, "user_id": user_id});
        // Since the vendor has user ids, phone fields may be absent.
        if let Some(wa_id) = event.address.filter(|address| !is_user(address)) {
            status["recipient_id"] = json!(wa_id);
            contact["wa_id"] = json!(wa_id);
        }
        if let Some(opaque) = event.opaque {
            status["biz_opaque_callback_data"] = json!(opaque);
        }
        let metadata = json!({
            "display_phone_number": format!("1555{}", digits(event.account, 7)),
            "phone_number_id": event.account,
        });
        let value = json!({
            "messaging_product": "whatsapp",
            "metadata": metadata,
            "contacts": [contact],
            "statuses": [status],
        });
        let business = format!("1{}", digits(event.account, 14));
        let change = json!({"value": value, "field": "messages"});
        json!({
            "object": "whatsapp_business_account",
            "entry": [{"id": business, "changes": [change]}],
        })
    }
}

fn required(parameter: &str) -> VendorError {
    invalid(&format!("The parameter {parameter} is required."))
}

fn mark_read(account: &str, body: &Map<String, Value>, refusal: Option<VendorError>) -> Parsed {
    let refusal = match refusal {
        Some(refusal) => refusal,
        None if body.get("status") != Some(&json!("read")) => {
            invalid("Param status must be one of {READ}.")
        }
        None if !body.get("message_id").is_some_and(Value::is_string) => required("message_id"),
        None => return Parsed::Other(json!({"success": true})),
    };
    Parsed::Unusable { account: account.to_owned(), refusal }
}

fn type_of(body: &Map<String, Value>) -> &str {
    body.get("type").map_or("text", |kind| kind.as_str().unwrap_or_default())
}

fn content(body: &Map<String, Value>) -> Option<&Value> {
    body.get(type_of(body))
}

fn too_long(body: &Map<String, Value>, key: &str, limit: usize) -> bool {
    body.get(key).and_then(Value::as_str).is_some_and(|text| text.chars().count() > limit)
}

/// The checks of the vendor, in its order.
fn check(body: &Map<String, Value>) -> Result<(), VendorError> {
    if body.get("messaging_product") != Some(&json!("whatsapp")) {
        return Err(required("messaging_product"));
    }
    if body.get("recipient_type").is_some_and(|kind| kind != "individual" && kind != "group") {
        return Err(invalid("Param recipient_type must be one of {INDIVIDUAL, GROUP}."));
    }
    check_recipient(body)?;
    let opaque = body.get("biz_opaque_callback_data");
    let is_text = opaque.is_none_or(Value::is_string);
    if !is_text || too_long(body, "biz_opaque_callback_data", MAX_OPAQUE) {
        return Err(invalid("Param biz_opaque_callback_data must be at most 512 characters long."));
    }
    let kind = type_of(body);
    let content = content(body);
    if kind == "text" {
        check_text(content)
    } else if MEDIA_TYPES.contains(&kind) {
        check_media(kind, content)
    } else if !PLAIN_TYPES.contains(&kind) {
        Err(VendorError::new(131051, "Message type is not supported."))
    } else if content.is_some_and(|content| content.is_object() || content.is_array()) {
        Ok(())
    } else {
        Err(VendorError::new(131008, &format!("Parameter '{kind}' is mandatory for type '{kind}'")))
    }
}

fn check_recipient(body: &Map<String, Value>) -> Result<(), VendorError> {
    let bad =
        |name: &str| VendorError::new(131009, &format!("Parameter value is not valid: '{name}'"));
    match (body.get("to"), body.get("recipient")) {
        (None, None) => Err(required("to")),
        (Some(to), _) => {
            let to = to.as_str().map(canonical).unwrap_or_default();
            let digits = to.bytes().all(|b| b.is_ascii_digit());
            if digits && (5..=20).contains(&to.len()) { Ok(()) } else { Err(bad("to")) }
        }
        (None, Some(user)) => {
            // A business-scoped user id: two letters of the country, a dot, an id.
            let parts = user.as_str().and_then(|user| user.split_once('.'));
            let well_formed = parts.is_some_and(|(country, id)| {
                let letters = country.len() == 2 && country.bytes().all(|b| b.is_ascii_uppercase());
                let id_ok = (1..=128).contains(&id.len());
                letters && id_ok && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.')
            });
            if well_formed { Ok(()) } else { Err(bad("recipient")) }
        }
    }
}

fn check_text(text: Option<&Value>) -> Result<(), VendorError> {
    let Some(text) = text.and_then(Value::as_object) else {
        return Err(required("text"));
    };
    if text.keys().any(|key| key != "body" && key != "preview_url") {
        return Err(invalid("Unexpected key on param \"text\"."));
    }
    match text.get("body").and_then(Value::as_str) {
        None | Some("") => Err(required("text['body']")),
        Some(_) if too_long(text, "body", MAX_TEXT) => {
            Err(invalid("Param text['body'] must be at most 4096 characters long."))
        }
        Some(_) => Ok(()),
    }
}

fn check_media(kind: &str, media: Option<&Value>) -> Result<(), VendorError> {
    let Some(media) = media.and_then(Value::as_object) else {
        let details = format!("Parameter '{kind}' is mandatory for type '{kind}'");
        return Err(VendorError::new(131008, &details));
    };
    if media.contains_key("link") == media.contains_key("id") {
        return Err(invalid(&format!("Param {kind} must have exactly one of link and id.")));
    }
    if too_long(media, "caption", MAX_CAPTION) {
        let details = format!("Param {kind}['caption'] must be at most 1024 characters long.");
        return Err(invalid(&details));
    }
    Ok(())
}

fn documented_status(code: i64) -> u16 {
    match code {
        0 | 190 => 401,
        10 | 200..=299 | 368 | 131005 | 131031 => 403,
        3 | 131000 | 131016 | 131045 | 131057 => 500,
        2 => 503,
        132001 => 404,
        _ => 400,
    }
}

fn title(code: i64) -> &'static str {
    match code {
        0 => "AuthException",
        1 => "API Unknown",
        2 => "API Service",
        4 => "API Too Many Calls",
        10 => "Permission Denied",
        100 => "Invalid parameter",
        190 => "Access token has expired",
        200..=299 => "API Permission",
        368 => "Temporarily blocked for policies violations",
        80007 => "Rate limit issues",
        130429 => "Rate limit hit",
        130472 => "User's number is part of an experiment",
        131000 => "Something went wrong",
        131005 => "Access denied",
        131008 => "Required parameter is missing",
        131009 => "Parameter value is not valid",
        131016 => "Service unavailable",
        131021 => "Recipient cannot be sender",
        131026 => "Message undeliverable",
        131031 => "Account has been locked",
        131047 => "Re-engagement message",
        131048 => "Spam rate limit hit",
        131051 => "Unsupported message type",
        131056 => "(Business Account, Consumer Account) pair rate limit hit",
        131057 => "Account in maintenance mode",
        132001 => "Template does not exist",
        133004 => "Server temporarily unavailable",
        133010 => "Phone number not registered",
        _ => "An error occurred",
    }
}
