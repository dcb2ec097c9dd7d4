//! `GET /v1/messages/{message_id}` and `GET /v1/conversations/{conversation_id}/messages`.
//!
//! While the store is away the answer is 503; 404 is only for what was never accepted (I1).

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use chat4all_contracts::fields::Rule;
use chat4all_contracts::{ConversationId, MessageId};
use chat4all_store::Cursor;
use serde::Serialize;
use utoipa::ToSchema;

use crate::cursor;
use crate::deadline::Deadline;
use crate::error_code::ErrorCode;
use crate::letters::parameters;
use crate::problem::Problem;
use crate::send_request::unknown_field;
use crate::shared::Shared;
use crate::view::MessageView;

/// The most messages of one page.
pub const MAX_PAGE: usize = 100;

/// The messages of a page that names no limit.
pub(crate) const DEFAULT_PAGE: usize = 50;

/// A part of a conversation, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessagePage {
    /// The messages.
    messages: Vec<MessageView>,
    /// Where the next page begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

pub(crate) type PathText = Result<Path<String>, PathRejection>;

/// Checks the one parameter of a path. The rejection's own text is not passed on: it may quote.
pub(crate) fn in_path<T>(
    path: PathText,
    field: &'static str,
    parse: impl FnOnce(&str) -> Result<T, Rule>,
) -> Result<T, Problem> {
    let Ok(Path(text)) = path else {
        return Err(Problem::invalid(field, Rule::new("must be percent-encoded UTF-8")));
    };
    parse(&text).map_err(|rule| Problem::invalid(field, rule))
}

/// Query a message
///
/// Tells what became of a message. A message is found from the moment its 202 was sent.
#[utoipa::path(
    get,
    path = "/v1/messages/{message_id}",
    operation_id = "get_message",
    tag = "messages",
    params(("message_id" = String, Path, description = "The message.",
        min_length = 1, max_length = 128)),
    responses((status = 200, description = "The message.", body = MessageView))
)]
pub(crate) async fn get_message(
    State(api): State<Arc<Shared>>,
    path: PathText,
) -> Result<Json<MessageView>, Problem> {
    let id = in_path(path, "message_id", MessageId::new)?;
    let deadline = Deadline::after(api.settings.answer_timeout_ms.ms());
    let question = api.store.message(&api.tenant, &id);
    match deadline.ask(api.settings.store_timeout_ms.ms(), question).await {
        Ok(Some(stored)) => {
            api.unprojected.forget(&id);
            Ok(Json(MessageView::of(stored, &api.platforms, &api.simulated)))
        }
        Ok(None) if api.unprojected.contains(&id) => {
            Err(Problem::of(ErrorCode::StoreUnavailable).about(&id))
        }
        Ok(None) => Err(Problem::of(ErrorCode::MessageNotFound)),
        Err(error) => Err(api.store_problem(&error, Some(&id))),
    }
}

/// List a conversation
///
/// The messages of a conversation, newest first. A conversation without messages is an empty list.
#[utoipa::path(
    get,
    path = "/v1/conversations/{conversation_id}/messages",
    operation_id = "list_messages",
    tag = "messages",
    params(
        ("conversation_id" = String, Path, description = "The conversation.",
            min_length = 1, max_length = 128),
        ("limit" = Option<usize>, Query, description = "How many messages; by default 50.",
            minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "next_cursor of the previous page."),
    ),
    responses((status = 200, description = "A page of messages.", body = MessagePage))
)]
pub(crate) async fn list_messages(
    State(api): State<Arc<Shared>>,
    path: PathText,
    uri: Uri,
) -> Result<Json<MessagePage>, Problem> {
    let conversation = in_path(path, "conversation_id", ConversationId::new)?;
    let (limit, after) = page_of(&conversation, &uri)?;
    let deadline = Deadline::after(api.settings.answer_timeout_ms.ms());
    let question = api.store.page(&api.tenant, &conversation, after.as_ref(), limit);
    let page = deadline
        .ask(api.settings.store_timeout_ms.ms(), question)
        .await
        .map_err(|error| api.store_problem(&error, None))?;
    let view = |stored| MessageView::of(stored, &api.platforms, &api.simulated);
    Ok(Json(MessagePage {
        messages: page.messages.into_iter().map(view).collect(),
        next_cursor: page.next.as_ref().map(|next| cursor::encode(&conversation, next)),
    }))
}

/// Reads how much a page may hold.
pub(crate) fn limit_of(text: &str) -> Result<usize, Problem> {
    let rule = || Rule::new("must be a whole number, 1 to 100");
    let number = text.parse().ok().filter(|n| (1..=MAX_PAGE).contains(n));
    number.ok_or_else(|| Problem::invalid("limit", rule()))
}

fn page_of(conversation: &ConversationId, uri: &Uri) -> Result<(usize, Option<Cursor>), Problem> {
    let (mut limit, mut after) = (DEFAULT_PAGE, None);
    for (name, value) in &parameters(uri)? {
        match name.as_str() {
            "limit" => limit = limit_of(value)?,
            "cursor" => {
                let rule = "must be the next_cursor of a page of this conversation";
                after = Some(
                    cursor::decode(conversation, value)
                        .ok_or_else(|| Problem::field(ErrorCode::InvalidCursor, "cursor", rule))?,
                );
            }
            name => return Err(unknown_field(name, &["limit", "cursor"])),
        }
    }
    Ok((limit, after))
}
