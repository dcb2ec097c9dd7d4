use serde::Serialize;

use super::{any_text, read_generation, read_time};
use crate::fields::{FieldError, Fields, Flat, Rule};
use crate::id::{AccountName, ConversationId, ExternalId, MessageId, PlatformName, VendorText};
use crate::reason::Reason;
use crate::status::Status;
use crate::time::{EpochMs, Generation};

/// What became of a message, on `status-updates`.
///
/// Required: message_id, status, timestamp. Ours also carry where the message's row is
/// (conversation_id and accepted_at), so that the store needs no look-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatusUpdate {
    /// The correlation id.
    pub message_id: MessageId,
    /// What happened.
    pub status: Status,
    /// When it happened.
    pub timestamp: EpochMs,
    /// The message's conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<ConversationId>,
    /// When the message was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<EpochMs>,
    /// When the message's life ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<EpochMs>,
    /// Which life of the message; absent = the first.
    pub generation: Generation,
    /// The platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<PlatformName>,
    /// The account it went out from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountName>,
    /// The platform's id of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<ExternalId>,
    /// Why, for FAILED and UNKNOWN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The vendor's code, for FAILED and UNKNOWN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor_code: Option<String>,
    /// The vendor's words, for FAILED. Personal data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor_text: Option<VendorText>,
    /// How many calls were made, the last one included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Whether an earlier call may have been accepted too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub possible_duplicate: bool,
}

impl StatusUpdate {
    /// The required fields; everything else absent.
    pub fn minimal(message_id: MessageId, status: Status, timestamp: EpochMs) -> Self {
        Self {
            message_id,
            status,
            timestamp,
            conversation_id: None,
            accepted_at: None,
            expires_at: None,
            generation: Generation::FIRST,
            platform: None,
            account: None,
            external_id: None,
            reason: None,
            vendor_code: None,
            vendor_text: None,
            attempt: None,
            possible_duplicate: false,
        }
    }

    /// Reads a record.
    pub fn parse(bytes: &[u8]) -> Result<Self, FieldError> {
        let flat = Flat::parse(bytes)?;
        let fields = Fields::of(&flat);
        let status = |word: &str| {
            Status::from_word(word)
                .ok_or(Rule::new("must be ACCEPTED, UNKNOWN, FAILED, SENT, DELIVERED or READ"))
        };
        let attempt = |n: u64| u32::try_from(n).map_err(|_| Rule::new("must fit 32 bits"));
        Ok(Self {
            message_id: fields.required("message_id", MessageId::new)?,
            status: fields.required("status", status)?,
            timestamp: read_time(&fields, "timestamp")?
                .ok_or_else(|| FieldError::missing("timestamp"))?,
            conversation_id: fields.optional("conversation_id", ConversationId::new)?,
            accepted_at: read_time(&fields, "accepted_at")?,
            expires_at: read_time(&fields, "expires_at")?,
            generation: read_generation(&fields)?,
            platform: fields.optional("platform", PlatformName::new)?,
            account: fields.optional("account", AccountName::new)?,
            external_id: fields.optional("external_id", ExternalId::new)?,
            reason: fields.text("reason")?.map(Reason::from_word),
            vendor_code: fields.optional("vendor_code", any_text)?,
            vendor_text: fields.optional("vendor_text", VendorText::new)?,
            attempt: fields.optional_number("attempt", attempt)?,
            possible_duplicate: fields.flag("possible_duplicate")?,
        })
    }
}
