//! Which letters a request is about, from its query or from its body.

use chat4all_contracts::event::UNREADABLE;
use chat4all_contracts::fields::Rule;
use chat4all_contracts::{AccountName, ConversationId, EpochMs, PlatformName, Reason};
use chat4all_store::letters::{LetterFilter, LetterSpan};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::age;
use crate::error_code::ErrorCode;
use crate::problem::Problem;

/// The fields of a filter.
pub(super) const FIELDS: [&str; 6] =
    ["platform", "account", "reason", "conversation_id", "older_than", "newer_than"];

/// Which dead letters. An absent field is about all; `{}` is about every open one.
#[derive(ToSchema)]
#[schema(as = DeadLetterFilter)]
#[allow(dead_code)] // the schema of the body; Filter reads it, for errors that name the field
pub(crate) struct FilterSchema {
    /// The platform.
    #[schema(min_length = 1, max_length = 32)]
    platform: Option<String>,
    /// The account.
    #[schema(min_length = 1, max_length = 64)]
    account: Option<String>,
    /// Why it was given up.
    #[schema(example = "expired")]
    reason: Option<String>,
    /// The conversation.
    #[schema(min_length = 1, max_length = 128)]
    conversation_id: Option<String>,
    /// Accepted longer ago than this: a whole number with s, m, h or d.
    #[schema(example = "15m")]
    older_than: Option<String>,
    /// Accepted since this long ago.
    #[schema(example = "24h")]
    newer_than: Option<String>,
}

/// A filter as it was asked for: checked, and its ages not yet times.
#[derive(Default)]
pub(super) struct Filter {
    fields: Map<String, Value>,
    parsed: LetterFilter,
    older_than: Option<std::time::Duration>,
    newer_than: Option<std::time::Duration>,
}

impl Filter {
    /// Sets a field; `false` if a filter has no such field.
    pub fn set(&mut self, name: &str, text: &str) -> Result<bool, Problem> {
        let Some(name) = FIELDS.into_iter().find(|field| *field == name) else {
            return Ok(false);
        };
        let invalid = |rule: Rule| Problem::field(ErrorCode::InvalidField, name, rule);
        match name {
            "platform" => self.parsed.platform = Some(PlatformName::new(text).map_err(invalid)?),
            "account" => self.parsed.account = Some(AccountName::new(text).map_err(invalid)?),
            "reason" => self.parsed.reason = Some(reason(text).map_err(invalid)?),
            "conversation_id" => {
                self.parsed.conversation_id = Some(ConversationId::new(text).map_err(invalid)?);
            }
            "older_than" => self.older_than = Some(age::parse(text).map_err(invalid)?),
            _ => self.newer_than = Some(age::parse(text).map_err(invalid)?),
        }
        self.fields.insert(name.to_owned(), Value::from(text));
        Ok(true)
    }

    /// The filter as it was written, in one order of its fields.
    pub fn as_json(&self) -> Value {
        Value::Object(self.fields.clone())
    }

    /// What it means at a time.
    pub fn at(&self, now: EpochMs) -> LetterFilter {
        let all = LetterSpan::default();
        let span = LetterSpan {
            from: self.newer_than.map_or(all.from, |since| age::before(now, since)),
            before: self.older_than.map_or(all.before, |until| age::before(now, until)),
        };
        LetterFilter { span, ..self.parsed.clone() }
    }
}

/// A word that can stand in a letter: a misspelt one would find nothing and look like good news.
fn reason(text: &str) -> Result<String, Rule> {
    let words = || Reason::ALL.iter().map(|reason| reason.word()).chain([UNREADABLE]);
    if words().any(|word| word == text) {
        return Ok(text.to_owned());
    }
    let words: Vec<&str> = words().collect();
    Err(Rule::of(format!("must be one of {}", words.join(", "))))
}
