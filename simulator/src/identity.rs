//! Which message, and which conversation, a call belongs to: what the ledger counts by.

use axum::http::HeaderMap;
use serde_json::{Map, Value};

use crate::hash::{self, hex};
use crate::platform::Message;

/// The longest id that is taken from a header.
const MAX_ID: usize = 256;

/// The keys of a call in the ledger. Conversation ids are the clients' data: no Debug.
#[derive(Clone)]
pub(crate) struct Identity {
    pub message: String,
    pub conversation: String,
    /// Whether the message id holds everywhere, or only within its conversation.
    pub global: bool,
    /// The recipient's hash.
    pub recipient: String,
}

/// From what the client wants back, if that names both ids; else from the `x-correlation-id`
/// header; else from recipient and content.
pub(crate) fn identify(message: &Message, headers: &HeaderMap) -> Identity {
    let recipient = hash::recipient(&message.recipient);
    if let Some((id, conversation)) = message.opaque.as_deref().and_then(named) {
        return Identity { message: id, conversation, global: true, recipient };
    }
    let header = headers.get("x-correlation-id").and_then(|value| value.to_str().ok());
    let header = header.filter(|id| (1..=MAX_ID).contains(&id.len())).map(str::to_owned);
    let fingerprint = || hex(&hash::digest(&[&recipient, &message.content])[..16]);
    let id = header.unwrap_or_else(fingerprint);
    let conversation = format!("{}:{recipient}", message.account);
    Identity { message: id, conversation, global: false, recipient }
}

/// `{"m": …, "c": …}` or `{"message_id": …, "conversation_id": …}`.
fn named(opaque: &str) -> Option<(String, String)> {
    let object: Map<String, Value> = serde_json::from_str(opaque).ok()?;
    let text = |short: &str, long: &str| {
        let value = object.get(short).or_else(|| object.get(long))?.as_str()?;
        (!value.is_empty()).then(|| value.to_owned())
    };
    Some((text("m", "message_id")?, text("c", "conversation_id")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(opaque: Option<&str>) -> Message {
        Message {
            account: "1".to_owned(),
            recipient: "+5511999990001".to_owned(),
            content: "hello".to_owned(),
            opaque: opaque.map(str::to_owned),
        }
    }

    #[test]
    fn what_the_client_wants_back_names_the_message() {
        for opaque in [r#"{"m":"a","c":"b","x":1}"#, r#"{"message_id":"a","conversation_id":"b"}"#]
        {
            let identity = identify(&message(Some(opaque)), &HeaderMap::new());
            assert_eq!((identity.message.as_str(), identity.conversation.as_str()), ("a", "b"));
        }
    }

    #[test]
    fn without_it_the_header_or_the_content_does() {
        let mut headers = HeaderMap::new();
        for opaque in [None, Some("a"), Some(r#"{"m":"a"}"#), Some(r#"{"m":1,"c":"b"}"#)] {
            let identity = identify(&message(opaque), &headers);
            assert_eq!(identity.message.len(), 32);
            assert_eq!(identity.conversation, format!("1:{}", identity.recipient));
        }
        headers.insert("x-correlation-id", "id-7".parse().unwrap());
        assert_eq!(identify(&message(None), &headers).message, "id-7");
    }

    #[test]
    fn neither_text_nor_number_can_be_read_from_it() {
        let identity = identify(&message(None), &HeaderMap::new());
        let all = format!("{}{}{}", identity.message, identity.conversation, identity.recipient);
        assert!(!all.contains("hello") && !all.contains("99999"), "{all}");
    }
}
