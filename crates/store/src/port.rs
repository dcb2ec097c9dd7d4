//! The port: what a store of messages can do.
//!
//! Shaped for a wide-column database: a message's row is addressed by conversation and time, every
//! write is an idempotent upsert, and nothing is read before it is written. No method reads a
//! clock; times come with the data.

use std::time::Duration;

use chat4all_contracts::{
    AccountName, ConversationId, EpochMs, ExternalId, Generation, IdempotencyKey, Message,
    MessageId, PlatformName, StatusState,
};
use futures::future::BoxFuture;
use thiserror::Error;

use crate::letters::LetterStore;
use crate::open::{OpenPage, OpenPlace, Shards};

/// Whose data it is: part of every key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tenant(pub Box<str>);

impl Default for Tenant {
    /// The one tenant there is until authentication names others.
    fn default() -> Self {
        Self("default".into())
    }
}

/// Where a message's row is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowAddress {
    /// The conversation.
    pub conversation_id: ConversationId,
    /// When the message was accepted: its place in the conversation.
    pub accepted_at: EpochMs,
    /// The message: tells apart those of one millisecond.
    pub message_id: MessageId,
}

impl RowAddress {
    /// The address of a message's row.
    pub fn of(message: &Message) -> Self {
        Self {
            conversation_id: message.conversation_id.clone(),
            accepted_at: message.accepted_at,
            message_id: message.message_id.clone(),
        }
    }
}

/// A message with all that became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// The message as accepted, of the highest generation seen.
    pub message: Message,
    /// Its status.
    pub state: StatusState,
}

/// A place in a conversation's page order: messages older than this one follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The last shown message's time of acceptance.
    pub accepted_at: EpochMs,
    /// The last shown message.
    pub message_id: MessageId,
}

/// A part of a conversation, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The messages.
    pub messages: Vec<StoredMessage>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
}

/// What a claim is about. Ids and keys never collide.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClaimKey {
    /// A message id chosen by the client.
    Message(MessageId),
    /// An Idempotency-Key.
    Idempotency(IdempotencyKey),
}

/// What the first request under a key fixed for all that follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The message that the key stands for.
    pub message_id: MessageId,
    /// Its time of acceptance.
    pub accepted_at: EpochMs,
    /// Its end of life.
    pub expires_at: EpochMs,
    /// The account it goes out from.
    pub account: AccountName,
    /// A digest of the request's body.
    pub body_hash: [u8; 32],
}

/// Where a report and the row it belongs to find each other when the report cannot name the row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MeetingPlace {
    /// A report that names only the message.
    Message(MessageId),
    /// A report that names only the platform's own id.
    External(PlatformName, AccountName, ExternalId),
}

/// What has arrived at a meeting place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meeting {
    /// The row, once it has arrived.
    pub address: Option<RowAddress>,
    /// All reports that have arrived and are still kept, merged.
    pub early: Option<StatusState>,
}

/// Why the store did not do it. Never contains content or ids of people.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// It does not answer, or has no room; the write may or may not have happened.
    #[error("the store is away: {0}")]
    Unavailable(String),
    /// A row cannot be read: written by a later release, or damaged.
    #[error("a stored row is unreadable: {0}")]
    Unreadable(String),
}

/// The result of every call.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// A store of messages. Every write may be repeated.
pub trait MessageStore: Send + Sync + 'static {
    /// Writes the content of a message's row, creating the row if needed and keeping its status.
    /// Where the row has content already, that of the higher generation stays. The row's
    /// generation becomes at least the message's.
    fn put_message<'a>(&'a self, tenant: &'a Tenant, message: &'a Message) -> Answer<'a, ()>;

    /// Merges reports into a row ([`StatusState::merge`]), creating it without content if needed;
    /// a row without content is not shown.
    fn merge_status<'a>(
        &'a self,
        tenant: &'a Tenant,
        row: &'a RowAddress,
        reports: &'a StatusState,
    ) -> Answer<'a, ()>;

    /// The row's side of a meeting: from now on the place names this row.
    fn arrive_row<'a>(
        &'a self,
        tenant: &'a Tenant,
        place: &'a MeetingPlace,
        row: &'a RowAddress,
    ) -> Answer<'a, ()>;

    /// The report's side of a meeting: merged with what has arrived before, kept for `keep`
    /// after `now` (the later of two ends counts).
    fn arrive_report<'a>(
        &'a self,
        tenant: &'a Tenant,
        place: &'a MeetingPlace,
        reports: &'a StatusState,
        now: EpochMs,
        keep: Duration,
    ) -> Answer<'a, ()>;

    /// Who has arrived. Sees every arrival whose call has returned. Reports past their end at
    /// `now` are not seen.
    fn look<'a>(
        &'a self,
        tenant: &'a Tenant,
        place: &'a MeetingPlace,
        now: EpochMs,
    ) -> Answer<'a, Meeting>;

    /// A message by its id: the row that [`MeetingPlace::Message`] names, if it has content.
    fn message<'a>(
        &'a self,
        tenant: &'a Tenant,
        id: &'a MessageId,
    ) -> Answer<'a, Option<StoredMessage>>;

    /// Up to `limit` (at least 1) messages of a conversation, newest first by (accepted_at,
    /// message_id), older than `after`. Rows without content take no room in a page.
    fn page<'a>(
        &'a self,
        tenant: &'a Tenant,
        conversation: &'a ConversationId,
        after: Option<&'a Cursor>,
        limit: usize,
    ) -> Answer<'a, Page>;

    /// Takes a key if nobody has it: `None` = taken now, `Some` = what its holder fixed. Among
    /// callers at the same time exactly one gets `None`. Kept for `keep` after `now`.
    fn claim<'a>(
        &'a self,
        tenant: &'a Tenant,
        key: &'a ClaimKey,
        claim: &'a Claim,
        now: EpochMs,
        keep: Duration,
    ) -> Answer<'a, Option<Claim>>;

    /// Where dead letters and operators' commands are.
    fn letters(&self) -> &dyn LetterStore;

    /// Notes a message whose row is written among the open ones, `due` at that time, which must
    /// not lie before `now`. Kept for [`OPEN_KEPT`](crate::open::OPEN_KEPT) after `due` at least.
    fn note_open<'a>(
        &'a self,
        tenant: &'a Tenant,
        message: &'a Message,
        due: EpochMs,
        now: EpochMs,
    ) -> Answer<'a, ()>;

    /// Notes that a message noted as due at `due` has an outcome in this generation, after that was
    /// merged into its row: only a hint that spares [`MessageStore::open`] a look at the row.
    fn note_settled<'a>(
        &'a self,
        tenant: &'a Tenant,
        id: &'a MessageId,
        generation: Generation,
        due: EpochMs,
        now: EpochMs,
    ) -> Answer<'a, ()>;

    /// Looks at up to about `limit` (at least 1) messages that were noted in these shards, come
    /// after a place and are due before `until`; answers those that are open. Beginning before all
    /// and going on from page to page shows each of them, a message that was noted under two due
    /// times maybe twice; one that is noted meanwhile maybe not.
    fn open<'a>(
        &'a self,
        tenant: &'a Tenant,
        shards: Shards,
        after: &'a OpenPlace,
        until: EpochMs,
        limit: usize,
    ) -> Answer<'a, OpenPage>;

    /// Forgets, in small steps, what is past its end at `now`. A no-op where the database does it.
    fn sweep(&self, now: EpochMs) -> Answer<'_, ()>;

    /// Whether the store answers.
    fn check(&self) -> Answer<'_, ()>;
}
