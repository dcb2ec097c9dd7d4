//! `GET /v1/dead-letters` and `GET /v1/dead-letters/{letter_id}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::Uri;
use chat4all_contracts::LetterId;
use chat4all_contracts::fields::Rule;
use chat4all_store::StoreError;
use chat4all_store::letters::{LetterPlace, message_of, open_letters};
use serde::Serialize;
use utoipa::ToSchema;

use super::filter::{self, Filter};
use super::view::LetterView;
use crate::cursor;
use crate::deadline::Deadline;
use crate::error_code::ErrorCode;
use crate::problem::Problem;
use crate::query::{DEFAULT_PAGE, PathText, in_path, limit_of};
use crate::send_request::unknown_field;
use crate::shared::Shared;

/// A part of the open dead letters, those whose messages were accepted first.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetterPage)]
pub(crate) struct LetterPageView {
    /// The letters. May be few, or none, although more follow.
    dead_letters: Vec<LetterView>,
    /// Where the next page begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// The parameters of a query, each at most once: of two that differ, one would be ignored. The
/// rejection's own text is not passed on: it may quote.
pub(crate) fn parameters(uri: &Uri) -> Result<Vec<(String, String)>, Problem> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|_| Problem::invalid("query", Rule::new("must be name=value pairs")))?;
    let mut names: Vec<&str> = pairs.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Problem::invalid("query", Rule::new("must have each parameter only once")));
    }
    Ok(pairs)
}

/// The cursor behind a letter, good for one filter.
pub(super) fn cursor_behind(filter: &Filter, place: &LetterPlace) -> String {
    cursor::seal(&scope(filter), place.accepted_at, &place.id.to_string())
}

/// Reads a cursor of this filter.
pub(super) fn place_in(filter: &Filter, text: &str) -> Result<LetterPlace, Problem> {
    let rule = "must be the next_cursor of an answer to the same filter";
    let opened = || {
        let (accepted_at, id) = cursor::open(&scope(filter), text)?;
        Some(LetterPlace { accepted_at, id: LetterId::parse(&id).ok()? })
    };
    opened().ok_or_else(|| Problem::field(ErrorCode::InvalidCursor, "cursor", rule))
}

fn scope(filter: &Filter) -> String {
    format!("dead letters {}", filter.as_json())
}

/// List dead letters
///
/// What was given up and waits for an operator: messages that are FAILED, as long as they are, and
/// records that nobody could read. Oldest acceptance first. Never shows content. One call looks at
/// 2,000 letters at most, so a page may be short although it has a next_cursor.
#[utoipa::path(
    get,
    path = "/v1/dead-letters",
    operation_id = "list_dead_letters",
    tag = "dead letters",
    params(
        ("platform" = Option<String>, Query, description = "The platform."),
        ("account" = Option<String>, Query, description = "The account."),
        ("reason" = Option<String>, Query, description = "Why it was given up."),
        ("conversation_id" = Option<String>, Query, description = "The conversation."),
        ("older_than" = Option<String>, Query, description =
            "Accepted longer ago than this: a whole number with s, m, h or d, such as 15m."),
        ("newer_than" = Option<String>, Query, description =
            "Accepted since this long ago, such as 24h."),
        ("limit" = Option<usize>, Query, description = "How many letters; by default 50.",
            minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "next_cursor of the previous page."),
    ),
    responses((status = 200, description = "A page of letters.", body = LetterPageView))
)]
pub(crate) async fn list_dead_letters(
    State(api): State<Arc<Shared>>,
    uri: Uri,
) -> Result<Json<LetterPageView>, Problem> {
    let (mut filter, mut limit, mut cursor) = (Filter::default(), DEFAULT_PAGE, None);
    for (name, value) in parameters(&uri)? {
        match name.as_str() {
            "limit" => limit = limit_of(&value)?,
            "cursor" => cursor = Some(value),
            _ if filter.set(&name, &value)? => {}
            _ => {
                let known = [&filter::FIELDS[..], &["limit", "cursor"]].concat();
                return Err(unknown_field(&name, &known));
            }
        }
    }
    let after = cursor.map(|text| place_in(&filter, &text)).transpose()?;
    let wanted = filter.at(api.clock.now());
    let question = open_letters(&*api.store, &api.tenant, &wanted, after.as_ref(), limit);
    let page = api.ask_long(question).await?;
    let view = |open: chat4all_store::letters::OpenLetter| {
        LetterView::of(open.stored, open.message.as_ref()).in_list()
    };
    Ok(Json(LetterPageView {
        dead_letters: page.letters.into_iter().map(view).collect(),
        next_cursor: page.next.as_ref().map(|place| cursor_behind(&filter, place)),
    }))
}

impl Shared {
    /// A question that looks at many rows may take as long as a request.
    pub(crate) async fn ask_long<T>(
        &self,
        question: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, Problem> {
        let all = self.settings.answer_timeout_ms.ms();
        let answer = Deadline::after(all).ask(all, question).await;
        answer.map_err(|error| self.store_problem(&error, None))
    }
}

/// Show a dead letter
///
/// A letter whatever became of it, with what operators did. Its content only if asked for: it is
/// personal data.
#[utoipa::path(
    get,
    path = "/v1/dead-letters/{letter_id}",
    operation_id = "get_dead_letter",
    tag = "dead letters",
    params(
        ("letter_id" = String, Path, description = "The letter's id."),
        ("content" = Option<bool>, Query, description =
            "Whether to show the message's text, or the record; by default false."),
    ),
    responses((status = 200, description = "The letter.", body = LetterView))
)]
pub(crate) async fn get_dead_letter(
    State(api): State<Arc<Shared>>,
    path: PathText,
    uri: Uri,
) -> Result<Json<LetterView>, Problem> {
    let id = in_path(path, "letter_id", LetterId::parse)?;
    let mut content = false;
    for (name, value) in parameters(&uri)? {
        content = match (name.as_str(), value.as_str()) {
            ("content", "true") => true,
            ("content", "false") => false,
            ("content", _) => {
                return Err(Problem::invalid("content", Rule::new("must be true or false")));
            }
            _ => return Err(unknown_field(&name, &["content"])),
        };
    }
    let letters = api.store.letters();
    let question = async {
        let Some(stored) = letters.letter(&api.tenant, &id).await? else { return Ok(None) };
        let message = message_of(&*api.store, &api.tenant, &id).await?;
        let raw = if content { letters.letter_raw(&api.tenant, &id).await? } else { None };
        Ok(Some((stored, message, raw)))
    };
    let Some((stored, message, raw)) = api.ask_long(question).await? else {
        return Err(Problem::of(ErrorCode::LetterNotFound));
    };
    let view = LetterView::of(stored, message.as_ref());
    Ok(Json(if content { view.with_content(message, raw) } else { view }))
}
