//! Dead letters as an operator works with them, and the records of what operators did.
//!
//! [`LetterStore`] is the port: rows and cells, no decision. What a letter stands for, which are
//! listed and which may be redriven is decided here, once, for every adapter ([`standing`],
//! [`open_letters`]).
//!
//! Letters are kept in the order in which their messages were accepted, oldest first, so that
//! whoever redrives page by page keeps the order of every conversation. A letter of a message holds
//! no content: that is in the message's row.

use std::fmt;
use std::time::Duration;

use chat4all_contracts::{
    AccountName, ConversationId, DeadLetter, EpochMs, LetterId, MessageId, PlatformName, Reason,
    Status, StatusUpdate, VendorText,
};
use futures::{StreamExt, TryStreamExt, stream};

use crate::port::Answer;
use crate::{MessageStore, StoreError, StoredMessage, Tenant};

/// How long a letter is kept after it was projected: 30 days.
pub const LETTERS_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How long the record of an operator's command is kept: 400 days.
pub const AUDIT_KEPT: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// The most bytes of an unreadable record that are kept; the rest is in the log.
pub const MAX_RAW_KEPT: usize = 64 * 1024;

/// The most bytes of [`Letter::detail`].
pub const MAX_DETAIL: usize = 1_024;

/// The most letters that one call looks at, listed or not (I7).
pub const MAX_EXAMINED: usize = 2_000;

/// The letters of one step of a list.
const STEP: usize = 200;

/// The most messages that one list asks for at once.
const LOOKUPS: usize = 32;

/// What a dead letter says, without the record itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Letter {
    /// What names it.
    pub id: LetterId,
    /// Where its record was read from.
    pub topic: String,
    /// The partition there.
    pub partition: u32,
    /// The offset there.
    pub offset: u64,
    /// A stable word: `unreadable`, or a [`chat4all_contracts::Reason`].
    pub reason: String,
    /// The field and rule, or what the platform said: its code, then its words behind `: `, which
    /// are personal data. At most [`MAX_DETAIL`] bytes.
    pub detail: String,
    /// The platform.
    pub platform: Option<PlatformName>,
    /// The account that the message was to go out from.
    pub account: Option<AccountName>,
    /// The conversation.
    pub conversation_id: Option<ConversationId>,
    /// When the message was accepted, or when the unreadable record was written.
    pub accepted_at: EpochMs,
    /// When it was given up.
    pub given_up_at: EpochMs,
    /// How many calls were made.
    pub attempts: Option<u32>,
}

impl Letter {
    /// What an event says; `recorded_at` is its record's timestamp, for events of older releases.
    pub fn of(event: &DeadLetter, recorded_at: EpochMs) -> Self {
        Self {
            id: event.id(),
            topic: event.topic.clone(),
            partition: event.partition,
            offset: event.offset,
            reason: event.reason.clone(),
            detail: short(event.detail.clone()),
            platform: event.platform.clone(),
            account: event.account.clone(),
            conversation_id: event.conversation_id.clone(),
            accepted_at: event.accepted_at.unwrap_or(recorded_at),
            given_up_at: event.given_up_at.unwrap_or(recorded_at),
            attempts: event.attempts,
        }
    }

    /// Its place in the order of letters.
    pub fn place(&self) -> LetterPlace {
        LetterPlace { accepted_at: self.accepted_at, id: self.id.clone() }
    }
}

fn short(mut detail: String) -> String {
    detail.truncate(detail.floor_char_boundary(MAX_DETAIL));
    detail
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter")
            .field("id", &self.id)
            .field("reason", &self.reason)
            .field("accepted_at", &self.accepted_at)
            .field("given_up_at", &self.given_up_at)
            .finish_non_exhaustive()
    }
}

/// A place in the order of letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterPlace {
    /// [`Letter::accepted_at`].
    pub accepted_at: EpochMs,
    /// Of equal times the lesser text, by its bytes, comes first.
    pub id: LetterId,
}

/// What an operator did with a letter. Each is a cell of its own; the first one stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not to be delivered any more.
    Discarded,
    /// Its message was appended again, in its next life.
    Redriven,
}

/// Who did it, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When.
    pub at: EpochMs,
    /// Who, in their own words.
    pub by: String,
    /// Why, in their own words.
    pub why: Option<String>,
    /// The record of the command ([`AuditRecord::id`]).
    pub audit_id: String,
}

/// A letter with what operators did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLetter {
    /// The letter.
    pub letter: Letter,
    /// Whether it was discarded.
    pub discarded: Option<Mark>,
    /// Whether its message was redriven.
    pub redriven: Option<Mark>,
}

/// The times of acceptance that a list is about: from `from` on, and before `before`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LetterSpan {
    /// The first one.
    pub from: EpochMs,
    /// The first one that is too late.
    pub before: EpochMs,
}

impl Default for LetterSpan {
    /// All of time.
    fn default() -> Self {
        Self { from: EpochMs::saturating(0), before: EpochMs::MAX }
    }
}

/// A command of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// When it began.
    pub at: EpochMs,
    /// What names it.
    pub id: String,
    /// Who, in their own words.
    pub by: String,
    /// What was done: a stable word.
    pub action: String,
    /// Why, in their own words.
    pub why: Option<String>,
    /// What it was done to, as JSON: ids or a filter.
    pub selection: String,
    /// How many were selected.
    pub selected: u32,
    /// How many it was done to. `None` if the command has not ended, or was cut off.
    pub done: Option<u32>,
}

/// A place in the order of commands: those before it follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPlace {
    /// [`AuditRecord::at`].
    pub at: EpochMs,
    /// [`AuditRecord::id`].
    pub id: String,
}

/// The part of the store that holds letters and commands. Every write may be repeated.
pub trait LetterStore: Send + Sync {
    /// Writes a letter, kept for `keep` after `now`. Where there is one of this id, that with the
    /// earlier `given_up_at` stays. `raw` is the record, if nothing else holds it.
    fn put_letter<'a>(
        &'a self,
        tenant: &'a Tenant,
        letter: &'a Letter,
        raw: Option<&'a [u8]>,
        now: EpochMs,
        keep: Duration,
    ) -> Answer<'a, ()>;

    /// A letter, whatever became of it.
    fn letter<'a>(
        &'a self,
        tenant: &'a Tenant,
        id: &'a LetterId,
    ) -> Answer<'a, Option<StoredLetter>>;

    /// The record that was written with a letter.
    fn letter_raw<'a>(
        &'a self,
        tenant: &'a Tenant,
        id: &'a LetterId,
    ) -> Answer<'a, Option<Vec<u8>>>;

    /// Up to `limit` (at least 1) letters of a span, whatever became of them, oldest first, behind
    /// `after`. Fewer than `limit` only at the end.
    fn letters_in_order<'a>(
        &'a self,
        tenant: &'a Tenant,
        span: LetterSpan,
        after: Option<&'a LetterPlace>,
        limit: usize,
    ) -> Answer<'a, Vec<StoredLetter>>;

    /// Writes what was done with the letter at a place, kept for as long as the letter or for `keep`.
    /// The first one of its kind stays. A letter that is not there stays away.
    fn mark_letter<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a LetterPlace,
        verdict: Verdict,
        mark: &'a Mark,
        keep: Duration,
    ) -> Answer<'a, ()>;

    /// Writes a command, kept for `keep` after its time; of two with one time and id the last one
    /// stays.
    fn put_audit<'a>(
        &'a self,
        tenant: &'a Tenant,
        record: &'a AuditRecord,
        keep: Duration,
    ) -> Answer<'a, ()>;

    /// Up to `limit` (at least 1) commands before a place, newest first. Fewer than `limit` only at
    /// the end.
    fn audit<'a>(
        &'a self,
        tenant: &'a Tenant,
        before: &'a AuditPlace,
        limit: usize,
    ) -> Answer<'a, Vec<AuditRecord>>;
}

/// A dead letter: what it says, and its record if no message's row holds the content.
///
/// # Errors
/// As the store; repeat the whole call then.
pub async fn project_letter(
    store: &dyn MessageStore,
    tenant: &Tenant,
    event: &DeadLetter,
    recorded_at: EpochMs,
    now: EpochMs,
) -> Result<(), StoreError> {
    let letter = Letter::of(event, recorded_at);
    let kept = event.raw.get(..MAX_RAW_KEPT).unwrap_or(&event.raw);
    let raw = matches!(letter.id, LetterId::Record(..)).then_some(kept);
    store.letters().put_letter(tenant, &letter, raw, now, LETTERS_KEPT).await
}

/// A status: if it says FAILED, whoever said so, there is a letter about it, also where nobody
/// wrote one: a message that could not be routed, that was lost, that the platform rejected later.
/// Of a status that does not name its row there is none.
///
/// # Errors
/// As the store; repeat the whole call then.
pub async fn project_failure(
    store: &dyn MessageStore,
    tenant: &Tenant,
    update: &StatusUpdate,
    (topic, partition, offset): (&str, u32, u64),
    now: EpochMs,
) -> Result<(), StoreError> {
    let (Status::Failed, Some(conversation_id), Some(accepted_at)) =
        (update.status, &update.conversation_id, update.accepted_at)
    else {
        return Ok(());
    };
    let words =
        [update.vendor_code.as_deref(), update.vendor_text.as_ref().map(VendorText::as_str)];
    let words: Vec<&str> = words.into_iter().flatten().collect();
    let letter = Letter {
        id: LetterId::Message(update.message_id.clone(), update.generation),
        topic: topic.to_owned(),
        partition,
        offset,
        reason: update.reason.unwrap_or(Reason::Unspecified).word().to_owned(),
        detail: short(words.join(": ")),
        platform: update.platform.clone(),
        account: update.account.clone(),
        conversation_id: Some(conversation_id.clone()),
        accepted_at,
        // A moment later, so that a letter by whoever gave up, which tells more, is the first.
        given_up_at: update.timestamp.plus(Duration::from_millis(1)),
        attempts: update.attempt,
    };
    store.letters().put_letter(tenant, &letter, None, now, LETTERS_KEPT).await
}

/// What a letter stands for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It waits for an operator: an unreadable record, or a message that is FAILED in the life
    /// that the letter is about.
    Open,
    /// An operator discarded it.
    Discarded,
    /// Its message has begun a later life.
    Redriven,
    /// Its message has not failed (any more): a late receipt, or the letter's FAILED is still on
    /// its way.
    NotFailed(Status),
    /// The store does not hold the message in this life: the projection is behind, or the record
    /// never came through the API.
    NoMessage,
}

/// Decides what a letter stands for, given its message's row.
pub fn standing(stored: &StoredLetter, message: Option<&StoredMessage>) -> Standing {
    if stored.discarded.is_some() {
        return Standing::Discarded;
    }
    let LetterId::Message(_, generation) = &stored.letter.id else { return Standing::Open };
    if stored.redriven.is_some() {
        return Standing::Redriven;
    }
    let Some(message) = message else { return Standing::NoMessage };
    let current = message.state.generation;
    match message.state.status() {
        _ if current > *generation => Standing::Redriven,
        _ if current < *generation => Standing::NoMessage,
        Status::Failed => Standing::Open,
        status => Standing::NotFailed(status),
    }
}

/// Which letters a list is about; an absent field is about all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// The platform.
    pub platform: Option<PlatformName>,
    /// The account.
    pub account: Option<AccountName>,
    /// The reason.
    pub reason: Option<String>,
    /// The conversation.
    pub conversation_id: Option<ConversationId>,
    /// The times of acceptance.
    pub span: LetterSpan,
}

impl LetterFilter {
    fn takes(&self, letter: &Letter) -> bool {
        fn same<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none() || wanted == found
        }
        same(self.platform.as_ref(), letter.platform.as_ref())
            && same(self.account.as_ref(), letter.account.as_ref())
            && same(self.reason.as_ref(), Some(&letter.reason))
            && same(self.conversation_id.as_ref(), letter.conversation_id.as_ref())
    }
}

/// An open letter with its message; an unreadable record has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenLetter {
    /// The letter.
    pub stored: StoredLetter,
    /// Its message.
    pub message: Option<StoredMessage>,
}

/// A part of the open letters, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterPage {
    /// The letters. May be few, or none, although more follow: one call looks at
    /// [`MAX_EXAMINED`] letters.
    pub letters: Vec<OpenLetter>,
    /// Behind which place the next page begins; `None` at the end.
    pub next: Option<LetterPlace>,
}

/// Up to `limit` (at least 1) open letters behind `after`.
///
/// # Errors
/// As the store.
pub async fn open_letters(
    store: &dyn MessageStore,
    tenant: &Tenant,
    filter: &LetterFilter,
    after: Option<&LetterPlace>,
    limit: usize,
) -> Result<LetterPage, StoreError> {
    let mut page = LetterPage { letters: Vec::new(), next: after.cloned() };
    let mut examined = 0;
    while examined < MAX_EXAMINED {
        let after = page.next.as_ref();
        let rows = store.letters().letters_in_order(tenant, filter.span, after, STEP).await?;
        let is_last = rows.len() < STEP;
        examined += rows.len();
        let end = rows.last().map(|stored| stored.letter.place());
        let candidates = rows.into_iter().filter(|stored| may_be_open(stored, filter));
        let mut found = stream::iter(candidates)
            .map(|stored| with_message(store, tenant, stored))
            .buffered(LOOKUPS);
        while let Some(letter) = found.try_next().await? {
            if standing(&letter.stored, letter.message.as_ref()) != Standing::Open {
                continue;
            }
            if page.letters.len() == limit {
                page.next = page.letters.last().map(|last| last.stored.letter.place());
                return Ok(page);
            }
            page.letters.push(letter);
        }
        if is_last {
            page.next = None;
            return Ok(page);
        }
        page.next = end.or(page.next);
    }
    Ok(page)
}

/// What can be told without the message's row.
fn may_be_open(stored: &StoredLetter, filter: &LetterFilter) -> bool {
    stored.discarded.is_none() && stored.redriven.is_none() && filter.takes(&stored.letter)
}

async fn with_message(
    store: &dyn MessageStore,
    tenant: &Tenant,
    stored: StoredLetter,
) -> Result<OpenLetter, StoreError> {
    let message = message_of(store, tenant, &stored.letter.id).await?;
    Ok(OpenLetter { stored, message })
}

/// The row of a letter's message.
///
/// # Errors
/// As the store.
pub async fn message_of(
    store: &dyn MessageStore,
    tenant: &Tenant,
    id: &LetterId,
) -> Result<Option<StoredMessage>, StoreError> {
    let id: &MessageId = match id {
        LetterId::Message(id, _) => id,
        LetterId::Record(..) => return Ok(None),
    };
    store.message(tenant, id).await
}
