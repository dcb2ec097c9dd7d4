//! What we give along with a message and get back with its receipts.
//!
//! The API returns `biz_opaque_callback_data` (at most 512 characters) with every status. It lets a
//! receipt find its message without a look-up. What comes back is input: it is checked like any.

use chat4all_contracts::fields::{Fields, parse_object};
use chat4all_contracts::{ConversationId, EpochMs, FieldError, Generation, Message, MessageId};
use serde::Serialize;

const MAX_CHARS: usize = 512;

/// What a receipt says about its message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CallbackData {
    pub message_id: MessageId,
    pub row: Option<(ConversationId, EpochMs)>,
    pub generation: Generation,
}

/// Keys are short because the limit is. A conversation whose escaped name does not fit is left out:
/// its receipts then find their row by the message's id.
pub(crate) fn encode(message: &Message) -> String {
    let (m, g) = (message.message_id.as_str(), message.generation.as_u32());
    let (c, a) = (message.conversation_id.as_str(), message.accepted_at.as_ms());
    let whole = text(&Data { a: Some(a), c: Some(c), g, m });
    if whole.len() <= MAX_CHARS { whole } else { text(&Data { a: None, c: None, g, m }) }
}

#[derive(Serialize)]
struct Data<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    a: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    c: Option<&'a str>,
    g: u32,
    m: &'a str,
}

fn text(data: &Data<'_>) -> String {
    // Strings and numbers, for which the encoder has no failing case.
    serde_json::to_string(data).unwrap_or_default()
}

/// Reads what came back.
pub(crate) fn decode(text: &str) -> Result<CallbackData, FieldError> {
    let map = parse_object(text.as_bytes())?;
    let fields = Fields::new(&map);
    let conversation = fields.optional("c", ConversationId::new)?;
    let accepted_at = fields.optional_number("a", EpochMs::new)?;
    Ok(CallbackData {
        message_id: fields.required("m", MessageId::new)?,
        row: conversation.zip(accepted_at),
        generation: fields.optional_number("g", Generation::new)?.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(message_id: &str, conversation_id: &str) -> Message {
        let record = json!({
            "message_id": message_id, "conversation_id": conversation_id, "sender_id": "s",
            "receiver_id": "whatsapp:+5511999990000", "content": "t", "generation": 3,
        });
        Message::parse(record.to_string().as_bytes(), EpochMs::saturating(1_700_000_000_000))
            .unwrap()
    }

    #[test]
    fn what_was_given_comes_back() {
        let data = encode(&message("m-1", "c-1"));
        assert_eq!(data, r#"{"a":1700000000000,"c":"c-1","g":3,"m":"m-1"}"#);
        let read = decode(&data).unwrap();
        assert_eq!(read.message_id.as_str(), "m-1");
        assert_eq!(read.row.unwrap().1.as_ms(), 1_700_000_000_000);
        assert_eq!(read.generation.as_u32(), 3);
    }

    #[test]
    fn the_longest_ids_stay_within_the_limit() {
        let quotes = "\"".repeat(128);
        let data = encode(&message(&quotes, &quotes));
        assert!(data.len() <= MAX_CHARS);
        let read = decode(&data).unwrap();
        assert_eq!((read.message_id.as_str(), read.row), (quotes.as_str(), None));
    }

    #[test]
    fn foreign_data_is_refused() {
        for bad in ["", "order 42", "[]", "{}", r#"{"m":""}"#, r#"{"m":"x","g":-1}"#] {
            assert!(decode(bad).is_err(), "{bad}");
        }
    }
}
