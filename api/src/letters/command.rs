//! What both commands do: find the letters, write down who does what before anything is done, and
//! what came of it afterwards.

use axum::body::Body;
use axum::http::HeaderMap;
use chat4all_contracts::LetterId;
use chat4all_store::letters::{
    AUDIT_KEPT, AuditRecord, LETTERS_KEPT, LetterPlace, Mark, OpenLetter, Standing, Verdict,
    message_of, open_letters, standing,
};
use futures::{StreamExt, TryStreamExt, stream};

use super::command_view::{Item, Outcome, Refusal};
use super::list::{cursor_behind, place_in};
use super::selection::{Chosen, Selection};
use crate::body::read_json;
use crate::error_code::ErrorCode;
use crate::problem::Problem;
use crate::shared::Shared;

/// The most letters or conversations that one command works at at once.
pub(super) const AT_ONCE: usize = 16;

/// A letter that was chosen; one of an id may not be there.
pub(super) struct Candidate {
    pub id: LetterId,
    pub found: Option<OpenLetter>,
}

impl Candidate {
    /// Why no command can do anything with it, if so.
    pub fn refusal(&self) -> Option<Refusal> {
        let Some(open) = &self.found else { return Some(Refusal::NotFound) };
        match standing(&open.stored, open.message.as_ref()) {
            Standing::Open => None,
            other => Some(Refusal::Standing(other)),
        }
    }
}

/// A command under way.
pub(super) struct Command {
    record: AuditRecord,
}

impl Command {
    /// The record's id.
    pub fn id(&self) -> &str {
        &self.record.id
    }
}

impl Shared {
    /// Reads a command's body.
    pub(super) async fn selection(
        &self,
        headers: &HeaderMap,
        body: Body,
        may_expire: bool,
    ) -> Result<Selection, Problem> {
        if self.stopping.is_triggered() {
            return Err(Problem::of(ErrorCode::Stopping));
        }
        let body = read_json(headers, body, self.settings.body_timeout_ms.ms()).await?;
        Selection::parse(&body, may_expire)
    }

    /// The letters that a command is about, and where those of a filter go on.
    pub(super) async fn choose(
        &self,
        selection: &Selection,
    ) -> Result<(Vec<Candidate>, Option<String>), Problem> {
        match &selection.chosen {
            Chosen::Ids(ids) => {
                let candidates = stream::iter(ids.clone()).map(|id| self.candidate(id));
                let candidates = candidates.buffered(AT_ONCE).try_collect();
                Ok((self.ask_long(candidates).await?, None))
            }
            Chosen::Filter(filter) => {
                let after = selection.cursor.as_deref();
                let after = after.map(|text| place_in(filter, text)).transpose()?;
                let (wanted, limit) = (filter.at(self.clock.now()), selection.limit);
                let page = open_letters(&*self.store, &self.tenant, &wanted, after.as_ref(), limit);
                let page = self.ask_long(page).await?;
                let candidate = |open: OpenLetter| Candidate {
                    id: open.stored.letter.id.clone(),
                    found: Some(open),
                };
                let next = page.next.as_ref().map(|place| cursor_behind(filter, place));
                Ok((page.letters.into_iter().map(candidate).collect(), next))
            }
        }
    }

    async fn candidate(&self, id: LetterId) -> Result<Candidate, chat4all_store::StoreError> {
        let Some(stored) = self.store.letters().letter(&self.tenant, &id).await? else {
            return Ok(Candidate { id, found: None });
        };
        let message = message_of(&*self.store, &self.tenant, &id).await?;
        Ok(Candidate { id, found: Some(OpenLetter { stored, message }) })
    }

    /// Writes down who does what. Nothing may be done before.
    pub(super) async fn begin(
        &self,
        action: &str,
        selection: &Selection,
        selected: usize,
    ) -> Result<Command, Problem> {
        let at = self.clock.now();
        let record = AuditRecord {
            at,
            id: self.random.message_id(at).to_string(),
            by: selection.by.clone(),
            action: action.to_owned(),
            why: selection.why.clone(),
            selection: selection.as_json().to_string(),
            selected: u32::try_from(selected).unwrap_or(u32::MAX),
            done: None,
        };
        let written = self.store.letters().put_audit(&self.tenant, &record, AUDIT_KEPT);
        self.ask_long(written).await?;
        Ok(Command { record })
    }

    /// Writes down what came of it. What was done is done: a store that is away now leaves a
    /// record without an end.
    pub(super) async fn end(&self, command: &Command, items: &[Item]) {
        let done = items.iter().filter(|item| item.outcome == Outcome::Done).count();
        let done = u32::try_from(done).unwrap_or(u32::MAX);
        let AuditRecord { id, by, action, .. } = &command.record;
        tracing::info!(audit_id = %id, by, action, done, "an operator's command");
        let record = AuditRecord { done: Some(done), ..command.record.clone() };
        let written = self.store.letters().put_audit(&self.tenant, &record, AUDIT_KEPT);
        if self.ask_long(written).await.is_err() {
            tracing::warn!(audit_id = %id, done, "the end of a command could not be recorded");
        }
    }

    /// Writes to a letter what was done with it.
    pub(super) async fn mark(
        &self,
        at: &LetterPlace,
        verdict: Verdict,
        command: &Command,
    ) -> Result<(), Problem> {
        let AuditRecord { by, why, id, .. } = command.record.clone();
        let mark = Mark { at: self.clock.now(), by, why, audit_id: id };
        let letters = self.store.letters();
        let written = letters.mark_letter(&self.tenant, at, verdict, &mark, LETTERS_KEPT);
        self.ask_long(written).await
    }
}
