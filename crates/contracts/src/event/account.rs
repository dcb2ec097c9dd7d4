use serde::{Serialize, Serializer};

use super::read_time;
use crate::fields::{FieldError, Fields, Rule, parse_object};
use crate::id::{AccountName, PlatformName};
use crate::time::EpochMs;

/// The most bytes of a name that an operator gives.
pub const MAX_BY_BYTES: usize = 64;

/// The most bytes of a reason, and of what a platform said, on `accounts`.
pub const MAX_NOTE_BYTES: usize = 256;

/// The word of an operator who gives no name.
pub const UNKNOWN_OPERATOR: &str = "unknown";

/// What an operator wants of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountOrder {
    /// Start no call, until resumed.
    Pause,
    /// Go on.
    Resume,
    /// Try an account whose breaker is open, or that the platform refused, now: the next call is
    /// the probe.
    CloseBreaker,
}

impl AccountOrder {
    /// Every order.
    pub const ALL: [Self; 3] = [Self::Pause, Self::Resume, Self::CloseBreaker];

    /// The word in events, metrics and logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::CloseBreaker => "close_breaker",
        }
    }

    fn parse(word: &str) -> Result<Self, Rule> {
        let order = Self::ALL.into_iter().find(|order| order.word() == word);
        order.ok_or(Rule::new("must be pause, resume or close_breaker"))
    }

    /// The first part of its record's key. Orders that replace each other share it: a compacted
    /// topic keeps the last record of a key, and to close a breaker must not undo a pause.
    fn kind(self) -> &'static str {
        match self {
            Self::Pause | Self::Resume => COMMAND,
            Self::CloseBreaker => BREAKER,
        }
    }
}

impl Serialize for AccountOrder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

const COMMAND: &str = "command";
const BREAKER: &str = "breaker";
const STATE: &str = "state";

/// An operator's command, on `accounts`. Required: platform, account, command, at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountCommand {
    /// The platform.
    pub platform: PlatformName,
    /// The account.
    pub account: AccountName,
    /// What is wanted.
    pub command: AccountOrder,
    /// When it was given.
    pub at: EpochMs,
    /// Who gave it, in the operator's own words: at most [`MAX_BY_BYTES`].
    pub by: String,
    /// Why, in the operator's own words: at most [`MAX_NOTE_BYTES`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Checks who gives a command.
///
/// # Errors
/// The rule, if it is empty, too long, or has characters that cannot be printed.
pub fn operator_name(text: &str) -> Result<String, Rule> {
    printable(text, MAX_BY_BYTES, Rule::new("must be 1 to 64 bytes of printable characters"))
}

/// Checks why a command is given.
///
/// # Errors
/// As [`operator_name`], with 256 bytes.
pub fn operator_reason(text: &str) -> Result<String, Rule> {
    printable(text, MAX_NOTE_BYTES, Rule::new("must be 1 to 256 bytes of printable characters"))
}

fn printable(text: &str, max: usize, rule: Rule) -> Result<String, Rule> {
    let unprintable = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if text.trim().is_empty() || text.len() > max || text.chars().any(unprintable) {
        return Err(rule);
    }
    Ok(text.to_owned())
}

impl AccountCommand {
    /// The record's key, `command/whatsapp:main` or `breaker/whatsapp:main`: on a compacted topic
    /// the last record of a key stays.
    pub fn key(&self) -> String {
        format!("{}/{}:{}", self.command.kind(), self.platform, self.account)
    }

    fn read(fields: &Fields<'_>) -> Result<Self, FieldError> {
        Ok(Self {
            platform: fields.required("platform", PlatformName::new)?,
            account: fields.required("account", AccountName::new)?,
            command: fields.required("command", AccountOrder::parse)?,
            at: required_time(fields, "at")?,
            by: fields
                .optional("by", operator_name)?
                .unwrap_or_else(|| UNKNOWN_OPERATOR.to_owned()),
            reason: fields.optional("reason", operator_reason)?,
        })
    }
}

/// What an account's connector does with it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountCondition {
    /// Calls start as they come.
    Active,
    /// An operator has paused it.
    Paused,
    /// The platform fails, and is left alone for a while.
    Open,
    /// The platform failed, and one call finds out whether it works again.
    HalfOpen,
    /// The platform refuses the account, for example its credentials.
    Refused,
    /// The platform asked the account to wait.
    Throttled,
}

impl AccountCondition {
    /// Every condition.
    pub const ALL: [Self; 6] =
        [Self::Active, Self::Paused, Self::Open, Self::HalfOpen, Self::Refused, Self::Throttled];

    /// The word in events and answers.
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::Refused => "refused",
            Self::Throttled => "throttled",
        }
    }

    fn parse(word: &str) -> Result<Self, Rule> {
        let found = Self::ALL.into_iter().find(|condition| condition.word() == word);
        found.ok_or(Rule::new("must be active, paused, open, half_open, refused or throttled"))
    }
}

impl Serialize for AccountCondition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// How an account is, on `accounts`, as the connector that owns it says. Required: platform,
/// account, state, at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AccountState {
    /// The platform.
    pub platform: PlatformName,
    /// The account.
    pub account: AccountName,
    /// What its connector does with it.
    pub state: AccountCondition,
    /// Since when.
    pub since: EpochMs,
    /// When it is tried again, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<EpochMs>,
    /// How many messages wait for a call.
    pub parked: u64,
    /// How many calls are under way.
    pub in_flight: u64,
    /// The pace now, in calls a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second: Option<f64>,
    /// How many calls have failed in a row.
    pub consecutive_failures: u64,
    /// When the oldest message that waits for a call was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_parked_at: Option<EpochMs>,
    /// What the platform said when it last refused the account: see [`AccountState::detail`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The offset on `accounts` of the last command that it follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied: Option<u64>,
    /// When this was written.
    pub at: EpochMs,
    /// Which process wrote it.
    pub owner: String,
}

impl AccountState {
    /// What a platform said, fit for a record: control characters gone, at most
    /// [`MAX_NOTE_BYTES`].
    pub fn detail(said: &str) -> Option<String> {
        let mut detail = String::new();
        for c in said.chars().filter(|c| !c.is_control()) {
            if detail.len() + c.len_utf8() > MAX_NOTE_BYTES {
                break;
            }
            detail.push(c);
        }
        (!detail.trim().is_empty()).then_some(detail)
    }

    /// The record's key, `state/whatsapp:main`: not the command's, because another process writes
    /// that, and a compacted topic keeps only the last record of a key.
    pub fn key(&self) -> String {
        format!("{STATE}/{}:{}", self.platform, self.account)
    }

    fn read(fields: &Fields<'_>) -> Result<Self, FieldError> {
        let count = |field| Ok::<u64, FieldError>(fields.number(field)?.unwrap_or_default());
        let at = required_time(fields, "at")?;
        let text = |text: &str| Ok(Self::detail(text).unwrap_or_default());
        Ok(Self {
            platform: fields.required("platform", PlatformName::new)?,
            account: fields.required("account", AccountName::new)?,
            state: fields.required("state", AccountCondition::parse)?,
            since: read_time(fields, "since")?.unwrap_or(at),
            until: read_time(fields, "until")?,
            parked: count("parked")?,
            in_flight: count("in_flight")?,
            per_second: fields.decimal("per_second")?,
            consecutive_failures: count("consecutive_failures")?,
            oldest_parked_at: read_time(fields, "oldest_parked_at")?,
            detail: fields.optional("detail", text)?,
            applied: fields.number("applied")?,
            at,
            owner: fields.optional("owner", text)?.unwrap_or_default(),
        })
    }
}

fn required_time(fields: &Fields<'_>, field: &'static str) -> Result<EpochMs, FieldError> {
    read_time(fields, field)?.ok_or_else(|| FieldError::missing(field))
}

/// A record of `accounts`.
#[derive(Clone, Debug, PartialEq)]
pub enum AccountRecord {
    /// What an operator wants.
    Command(AccountCommand),
    /// What a connector says.
    State(AccountState),
}

impl AccountRecord {
    /// Reads a record: its key says of what kind it is. `None` for a kind of a later release.
    ///
    /// # Errors
    /// If it breaks the contract, or is about another account than its key.
    pub fn parse(key: &[u8], value: &[u8]) -> Result<Option<Self>, FieldError> {
        let kind = key.split(|byte| *byte == b'/').next().unwrap_or_default();
        let is_state = kind == STATE.as_bytes();
        if !is_state && kind != COMMAND.as_bytes() && kind != BREAKER.as_bytes() {
            return Ok(None);
        }
        let map = parse_object(value)?;
        let fields = Fields::new(&map);
        let (record, own_key) = if is_state {
            let state = AccountState::read(&fields)?;
            let key = state.key();
            (Self::State(state), key)
        } else {
            let command = AccountCommand::read(&fields)?;
            let key = command.key();
            (Self::Command(command), key)
        };
        if own_key.as_bytes() != key {
            return Err(FieldError::new("account", Rule::new("must be the one in the key")));
        }
        Ok(Some(record))
    }
}
