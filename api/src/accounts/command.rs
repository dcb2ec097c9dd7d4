//! Commands to an account: checked, appended, and answered 202 once the log has them. Giving one
//! twice changes nothing.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chat4all_contracts::event::{UNKNOWN_OPERATOR, operator_name, operator_reason};
use chat4all_contracts::fields::{Fields, Rule, parse_object};
use chat4all_contracts::{AccountCommand, AccountName, AccountOrder, PlatformName};
use chat4all_eventlog::{append, topology};
use serde::Serialize;
use utoipa::ToSchema;

use super::view::CommandView;
use crate::body::read_json;
use crate::deadline::Deadline;
use crate::error_code::ErrorCode;
use crate::problem::Problem;
use crate::send_request::unknown_field;
use crate::shared::Shared;

/// The fields of the body.
const FIELDS: [&str; 2] = ["by", "reason"];

/// Who gives a command, and why. Both are shown to every operator.
#[derive(ToSchema)]
#[allow(dead_code)] // the schema of the body; `read` reads it, for errors that name the field
pub(crate) struct CommandBody {
    /// Who: by default unknown.
    #[schema(min_length = 1, max_length = 64, example = "maria")]
    by: Option<String>,
    /// Why.
    #[schema(min_length = 1, max_length = 256, example = "the number is being moved")]
    reason: Option<String>,
}

/// A command that is in the log.
#[derive(Serialize, ToSchema)]
pub(crate) struct Commanded {
    /// The platform.
    platform: String,
    /// The account.
    account: String,
    /// The command.
    #[serde(flatten)]
    command: CommandView,
}

type AccountPath = Result<Path<(String, String)>, PathRejection>;

/// Pause an account
///
/// No further call starts: messages wait, in order, and none of their attempts is counted; a
/// message whose life ends meanwhile fails as expired. It lasts until the account is resumed,
/// through restarts of everything. 202 means that the command is in the log; the account's
/// last_command shows when its connector follows it.
#[utoipa::path(
    post,
    path = "/v1/accounts/{platform}/{account}/pause",
    operation_id = "pause_account",
    tag = "accounts",
    params(("platform" = String, Path, description = "The platform."),
        ("account" = String, Path, description = "The account.")),
    request_body = CommandBody,
    responses((status = 202, description = "The command is durable.", body = Commanded))
)]
pub(crate) async fn pause(
    State(api): State<Arc<Shared>>,
    path: AccountPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    api.command(path, AccountOrder::Pause, &headers, body).await
}

/// Resume an account
///
/// What has waited goes on in its order, at the account's pace. Resuming an account that is not
/// paused changes nothing.
#[utoipa::path(
    post,
    path = "/v1/accounts/{platform}/{account}/resume",
    operation_id = "resume_account",
    tag = "accounts",
    params(("platform" = String, Path, description = "The platform."),
        ("account" = String, Path, description = "The account.")),
    request_body = CommandBody,
    responses((status = 202, description = "The command is durable.", body = Commanded))
)]
pub(crate) async fn resume(
    State(api): State<Arc<Shared>>,
    path: AccountPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    api.command(path, AccountOrder::Resume, &headers, body).await
}

/// Close an account's breaker
///
/// Does not wait for an open circuit breaker, or for the time that a refused account is left alone:
/// the next message is tried now, and if that works, the others follow. It is for once: it does not
/// keep the breaker from opening again, and does not resume a paused account.
#[utoipa::path(
    post,
    path = "/v1/accounts/{platform}/{account}/close-breaker",
    operation_id = "close_breaker",
    tag = "accounts",
    params(("platform" = String, Path, description = "The platform."),
        ("account" = String, Path, description = "The account.")),
    request_body = CommandBody,
    responses((status = 202, description = "The command is durable.", body = Commanded))
)]
pub(crate) async fn close_breaker(
    State(api): State<Arc<Shared>>,
    path: AccountPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    api.command(path, AccountOrder::CloseBreaker, &headers, body).await
}

impl Shared {
    async fn command(
        &self,
        path: AccountPath,
        order: AccountOrder,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Response, Problem> {
        if self.stopping.is_triggered() {
            return Err(Problem::of(ErrorCode::Stopping));
        }
        let (platform, account) = self.account_in(path)?;
        let body = read_json(headers, body, self.settings.body_timeout_ms.ms()).await?;
        let deadline = Deadline::after(self.settings.answer_timeout_ms.ms());
        let (by, reason) = read(&body)?;
        let at = self.clock.now();
        let command = AccountCommand { platform, account, command: order, at, by, reason };
        let offset = self.append_command(&command, deadline).await?;
        let answer = Commanded {
            platform: command.platform.to_string(),
            account: command.account.to_string(),
            command: CommandView::of(&command, offset, false),
        };
        Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
    }

    /// The account that a path names, which must be configured.
    fn account_in(&self, path: AccountPath) -> Result<(PlatformName, AccountName), Problem> {
        let Ok(Path((platform, account))) = path else {
            let rule = Rule::new("must be percent-encoded UTF-8");
            return Err(Problem::invalid("account", rule));
        };
        let unknown = |field, names: String| {
            let rule = format!("must be one of: {names}");
            Problem::field(ErrorCode::AccountNotFound, field, rule)
        };
        let (platform, spec) = self
            .platforms
            .get(&platform)
            .ok_or_else(|| unknown("platform", self.platforms.names()))?;
        let named = AccountName::new(&account).ok();
        let found = named.as_ref().and_then(|name| spec.accounts.get_key_value(name));
        let names = || spec.accounts.keys().map(AccountName::as_str).collect::<Vec<_>>().join(", ");
        let (account, _) = found.ok_or_else(|| unknown("account", names()))?;
        Ok((platform.clone(), account.clone()))
    }

    async fn append_command(
        &self,
        command: &AccountCommand,
        deadline: Deadline,
    ) -> Result<u64, Problem> {
        let end = deadline.end_of(self.settings.append_timeout_ms.ms());
        let appended = append(&*self.commands, topology::account_command(command));
        let why = match tokio::time::timeout_at(end, appended).await {
            Ok(Ok(position)) => return Ok(position.offset),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no acknowledgement in time".to_owned(),
        };
        let (account, command) = (&command.account, command.command.word());
        tracing::warn!(%account, command, why, "a command was not appended");
        Err(Problem::of(ErrorCode::CommandUnknown))
    }
}

fn read(body: &[u8]) -> Result<(String, Option<String>), Problem> {
    let map = parse_object(body)?;
    if let Some(name) = map.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(unknown_field(name, &FIELDS));
    }
    let fields = Fields::new(&map);
    let by = fields.optional("by", operator_name)?;
    let by = by.unwrap_or_else(|| UNKNOWN_OPERATOR.to_owned());
    Ok((by, fields.optional("reason", operator_reason)?))
}
