use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::{LetterId, Message, any_text, read_generation, read_time};
use crate::fields::{FieldError, Fields, Rule, parse_object};
use crate::id::{AccountName, ConversationId, MessageId, PlatformName};
use crate::reason::Reason;
use crate::time::{EpochMs, Generation};

/// A record that could not be handled, with all that is needed to look at it and to try again, on
/// `{topic}-dead-letters`.
///
/// Required: topic, partition, offset, reason, raw. What names it is its [`LetterId`].
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
    /// The field and rule, or what the platform said: its code, then its words behind `: `, which
    /// are personal data. Never a value of the record.
    pub detail: String,
    /// The record's value, byte for byte; base64 in JSON. Personal data.
    #[serde(serialize_with = "as_base64")]
    pub raw: Vec<u8>,
    /// The message, if the record could be read that far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// The message's generation.
    pub generation: Generation,
    /// The platform that the message was for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<PlatformName>,
    /// The account that it was to go out from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountName>,
    /// The message's conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<ConversationId>,
    /// When the message was accepted; of a record that could not be read, its own timestamp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<EpochMs>,
    /// When it was given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_up_at: Option<EpochMs>,
    /// How many calls were made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
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
            platform: None,
            account: None,
            conversation_id: None,
            accepted_at: None,
            given_up_at: None,
            attempts: None,
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
            platform: PlatformName::new(message.receiver_id.platform()).ok(),
            account: message.account.clone(),
            conversation_id: Some(message.conversation_id.clone()),
            accepted_at: Some(message.accepted_at),
            given_up_at: None,
            attempts: None,
        }
    }

    /// From which account the message was tried, and with how many calls.
    #[must_use]
    pub fn tried(self, account: &AccountName, attempts: u32) -> Self {
        Self { account: Some(account.clone()), attempts: Some(attempts), ..self }
    }

    /// When it was given up, and the timestamp of its record, which stands for a time of
    /// acceptance that nobody could read.
    #[must_use]
    pub fn dated(self, recorded_at: EpochMs, now: EpochMs) -> Self {
        let accepted_at = self.accepted_at.or(Some(recorded_at));
        Self { accepted_at, given_up_at: self.given_up_at.or(Some(now)), ..self }
    }

    /// Reads a record.
    pub fn parse(bytes: &[u8]) -> Result<Self, FieldError> {
        let map = parse_object(bytes)?;
        let fields = Fields::new(&map);
        let number = |field| fields.number(field)?.ok_or_else(|| FieldError::missing(field));
        let partition = u32::try_from(number("partition")?)
            .map_err(|_| FieldError::new("partition", Rule::new("must fit 32 bits")))?;
        let attempts = |n: u64| u32::try_from(n).map_err(|_| Rule::new("must fit 32 bits"));
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
            platform: fields.optional("platform", PlatformName::new)?,
            account: fields.optional("account", AccountName::new)?,
            conversation_id: fields.optional("conversation_id", ConversationId::new)?,
            accepted_at: read_time(&fields, "accepted_at")?,
            given_up_at: read_time(&fields, "given_up_at")?,
            attempts: fields.optional_number("attempts", attempts)?,
        })
    }

    /// What names it.
    pub fn id(&self) -> LetterId {
        match &self.message_id {
            Some(id) => LetterId::Message(id.clone(), self.generation),
            None => LetterId::Record(self.topic.clone(), self.partition, self.offset),
        }
    }

    /// The record's key: a repeated dead letter has the same one.
    pub fn key(&self) -> String {
        self.id().to_string()
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
            .field("id", &self.key())
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}
