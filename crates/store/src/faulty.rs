//! A store that goes wrong as a test tells it, around any other store.

use std::sync::Arc;
use std::time::Duration;

use chat4all_contracts::{ConversationId, EpochMs, Generation, Message, MessageId, StatusState};
use futures::future::BoxFuture;

use crate::letters::LetterStore;
use crate::open::{OpenPage, OpenPlace, Shards};
use crate::port::Answer;
use crate::{
    Claim, ClaimKey, Cursor, Meeting, MeetingPlace, MessageStore, Page, RowAddress, StoreError,
    StoredMessage, Tenant,
};

/// What goes wrong with a call. The caller hears each time that the store is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// Nothing was done.
    NotDone,
    /// It was done all the same.
    Done,
}

/// Decides at each call.
pub trait StoreFaults: Send + Sync + 'static {
    /// Before a call: may take its time.
    fn before(&self, writes: bool) -> BoxFuture<'static, Option<StoreFault>>;

    /// After a call: may take its time.
    fn after(&self) -> BoxFuture<'static, ()>;
}

/// See the module.
pub struct FaultyStore {
    inner: Arc<dyn MessageStore>,
    faults: Arc<dyn StoreFaults>,
}

impl FaultyStore {
    /// `inner`, with these faults.
    pub fn new(inner: Arc<dyn MessageStore>, faults: Arc<dyn StoreFaults>) -> Arc<Self> {
        Arc::new(Self { inner, faults })
    }

    /// A call that has not begun: the adapters do nothing before they are waited for.
    fn call<'a, T: Send + 'a>(&'a self, writes: bool, call: Answer<'a, T>) -> Answer<'a, T> {
        Box::pin(async move {
            let away = || StoreError::Unavailable("for a test".to_owned());
            let fault = self.faults.before(writes).await;
            if fault == Some(StoreFault::NotDone) {
                return Err(away());
            }
            let answer = call.await;
            self.faults.after().await;
            if fault.is_some() { Err(away()) } else { answer }
        })
    }
}

impl MessageStore for FaultyStore {
    fn put_message<'a>(&'a self, tenant: &'a Tenant, message: &'a Message) -> Answer<'a, ()> {
        self.call(true, self.inner.put_message(tenant, message))
    }

    fn merge_status<'a>(
        &'a self,
        tenant: &'a Tenant,
        row: &'a RowAddress,
        reports: &'a StatusState,
    ) -> Answer<'a, ()> {
        self.call(true, self.inner.merge_status(tenant, row, reports))
    }

    fn arrive_row<'a>(
        &'a self,
        tenant: &'a Tenant,
        place: &'a MeetingPlace,
        row: &'a RowAddress,
    ) -> Answer<'a, ()> {
        self.call(true, self.inner.arrive_row(tenant, place, row))
    }

    fn arrive_report<'a>(
        &'a self,
        tenant: &'a Tenant,
        place: &'a MeetingPlace,
        reports: &'a StatusState,
        now: EpochMs,
        keep: Duration,
    ) -> Answer<'a, ()> {
        self.call(true, self.inner.arrive_report(tenant, place, reports, now, keep))
    }

    fn look<'a>(
        &'a self,
        tenant: &'a Tenant,
        place: &'a MeetingPlace,
        now: EpochMs,
    ) -> Answer<'a, Meeting> {
        self.call(false, self.inner.look(tenant, place, now))
    }

    fn message<'a>(
        &'a self,
        tenant: &'a Tenant,
        id: &'a MessageId,
    ) -> Answer<'a, Option<StoredMessage>> {
        self.call(false, self.inner.message(tenant, id))
    }

    fn page<'a>(
        &'a self,
        tenant: &'a Tenant,
        conversation: &'a ConversationId,
        after: Option<&'a Cursor>,
        limit: usize,
    ) -> Answer<'a, Page> {
        self.call(false, self.inner.page(tenant, conversation, after, limit))
    }

    fn claim<'a>(
        &'a self,
        tenant: &'a Tenant,
        key: &'a ClaimKey,
        claim: &'a Claim,
        now: EpochMs,
        keep: Duration,
    ) -> Answer<'a, Option<Claim>> {
        self.call(true, self.inner.claim(tenant, key, claim, now, keep))
    }

    fn letters(&self) -> &dyn LetterStore {
        self.inner.letters()
    }

    fn note_open<'a>(
        &'a self,
        tenant: &'a Tenant,
        message: &'a Message,
        due: EpochMs,
        now: EpochMs,
    ) -> Answer<'a, ()> {
        self.call(true, self.inner.note_open(tenant, message, due, now))
    }

    fn note_settled<'a>(
        &'a self,
        tenant: &'a Tenant,
        id: &'a MessageId,
        generation: Generation,
        due: EpochMs,
        now: EpochMs,
    ) -> Answer<'a, ()> {
        self.call(true, self.inner.note_settled(tenant, id, generation, due, now))
    }

    fn open<'a>(
        &'a self,
        tenant: &'a Tenant,
        shards: Shards,
        after: &'a OpenPlace,
        until: EpochMs,
        limit: usize,
    ) -> Answer<'a, OpenPage> {
        self.call(false, self.inner.open(tenant, shards, after, until, limit))
    }

    fn sweep(&self, now: EpochMs) -> Answer<'_, ()> {
        self.call(true, self.inner.sweep(now))
    }

    fn check(&self) -> Answer<'_, ()> {
        self.call(false, self.inner.check())
    }
}
