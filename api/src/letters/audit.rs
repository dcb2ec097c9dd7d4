//! `GET /v1/audit`: what operators did.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use chat4all_contracts::EpochMs;
use chat4all_store::letters::{AuditPlace, AuditRecord};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::list::parameters;
use crate::cursor;
use crate::error_code::ErrorCode;
use crate::problem::Problem;
use crate::query::{DEFAULT_PAGE, limit_of};
use crate::send_request::unknown_field;
use crate::shared::Shared;

/// What a cursor of this list is good for.
const SCOPE: &str = "audit";

/// A part of operators' commands, newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditPage)]
pub(crate) struct AuditPageView {
    /// The commands.
    commands: Vec<AuditView>,
    /// Where the next page begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A command of an operator.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditRecord)]
pub(crate) struct AuditView {
    /// What names it.
    id: String,
    /// When it began, RFC 3339.
    #[schema(format = DateTime)]
    at: String,
    /// Who, in their own words.
    by: String,
    /// What: `dead_letters.redrive` or `dead_letters.discard`.
    #[schema(example = "dead_letters.redrive")]
    action: String,
    /// Why, in their own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// To what: the ids, or the filter.
    #[schema(value_type = Object)]
    selection: Value,
    /// How many were selected.
    selected: u32,
    /// To how many it was done; absent if the command was cut off or has not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<u32>,
}

impl From<AuditRecord> for AuditView {
    fn from(record: AuditRecord) -> Self {
        Self {
            id: record.id,
            at: record.at.to_rfc3339(),
            by: record.by,
            action: record.action,
            why: record.why,
            // Written by ourselves; what a later release may have written is shown as text.
            selection: serde_json::from_str(&record.selection)
                .unwrap_or(Value::String(record.selection)),
            selected: record.selected,
            done: record.done,
        }
    }
}

/// List operators' commands
///
/// Who redrove and who discarded what, newest first; kept for 400 days.
#[utoipa::path(
    get,
    path = "/v1/audit",
    operation_id = "list_audit",
    tag = "dead letters",
    params(
        ("limit" = Option<usize>, Query, description = "How many commands; by default 50.",
            minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "next_cursor of the previous page."),
    ),
    responses((status = 200, description = "A page of commands.", body = AuditPageView))
)]
pub(crate) async fn list_audit(
    State(api): State<Arc<Shared>>,
    uri: Uri,
) -> Result<Json<AuditPageView>, Problem> {
    // A millisecond ahead: this one is over by the time of the next page.
    let now = EpochMs::saturating(api.clock.now().as_ms() + 1);
    let (mut limit, mut before) = (DEFAULT_PAGE, AuditPlace { at: now, id: String::new() });
    for (name, value) in parameters(&uri)? {
        match name.as_str() {
            "limit" => limit = limit_of(&value)?,
            "cursor" => {
                let rule = "must be the next_cursor of a page of this list";
                let opened = cursor::open(SCOPE, &value);
                let (at, id) = opened
                    .ok_or_else(|| Problem::field(ErrorCode::InvalidCursor, "cursor", rule))?;
                before = AuditPlace { at, id };
            }
            _ => return Err(unknown_field(&name, &["limit", "cursor"])),
        }
    }
    // One more than asked for tells whether another page follows.
    let question = api.store.letters().audit(&api.tenant, &before, limit + 1);
    let mut records = api.ask_long(question).await?;
    let more = records.len() > limit;
    records.truncate(limit);
    let next = records.last().filter(|_| more);
    let next_cursor = next.map(|last| cursor::seal(SCOPE, last.at, &last.id));
    Ok(Json(AuditPageView {
        commands: records.into_iter().map(AuditView::from).collect(),
        next_cursor,
    }))
}
