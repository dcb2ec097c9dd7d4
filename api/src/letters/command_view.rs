//! What a command answers, letter by letter.

use chat4all_contracts::LetterId;
use chat4all_store::letters::Standing;
use serde::Serialize;
use utoipa::ToSchema;

use super::view::standing_word;
use crate::error_code::ErrorCode;

/// What a command did, or would do.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetterResults)]
pub(crate) struct CommandView {
    /// Whether nothing was done.
    dry_run: bool,
    /// The record of the command; absent if nothing was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_id: Option<String>,
    /// To how many letters it was done, or would be.
    done: usize,
    /// How many were refused: another try would be refused too.
    refused: usize,
    /// How many failed or were not reached: repeat the command.
    failed: usize,
    /// Each letter; of one conversation in the order of acceptance.
    results: Vec<ResultView>,
    /// Where a filter's further letters begin; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// What happened to one letter.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetterResult)]
pub(crate) struct ResultView {
    /// The letter.
    id: String,
    /// Its message.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    /// `done`, `would_do` (a dry run), `refused`, or `failed`.
    #[schema(example = "done")]
    outcome: &'static str,
    /// Why it was refused: `letter_not_found`, `unreadable`, `last_generation`, or the letter's
    /// standing. Why it failed: `not_tried`, or a code of the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
    /// How often the message will then have been redriven.
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u32>,
}

/// Why a letter is not for this command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    NotFound,
    Unreadable,
    LastGeneration,
    Standing(Standing),
}

impl Refusal {
    fn code(self) -> &'static str {
        match self {
            Self::NotFound => ErrorCode::LetterNotFound.word(),
            Self::Unreadable => "unreadable",
            Self::LastGeneration => "last_generation",
            Self::Standing(standing) => standing_word(standing),
        }
    }

    fn detail(self) -> &'static str {
        match self {
            Self::NotFound => ErrorCode::LetterNotFound.meaning(),
            Self::Unreadable => {
                "A record that nobody could read holds no message to send: have its producer send \
                 a correct one, then discard this."
            }
            Self::LastGeneration => "The message was redriven as often as can be: send a new one.",
            Self::Standing(Standing::Discarded) => "It was discarded.",
            Self::Standing(Standing::Redriven) => {
                "Its message was redriven already; if that failed too, there is a later letter."
            }
            Self::Standing(Standing::NotFailed(_)) => {
                "Its message is not FAILED: a receipt came after all, or its status is on its way."
            }
            Self::Standing(_) => {
                "The store does not have this message: it is on its way, or it did not come \
                 through the API."
            }
        }
    }
}

/// What happened to a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    WouldDo,
    Refused(Refusal),
    Failed(ErrorCode),
    NotTried,
}

/// What the answer says about one letter.
pub(super) struct Item {
    pub id: LetterId,
    pub outcome: Outcome,
    /// The next life, for a redrive.
    pub generation: Option<u32>,
}

impl From<Item> for ResultView {
    fn from(item: Item) -> Self {
        let (outcome, code, detail) = match item.outcome {
            Outcome::Done => ("done", None, None),
            Outcome::WouldDo => ("would_do", None, None),
            Outcome::Refused(why) => ("refused", Some(why.code()), Some(why.detail())),
            Outcome::Failed(code) => ("failed", Some(code.word()), Some(code.meaning())),
            Outcome::NotTried => {
                let detail = "The time was over, or an earlier message of its conversation failed.";
                ("failed", Some("not_tried"), Some(detail))
            }
        };
        let message_id = match &item.id {
            LetterId::Message(id, _) => Some(id.to_string()),
            LetterId::Record(..) => None,
        };
        let is_refused = matches!(item.outcome, Outcome::Refused(_));
        Self {
            id: item.id.to_string(),
            message_id,
            outcome,
            code,
            detail,
            generation: item.generation.filter(|_| !is_refused),
        }
    }
}

impl CommandView {
    /// Counts the outcomes.
    pub(super) fn of(
        items: Vec<Item>,
        audit_id: Option<String>,
        next_cursor: Option<String>,
    ) -> Self {
        let results: Vec<ResultView> = items.into_iter().map(ResultView::from).collect();
        let count = |outcomes: &[&str]| {
            results.iter().filter(|result| outcomes.contains(&result.outcome)).count()
        };
        Self {
            dry_run: audit_id.is_none(),
            audit_id,
            done: count(&["done", "would_do"]),
            refused: count(&["refused"]),
            failed: count(&["failed"]),
            results,
            next_cursor,
        }
    }
}
