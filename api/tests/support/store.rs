//! The in-memory store, failing where it is told to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chat4all_contracts::{ConversationId, EpochMs, Generation, Message, MessageId, StatusState};
use chat4all_store::embedded::EmbeddedStore;
use chat4all_store::letters::LetterStore;
use chat4all_store::port::Answer;
use chat4all_store::{
    Claim, ClaimKey, Cursor, Meeting, MeetingPlace, MessageStore, OpenPage, OpenPlace, Page,
    RowAddress, Shards, StoreError, StoredMessage, Tenant,
};
use futures::future::{pending, ready};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    Away,
    Hangs,
    Unreadable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    Claim,
    Message,
    Page,
    Open,
    Write,
    Check,
}

impl Op {
    pub const ALL: [Op; 6] = [Op::Claim, Op::Message, Op::Page, Op::Open, Op::Write, Op::Check];
}

#[derive(Default)]
struct State {
    faults: BTreeMap<Op, StoreFault>,
    calls: BTreeMap<Op, usize>,
}

pub struct TestStore {
    pub inner: Arc<EmbeddedStore>,
    state: Mutex<State>,
}

impl TestStore {
    pub fn new() -> Arc<Self> {
        let inner = EmbeddedStore::in_memory().unwrap();
        Arc::new(Self { inner, state: Mutex::default() })
    }

    pub fn fail(&self, ops: &[Op], fault: StoreFault) {
        self.state.lock().unwrap().faults.extend(ops.iter().map(|op| (*op, fault)));
    }

    pub fn heal(&self) {
        self.state.lock().unwrap().faults.clear();
    }

    pub fn calls(&self, op: Op) -> usize {
        self.state.lock().unwrap().calls.get(&op).copied().unwrap_or_default()
    }

    fn guard<'a, T: Send + 'a>(&self, op: Op, answer: Answer<'a, T>) -> Answer<'a, T> {
        let mut state = self.state.lock().unwrap();
        *state.calls.entry(op).or_default() += 1;
        match state.faults.get(&op) {
            None => answer,
            Some(StoreFault::Hangs) => Box::pin(pending()),
            Some(StoreFault::Away) => {
                Box::pin(ready(Err(StoreError::Unavailable("told to fail".to_owned()))))
            }
            Some(StoreFault::Unreadable) => {
                Box::pin(ready(Err(StoreError::Unreadable("told to fail".to_owned()))))
            }
        }
    }
}

impl MessageStore for TestStore {
    fn put_message<'a>(&'a self, t: &'a Tenant, message: &'a Message) -> Answer<'a, ()> {
        self.guard(Op::Write, self.inner.put_message(t, message))
    }

    fn merge_status<'a>(
        &'a self,
        t: &'a Tenant,
        row: &'a RowAddress,
        reports: &'a StatusState,
    ) -> Answer<'a, ()> {
        self.guard(Op::Write, self.inner.merge_status(t, row, reports))
    }

    fn arrive_row<'a>(
        &'a self,
        t: &'a Tenant,
        place: &'a MeetingPlace,
        row: &'a RowAddress,
    ) -> Answer<'a, ()> {
        self.guard(Op::Write, self.inner.arrive_row(t, place, row))
    }

    fn arrive_report<'a>(
        &'a self,
        t: &'a Tenant,
        place: &'a MeetingPlace,
        reports: &'a StatusState,
        now: EpochMs,
        keep: Duration,
    ) -> Answer<'a, ()> {
        self.guard(Op::Write, self.inner.arrive_report(t, place, reports, now, keep))
    }

    fn look<'a>(
        &'a self,
        t: &'a Tenant,
        place: &'a MeetingPlace,
        now: EpochMs,
    ) -> Answer<'a, Meeting> {
        self.guard(Op::Write, self.inner.look(t, place, now))
    }

    fn message<'a>(
        &'a self,
        t: &'a Tenant,
        id: &'a MessageId,
    ) -> Answer<'a, Option<StoredMessage>> {
        self.guard(Op::Message, self.inner.message(t, id))
    }

    fn page<'a>(
        &'a self,
        t: &'a Tenant,
        conversation: &'a ConversationId,
        after: Option<&'a Cursor>,
        limit: usize,
    ) -> Answer<'a, Page> {
        self.guard(Op::Page, self.inner.page(t, conversation, after, limit))
    }

    fn claim<'a>(
        &'a self,
        t: &'a Tenant,
        key: &'a ClaimKey,
        claim: &'a Claim,
        now: EpochMs,
        keep: Duration,
    ) -> Answer<'a, Option<Claim>> {
        self.guard(Op::Claim, self.inner.claim(t, key, claim, now, keep))
    }

    fn letters(&self) -> &dyn LetterStore {
        self.inner.letters()
    }

    fn note_open<'a>(
        &'a self,
        t: &'a Tenant,
        message: &'a Message,
        due: EpochMs,
        now: EpochMs,
    ) -> Answer<'a, ()> {
        self.guard(Op::Write, self.inner.note_open(t, message, due, now))
    }

    fn note_settled<'a>(
        &'a self,
        t: &'a Tenant,
        id: &'a MessageId,
        generation: Generation,
        due: EpochMs,
        now: EpochMs,
    ) -> Answer<'a, ()> {
        self.guard(Op::Write, self.inner.note_settled(t, id, generation, due, now))
    }

    fn open<'a>(
        &'a self,
        t: &'a Tenant,
        shards: Shards,
        after: &'a OpenPlace,
        until: EpochMs,
        limit: usize,
    ) -> Answer<'a, OpenPage> {
        self.guard(Op::Open, self.inner.open(t, shards, after, until, limit))
    }

    fn sweep(&self, now: EpochMs) -> Answer<'_, ()> {
        self.guard(Op::Write, self.inner.sweep(now))
    }

    fn check(&self) -> Answer<'_, ()> {
        self.guard(Op::Check, self.inner.check())
    }
}
