use std::fmt;

use serde::Serialize;

use super::{DEFAULT_LIFETIME, any_text, read_generation, read_time};
use crate::fields::{FieldError, Fields, Flat};
use crate::id::{AccountName, ConversationId, FileId, MessageId, ReceiverId, SenderId};
use crate::time::{EpochMs, Generation};

/// A message on its way to a platform: on `messages`, and, with its account, on
/// `{platform}-outbound`.
///
/// Required: message_id, conversation_id, sender_id, receiver_id, content.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// The correlation id.
    pub message_id: MessageId,
    /// Messages of one conversation are delivered one after the other.
    pub conversation_id: ConversationId,
    /// Who sends, as the client names it.
    pub sender_id: SenderId,
    /// To whom.
    pub receiver_id: ReceiverId,
    /// The text. Personal data: never in a log, an error or `Debug` (I10).
    pub content: String,
    /// A file that goes with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_id: Option<FileId>,
    /// From which of our accounts; absent = the platform's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountName>,
    /// When the API accepted it; absent = the record's timestamp.
    pub accepted_at: EpochMs,
    /// No call may start after this; absent = 24 h after acceptance.
    pub expires_at: EpochMs,
    /// Which life of the message; absent = the first.
    pub generation: Generation,
}

impl Message {
    /// Reads a record; `recorded_at` is the record's own timestamp.
    pub fn parse(bytes: &[u8], recorded_at: EpochMs) -> Result<Self, FieldError> {
        let flat = Flat::parse(bytes)?;
        let fields = Fields::of(&flat);
        let accepted_at = read_time(&fields, "accepted_at")?.unwrap_or(recorded_at);
        let lifetime_end = accepted_at.plus(DEFAULT_LIFETIME);
        Ok(Self {
            message_id: fields.required("message_id", MessageId::new)?,
            conversation_id: fields.required("conversation_id", ConversationId::new)?,
            sender_id: fields.required("sender_id", SenderId::new)?,
            receiver_id: fields.required("receiver_id", ReceiverId::new)?,
            content: fields.required("content", any_text)?,
            file_id: fields.optional("file_id", FileId::new)?,
            account: fields.optional("account", AccountName::new)?,
            accepted_at,
            expires_at: read_time(&fields, "expires_at")?.unwrap_or(lifetime_end),
            generation: read_generation(&fields)?,
        })
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("message_id", &self.message_id)
            .field("receiver_id", &self.receiver_id)
            .field("account", &self.account)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}
