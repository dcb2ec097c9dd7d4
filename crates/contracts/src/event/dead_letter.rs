use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::{Message, any_text, read_generation};
use crate::fields::{FieldError, Fields, Rule, parse_object};
use crate::id::MessageId;
use crate::reason::Reason;
use crate::time::Generation;

/// A record that could not be handled, with all that is needed to look at it and to try again, on
/// `{topic}-dead-letters`.
///
/// Required: topic, partition, offset, reason, raw. The origin (topic, partition, offset) names it.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    /// The topic that it was read from.
    pub topic: String,
    /// The partition that it was read from.
    pub partition: u32,
    /// Its offset there.
    pub offset: u64,
    /// A stable word: `unreadable`, or a [`crate::Reason`].
    pub reason: String,
    /// The field and rule, or what the platform said. Never a value of the record.
    pub detail: String,
    /// The record's value, byte for byte; base64 in JSON. Personal data.
    #[serde(serialize_with = "as_base64")]
    pub raw: Vec<u8>,
    /// The message, if the record could be read that far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// The message's generation.
    pub generation: Generation,
}

/// The most bytes of a record that a dead letter carries: encoded, it stays below 1 MiB, which is
/// what a log usually allows. What is cut off is still in the record's own topic.
pub const MAX_RAW_BYTES: usize = 700 * 1024;

/// The `reason` of a record that breaks its contract.
pub const UNREADABLE: &str = "unreadable";

impl DeadLetter {
    /// A record that breaks its contract.
    pub fn unreadable(
        topic: &str,
        partition: u32,
        offset: u64,
        raw: &[u8],
        why: &FieldError,
    ) -> Self {
        let (raw, detail) = cut(raw, why.to_string());
        Self {
            topic: topic.to_owned(),
            partition,
            offset,
            reason: UNREADABLE.to_owned(),
            detail,
            raw,
            message_id: None,
            generation: Generation::FIRST,
        }
    }

    /// A message that was given up, with its record.
    pub fn given_up(
        (topic, partition, offset): (&str, u32, u64),
        raw: &[u8],
        message: &Message,
        reason: Reason,
        detail: &str,
    ) -> Self {
        let (raw, detail) = cut(raw, detail.to_owned());
        Self {
            topic: topic.to_owned(),
            partition,
            offset,
            reason: reason.word().to_owned(),
            detail,
            raw,
            message_id: Some(message.message_id.clone()),
            generation: message.generation,
        }
    }

    /// Reads a record.
    pub fn parse(bytes: &[u8]) -> Result<Self, FieldError> {
        let map = parse_object(bytes)?;
        let fields = Fields::new(&map);
        let number = |field| fields.number(field)?.ok_or_else(|| FieldError::missing(field));
        let partition = u32::try_from(number("partition")?)
            .map_err(|_| FieldError::new("partition", Rule::new("must fit 32 bits")))?;
        let raw = |text: &str| STANDARD.decode(text).map_err(|_| Rule::new("must be base64"));
        Ok(Self {
            topic: fields.required("topic", any_text)?,
            partition,
            offset: number("offset")?,
            reason: fields.required("reason", any_text)?,
            detail: fields.optional("detail", any_text)?.unwrap_or_default(),
            raw: fields.required("raw", raw)?,
            message_id: fields.optional("message_id", MessageId::new)?,
            generation: read_generation(&fields)?,
        })
    }

    /// The record's key: its origin, so that a repeated dead letter has the same key.
    pub fn key(&self) -> String {
        format!("{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

/// Keeps at most [`MAX_RAW_BYTES`] and says so.
fn cut(raw: &[u8], detail: String) -> (Vec<u8>, String) {
    match raw.get(..MAX_RAW_BYTES) {
        Some(kept) if kept.len() < raw.len() => {
            let whole = raw.len();
            (kept.to_vec(), format!("{detail}; only the first {MAX_RAW_BYTES} of {whole} bytes"))
        }
        _ => (raw.to_vec(), detail),
    }
}

fn as_base64<S: serde::Serializer>(raw: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(raw))
}

impl fmt::Debug for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter")
            .field("origin", &self.key())
            .field("reason", &self.reason)
            .field("detail", &self.detail)
            .finish_non_exhaustive()
    }
}
