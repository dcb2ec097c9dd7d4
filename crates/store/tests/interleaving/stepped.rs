//! A store whose calls wait, each before it begins, until the scheduler goes on; and a scheduler
//! that decides at every call which projection goes on.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use chat4all_contracts::{ConversationId, EpochMs, Generation, Message, MessageId, StatusState};
use chat4all_store::letters::LetterStore;
use chat4all_store::port::Answer;
use chat4all_store::{
    Claim, ClaimKey, Cursor, Meeting, MeetingPlace, MessageStore, OpenPage, OpenPlace, Page,
    RowAddress, Shards, StoredMessage, Tenant,
};

/// Decides which of so many goes on.
pub type Choose<'a> = dyn FnMut(usize) -> usize + 'a;

pub type Running<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Runs all to their end, one step at a time. `choose` is asked for every step; of the first
/// `cuts` answers to "cut it off here?" (0 = no), each yes makes that one begin again.
pub fn run<'a>(
    begin: &dyn Fn(usize) -> Running<'a>,
    count: usize,
    mut cuts: usize,
    choose: &mut Choose<'_>,
) {
    let mut running: Vec<(usize, Running<'a>)> = (0..count).map(|n| (n, begin(n))).collect();
    // The store in memory answers at once, so that nothing ever has to be woken.
    let mut context = Context::from_waker(Waker::noop());
    while !running.is_empty() {
        let next = choose(running.len());
        if cuts > 0 && choose(8) == 1 {
            cuts -= 1;
            let event = running[next].0;
            running[next].1 = begin(event);
        }
        if running[next].1.as_mut().poll(&mut context).is_ready() {
            drop(running.remove(next));
        }
    }
}

/// Calls `run_once` with every sequence of choices there is.
pub fn every_choice(mut run_once: impl FnMut(&mut Choose<'_>)) -> usize {
    let mut choices: Vec<(usize, usize)> = Vec::new();
    let mut runs = 0;
    loop {
        let mut depth = 0;
        run_once(&mut |options| {
            if depth == choices.len() {
                choices.push((0, options));
            }
            depth += 1;
            choices[depth - 1].0
        });
        runs += 1;
        while choices.last().is_some_and(|(choice, options)| choice + 1 == *options) {
            choices.pop();
        }
        match choices.last_mut() {
            Some((choice, _)) => *choice += 1,
            None => return runs,
        }
    }
}

pub struct Stepped(pub Arc<dyn MessageStore>);

fn step<'a, T: 'a>(call: Answer<'a, T>) -> Answer<'a, T> {
    Box::pin(async move {
        futures::pending!();
        call.await
    })
}

impl MessageStore for Stepped {
    fn put_message<'a>(&'a self, tenant: &'a Tenant, message: &'a Message) -> Answer<'a, ()> {
        step(self.0.put_message(tenant, message))
    }

    fn merge_status<'a>(
        &'a self,
        tenant: &'a Tenant,
        row: &'a RowAddress,
        reports: &'a StatusState,
    ) -> Answer<'a, ()> {
        step(self.0.merge_status(tenant, row, reports))
    }

    fn arrive_row<'a>(
        &'a self,
        tenant: &'a Tenant,
        place: &'a MeetingPlace,
        row: &'a RowAddress,
    ) -> Answer<'a, ()> {
        step(self.0.arrive_row(tenant, place, row))
    }

    fn arrive_report<'a>(
        &'a self,
        tenant: &'a Tenant,
        place: &'a MeetingPlace,
        reports: &'a StatusState,
        now: EpochMs,
        keep: Duration,
    ) -> Answer<'a, ()> {
        step(self.0.arrive_report(tenant, place, reports, now, keep))
    }

    fn look<'a>(
        &'a self,
        tenant: &'a Tenant,
        place: &'a MeetingPlace,
        now: EpochMs,
    ) -> Answer<'a, Meeting> {
        step(self.0.look(tenant, place, now))
    }

    fn message<'a>(
        &'a self,
        tenant: &'a Tenant,
        id: &'a MessageId,
    ) -> Answer<'a, Option<StoredMessage>> {
        step(self.0.message(tenant, id))
    }

    fn page<'a>(
        &'a self,
        tenant: &'a Tenant,
        conversation: &'a ConversationId,
        after: Option<&'a Cursor>,
        limit: usize,
    ) -> Answer<'a, Page> {
        step(self.0.page(tenant, conversation, after, limit))
    }

    fn claim<'a>(
        &'a self,
        tenant: &'a Tenant,
        key: &'a ClaimKey,
        claim: &'a Claim,
        now: EpochMs,
        keep: Duration,
    ) -> Answer<'a, Option<Claim>> {
        step(self.0.claim(tenant, key, claim, now, keep))
    }

    fn letters(&self) -> &dyn LetterStore {
        self.0.letters()
    }

    // Adapters that look at rows do nothing here, so nothing can come between.
    fn note_open<'a>(
        &'a self,
        tenant: &'a Tenant,
        message: &'a Message,
        due: EpochMs,
        now: EpochMs,
    ) -> Answer<'a, ()> {
        self.0.note_open(tenant, message, due, now)
    }

    fn note_settled<'a>(
        &'a self,
        tenant: &'a Tenant,
        id: &'a MessageId,
        generation: Generation,
        due: EpochMs,
        now: EpochMs,
    ) -> Answer<'a, ()> {
        self.0.note_settled(tenant, id, generation, due, now)
    }

    fn open<'a>(
        &'a self,
        tenant: &'a Tenant,
        shards: Shards,
        after: &'a OpenPlace,
        until: EpochMs,
        limit: usize,
    ) -> Answer<'a, OpenPage> {
        step(self.0.open(tenant, shards, after, until, limit))
    }

    fn sweep(&self, now: EpochMs) -> Answer<'_, ()> {
        step(self.0.sweep(now))
    }

    fn check(&self) -> Answer<'_, ()> {
        step(self.0.check())
    }
}
