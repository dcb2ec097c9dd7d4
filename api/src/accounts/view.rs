//! An account as the API shows it.

use std::time::Duration;

use chat4all_contracts::{
    AccountCommand, AccountName, AccountState, EpochMs, PlatformName, Platforms,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::board::{Board, Given, Known};

/// A connector speaks of each of its accounts once a minute: one that is silent for three is gone,
/// or nobody owns the account.
const SILENT_AFTER: Duration = Duration::from_secs(180);

/// Every configured account.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountList {
    /// The accounts, by platform and name.
    accounts: Vec<AccountView>,
}

/// An account. Of one whose connector has never spoken only the first three fields are there, and
/// the commands.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountView {
    /// The platform.
    platform: String,
    /// The account.
    account: String,
    /// The partition of the platform's topic that carries its messages.
    partition: u32,
    /// What its connector does with it: active, paused, open, half_open, refused, throttled; or
    /// unknown.
    #[schema(example = "active")]
    state: &'static str,
    /// Since when, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    since: Option<String>,
    /// When it is tried again, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    until: Option<String>,
    /// How many messages wait for a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    parked: Option<u64>,
    /// How many calls are under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_flight: Option<u64>,
    /// The pace, in calls a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    per_second: Option<f64>,
    /// How many calls have failed in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    consecutive_failures: Option<u64>,
    /// When the oldest message that waits was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    oldest_parked_at: Option<String>,
    /// What the platform said when it last refused the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The process that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    /// When it said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    reported_at: Option<String>,
    /// Whether nobody has spoken of the account for three minutes: its connector does not run, or
    /// nobody serves its partition.
    silent: bool,
    /// The last pause or resume.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_command: Option<CommandView>,
    /// The last time that its breaker was to be closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_close_breaker: Option<CommandView>,
}

/// An operator's command.
#[derive(Serialize, ToSchema)]
pub(crate) struct CommandView {
    /// pause, resume or close_breaker.
    #[schema(example = "pause")]
    command: &'static str,
    /// When it was given.
    #[schema(format = DateTime)]
    at: String,
    /// Who gave it.
    by: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Its place among all commands: one with a higher number came later.
    offset: u64,
    /// Whether the account's connector follows it.
    applied: bool,
}

impl CommandView {
    pub(super) fn of(command: &AccountCommand, offset: u64, applied: bool) -> Self {
        Self {
            command: command.command.word(),
            at: command.at.to_rfc3339(),
            by: command.by.clone(),
            reason: command.reason.clone(),
            offset,
            applied,
        }
    }
}

impl AccountList {
    pub(super) fn of(platforms: &Platforms, board: &Board, now: EpochMs) -> Self {
        let accounts = platforms.0.iter().flat_map(|(platform, spec)| {
            spec.accounts.iter().map(move |(account, spec)| {
                AccountView::of(platform, account, spec.partition, board, now)
            })
        });
        Self { accounts: accounts.collect() }
    }
}

impl AccountView {
    fn of(
        platform: &PlatformName,
        account: &AccountName,
        partition: u32,
        board: &Board,
        now: EpochMs,
    ) -> Self {
        let nothing = Known::default();
        let known = board.of(platform, account).unwrap_or(&nothing);
        let state = known.state.as_ref();
        let applied = state.and_then(|state| state.applied);
        let command = |given: &Option<Given>| {
            let Given { command, offset } = given.as_ref()?;
            Some(CommandView::of(command, *offset, applied >= Some(*offset)))
        };
        let time =
            |of: fn(&AccountState) -> Option<EpochMs>| state.and_then(of).map(EpochMs::to_rfc3339);
        let is_heard = |state: &AccountState| now.since(state.at) < SILENT_AFTER;
        Self {
            platform: platform.to_string(),
            account: account.to_string(),
            partition,
            state: state.map_or("unknown", |state| state.state.word()),
            since: time(|state| Some(state.since)),
            until: time(|state| state.until),
            parked: state.map(|state| state.parked),
            in_flight: state.map(|state| state.in_flight),
            per_second: state.and_then(|state| state.per_second),
            consecutive_failures: state.map(|state| state.consecutive_failures),
            oldest_parked_at: time(|state| state.oldest_parked_at),
            detail: state.and_then(|state| state.detail.clone()),
            owner: state.map(|state| state.owner.clone()),
            reported_at: time(|state| Some(state.at)),
            silent: !state.is_some_and(is_heard),
            last_command: command(&known.command),
            last_close_breaker: command(&known.closed),
        }
    }
}
