//! `POST /v1/dead-letters/redrive`.
//!
//! One append a message, in its next life and with a new end of life. Messages of one conversation
//! are appended in the order of their acceptance, each once the one before is acknowledged; after
//! a failure the rest of that conversation is left for the next command.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use chat4all_contracts::{EpochMs, Generation, LetterId, Message};
use chat4all_store::letters::{LetterPlace, Verdict};
use futures::{StreamExt, stream};

use super::command::{AT_ONCE, Candidate, Command};
use super::command_view::{CommandView, Item, Outcome, Refusal};
use super::selection::CommandSchema;
use crate::deadline::Deadline;
use crate::problem::Problem;
use crate::shared::Shared;

/// What is to be done with one letter.
struct Step {
    place: LetterPlace,
    next: Result<Message, Refusal>,
}

/// Redrive dead letters
///
/// Sends messages that were given up once more, as the same messages: one append each, in their
/// next life. Messages of one conversation go in the order of their acceptance, behind whatever was
/// accepted meanwhile. A filter is a dry run unless dry_run is false. May be repeated: a letter
/// names the life that failed, so it begins the same next life however often it is redriven. A
/// message given up as `in_doubt` may have arrived, and may then arrive twice. 200 also if some
/// letters were refused or failed: see the results.
#[utoipa::path(
    post,
    path = "/v1/dead-letters/redrive",
    operation_id = "redrive_dead_letters",
    tag = "dead letters",
    request_body = CommandSchema,
    responses((status = 200, description = "What was done, or would be.", body = CommandView))
)]
pub(crate) async fn redrive_dead_letters(
    State(api): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<CommandView>, Problem> {
    let selection = api.selection(&headers, body, true).await?;
    let (candidates, next) = api.choose(&selection).await?;
    let default = Duration::from_secs(api.settings.default_lifetime_s.get());
    let expires_at = api.clock.now().plus(selection.lifetime.unwrap_or(default));
    let selected = candidates.len();
    let mut steps: Vec<Step> = candidates.into_iter().map(|of| plan(of, expires_at)).collect();
    // The order of acceptance, also for ids that were named in another one.
    steps.sort_by(|a, b| {
        (a.place.accepted_at, &a.place.id).cmp(&(b.place.accepted_at, &b.place.id))
    });
    if selection.dry_run {
        let items = steps.iter().map(|step| step.item(Outcome::WouldDo)).collect();
        return Ok(Json(CommandView::of(items, None, next)));
    }
    let command = api.begin("dead_letters.redrive", &selection, selected).await?;
    let items = api.redrive_all(steps, &command).await;
    api.end(&command, &items).await;
    Ok(Json(CommandView::of(items, Some(command.id().to_owned()), next)))
}

/// The message in its next life, or why there is none.
fn plan(of: Candidate, expires_at: EpochMs) -> Step {
    let refusal = of.refusal();
    let Some(open) = of.found else {
        // Of a letter that is not there nobody knows the time; it comes first.
        let place = LetterPlace { accepted_at: EpochMs::saturating(0), id: of.id };
        return Step { place, next: Err(Refusal::NotFound) };
    };
    let next = match (&of.id, refusal, open.message) {
        (_, Some(refusal), _) => Err(refusal),
        (LetterId::Message(_, life), None, Some(stored)) => {
            match Generation::new(u64::from(life.as_u32()) + 1) {
                Ok(generation) => Ok(Message { generation, expires_at, ..stored.message }),
                Err(_) => Err(Refusal::LastGeneration),
            }
        }
        _ => Err(Refusal::Unreadable),
    };
    Step { place: open.stored.letter.place(), next }
}

impl Step {
    /// What the answer says, if `outcome` is what happened to a message that may be redriven.
    fn item(&self, outcome: Outcome) -> Item {
        let id = self.place.id.clone();
        match &self.next {
            Ok(next) => Item { id, outcome, generation: Some(next.generation.as_u32()) },
            Err(refusal) => Item { id, outcome: Outcome::Refused(*refusal), generation: None },
        }
    }
}

impl Shared {
    /// Every conversation in its order, many conversations at once.
    async fn redrive_all(&self, steps: Vec<Step>, command: &Command) -> Vec<Item> {
        let mut conversations: BTreeMap<_, Vec<Step>> = BTreeMap::new();
        for step in steps {
            let conversation = step.next.as_ref().ok().map(|next| next.conversation_id.clone());
            conversations.entry(conversation).or_default().push(step);
        }
        let deadline = Deadline::after(self.settings.answer_timeout_ms.ms());
        let work = conversations
            .into_values()
            .map(|steps| self.redrive_in_order(steps, command, deadline));
        let items: Vec<Vec<Item>> = stream::iter(work).buffered(AT_ONCE).collect().await;
        items.into_iter().flatten().collect()
    }

    async fn redrive_in_order(
        &self,
        steps: Vec<Step>,
        command: &Command,
        deadline: Deadline,
    ) -> Vec<Item> {
        let mut items = Vec::new();
        let mut may_go_on = true;
        for step in steps {
            let outcome = match &step.next {
                Err(refusal) => Outcome::Refused(*refusal),
                Ok(_) if !may_go_on || deadline.is_over() => Outcome::NotTried,
                Ok(next) => self.redrive(next, &step.place, command, deadline).await,
            };
            may_go_on &= matches!(outcome, Outcome::Done | Outcome::Refused(_));
            items.push(step.item(outcome));
        }
        items
    }

    /// Once the append is acknowledged the message is redriven, whatever the store says: the
    /// status-consumer projects the same record, and the letter is then about a life that is over.
    async fn redrive(
        &self,
        next: &Message,
        letter: &LetterPlace,
        command: &Command,
        deadline: Deadline,
    ) -> Outcome {
        if let Err(problem) = self.append_message(next, None, deadline).await {
            return Outcome::Failed(problem.code());
        }
        self.project(next, deadline).await;
        if self.mark(letter, Verdict::Redriven, command).await.is_err() {
            let message_id = &next.message_id;
            tracing::warn!(%message_id, "redriven; who did it is not written to its letter");
        }
        Outcome::Done
    }
}
