//! A dead letter as an operator sees it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chat4all_contracts::LetterId;
use chat4all_store::StoredMessage;
use chat4all_store::letters::{Mark, Standing, StoredLetter, standing};
use serde::Serialize;
use utoipa::ToSchema;

/// Something that was given up.
// No `Debug`: it may hold content (I10).
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetter)]
pub(crate) struct LetterView {
    /// What names it: `message:{message_id}:{generation}` or `record:{topic}:{partition}:{offset}`.
    #[schema(example = "message:order-42:0")]
    id: String,
    /// `open`: it waits for you. `discarded`, `redriven`: somebody was here. `not_failed`: its
    /// message has not failed, or no longer. `no_message`: the store does not have the message.
    #[schema(example = "open")]
    standing: &'static str,
    /// Why it was given up: a failure reason, or `unreadable`.
    #[schema(example = "exhausted")]
    reason: String,
    /// What the platform said, or which field broke which rule. In a list the platform's code
    /// without its words.
    detail: String,
    /// The platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
    /// The account that it was to go out from.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    /// The conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<String>,
    /// The message; absent for a record that could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    /// How often the message had been redriven before.
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u32>,
    /// What the message's status is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    /// How many calls to the platform were made.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    /// When the message was accepted, or the unreadable record written; RFC 3339.
    #[schema(format = DateTime)]
    accepted_at: String,
    /// When it was given up, RFC 3339.
    #[schema(format = DateTime)]
    given_up_at: String,
    /// The topic that its record was read from.
    topic: String,
    /// The partition there.
    partition: u32,
    /// The offset there.
    offset: u64,
    /// Who discarded it.
    #[serde(skip_serializing_if = "Option::is_none")]
    discarded: Option<MarkView>,
    /// Who redrove it.
    #[serde(skip_serializing_if = "Option::is_none")]
    redriven: Option<MarkView>,
    /// The message's text; only if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    /// The unreadable record, at most 65,536 bytes of it, in base64; only if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<String>,
}

/// What an operator did with a letter.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetterMark)]
pub(crate) struct MarkView {
    /// When, RFC 3339.
    #[schema(format = DateTime)]
    at: String,
    /// Who.
    by: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// The command, among those of `GET /v1/audit`.
    audit_id: String,
}

impl MarkView {
    fn of(mark: Mark) -> Self {
        Self { at: mark.at.to_rfc3339(), by: mark.by, why: mark.why, audit_id: mark.audit_id }
    }
}

/// The word of a standing.
pub(super) fn standing_word(standing: Standing) -> &'static str {
    match standing {
        Standing::Open => "open",
        Standing::Discarded => "discarded",
        Standing::Redriven => "redriven",
        Standing::NotFailed(_) => "not_failed",
        Standing::NoMessage => "no_message",
    }
}

impl LetterView {
    /// A letter without its content.
    pub fn of(stored: StoredLetter, message: Option<&StoredMessage>) -> Self {
        let standing = standing_word(standing(&stored, message));
        let StoredLetter { letter, discarded, redriven } = stored;
        let id = letter.id.to_string();
        let (message_id, generation) = match letter.id {
            LetterId::Message(id, generation) => (Some(id), Some(generation)),
            LetterId::Record(..) => (None, None),
        };
        Self {
            id,
            standing,
            reason: letter.reason,
            detail: letter.detail,
            platform: letter.platform.map(|name| name.to_string()),
            account: letter.account.map(|name| name.to_string()),
            conversation_id: letter.conversation_id.map(|id| id.as_str().to_owned()),
            message_id: message_id.map(|id| id.to_string()),
            generation: generation.map(|generation| generation.as_u32()),
            status: message.map(|message| message.state.status().word()),
            attempts: letter.attempts,
            accepted_at: letter.accepted_at.to_rfc3339(),
            given_up_at: letter.given_up_at.to_rfc3339(),
            topic: letter.topic,
            partition: letter.partition,
            offset: letter.offset,
            discarded: discarded.map(MarkView::of),
            redriven: redriven.map(MarkView::of),
            content: None,
            raw: None,
        }
    }

    /// As a row of a list, without the platform's words: they may name a person.
    #[must_use]
    pub fn in_list(self) -> Self {
        let code = self.detail.split_once(": ").map(|(code, _)| code.to_owned());
        Self { detail: code.unwrap_or(self.detail), ..self }
    }

    /// With the message's text, or the record.
    #[must_use]
    pub fn with_content(self, message: Option<StoredMessage>, raw: Option<Vec<u8>>) -> Self {
        let content = message.map(|message| message.message.content);
        Self { content, raw: raw.map(|raw| STANDARD.encode(raw)), ..self }
    }
}
