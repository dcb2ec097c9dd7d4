//! `GET /v1/accounts` and the commands to an account: pause, resume, close-breaker.
//!
//! Commands and states are records of the topic `accounts`. The API appends the ones and follows
//! the topic for both: what it answers is what every connector reads. It needs no store.

mod board;
mod command;
mod view;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use chat4all_eventlog::{Fed, Feed};
use chat4all_process::Shutdown;

pub(crate) use board::Accounts;
pub(crate) use command::{__path_close_breaker, __path_pause, __path_resume};
pub(crate) use command::{close_breaker, pause, resume};
pub(crate) use view::AccountList;

use crate::error_code::ErrorCode;
use crate::letters::parameters;
use crate::problem::Problem;
use crate::send_request::unknown_field;
use crate::shared::Shared;

/// List the accounts
///
/// Every configured account: how its connector says that it is, and what operators last wanted of
/// it.
#[utoipa::path(
    get,
    path = "/v1/accounts",
    operation_id = "list_accounts",
    tag = "accounts",
    responses((status = 200, description = "The accounts, by platform and name.",
        body = AccountList))
)]
pub(crate) async fn list_accounts(
    State(api): State<Arc<Shared>>,
    uri: Uri,
) -> Result<Json<AccountList>, Problem> {
    if let Some((name, _)) = parameters(&uri)?.first() {
        return Err(unknown_field(name, &[]));
    }
    let now = api.clock.now();
    let list = api.accounts.read(|board| AccountList::of(&api.platforms, board, now));
    list.map(Json).ok_or_else(|| Problem::of(ErrorCode::AccountsUnavailable))
}

/// Follows the topic until `shutdown`.
pub(crate) async fn follow(mut feed: Feed, accounts: &Accounts, shutdown: &Shutdown) {
    while let Some(fed) = shutdown.unless(feed.next()).await {
        match fed {
            Fed::Began => accounts.begin(),
            Fed::Records(records) => accounts.learn(&records),
            Fed::CaughtUp => accounts.caught_up(),
        }
    }
}
