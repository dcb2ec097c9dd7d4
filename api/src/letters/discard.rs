//! `POST /v1/dead-letters/discard`.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use chat4all_store::letters::Verdict;
use futures::{StreamExt, stream};

use super::command::{AT_ONCE, Candidate, Command};
use super::command_view::{CommandView, Item, Outcome};
use super::selection::CommandSchema;
use crate::problem::Problem;
use crate::shared::Shared;

/// Discard dead letters
///
/// A discarded letter is no longer listed and cannot be redriven. Its message stays FAILED. A
/// filter is a dry run unless dry_run is false. May be repeated. 200 also if some letters were
/// refused or failed: see the results.
#[utoipa::path(
    post,
    path = "/v1/dead-letters/discard",
    operation_id = "discard_dead_letters",
    tag = "dead letters",
    request_body = CommandSchema,
    responses((status = 200, description = "What was done, or would be.", body = CommandView))
)]
pub(crate) async fn discard_dead_letters(
    State(api): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<CommandView>, Problem> {
    let selection = api.selection(&headers, body, false).await?;
    let (candidates, next) = api.choose(&selection).await?;
    let planned: Vec<Item> = candidates.iter().map(plan).collect();
    if selection.dry_run {
        return Ok(Json(CommandView::of(planned, None, next)));
    }
    let command = api.begin("dead_letters.discard", &selection, candidates.len()).await?;
    let work = candidates.into_iter().zip(planned);
    let work = work.map(|(of, item)| api.discard(of, item, &command));
    let items: Vec<Item> = stream::iter(work).buffered(AT_ONCE).collect().await;
    api.end(&command, &items).await;
    Ok(Json(CommandView::of(items, Some(command.id().to_owned()), next)))
}

fn plan(of: &Candidate) -> Item {
    let outcome = of.refusal().map_or(Outcome::WouldDo, Outcome::Refused);
    Item { id: of.id.clone(), outcome, generation: None }
}

impl Shared {
    async fn discard(&self, of: Candidate, item: Item, command: &Command) -> Item {
        let (Outcome::WouldDo, Some(open)) = (item.outcome, of.found) else { return item };
        let place = open.stored.letter.place();
        let outcome = match self.mark(&place, Verdict::Discarded, command).await {
            Ok(()) => Outcome::Done,
            Err(problem) => Outcome::Failed(problem.code()),
        };
        Item { outcome, ..item }
    }
}
