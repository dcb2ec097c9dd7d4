//! A member of a group, as its consumer sees it: what is ours, what is to be told, what is read.
//!
//! Shared by the thread that polls librdkafka (which changes it in rebalances) and the owner's
//! `next` (which takes from it). The lock is never held while anything waits.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::context::Reporter;
use super::queue::{Queue, Taken};
use crate::LogError;
use crate::consumer::{
    Assignment, Commit, CommitError, ConsumerEvent, Epoch, MAX_NOTE_CHARS, RevokeAck, Revoked,
    TopicPartition,
};

/// Epochs rise over every consumer of this process.
static LAST_EPOCH: AtomicU64 = AtomicU64::new(0);

pub(super) fn next_epoch() -> Epoch {
    Epoch(LAST_EPOCH.fetch_add(1, Ordering::Relaxed) + 1)
}

/// See the module.
pub(super) struct Membership {
    pub(super) group: String,
    pub(super) reporter: Reporter,
    state: Mutex<State>,
    /// The owner's `next` looks again.
    changed: watch::Sender<()>,
    /// The polling thread looks again.
    ordered: Condvar,
}

#[derive(Default)]
struct State {
    slots: BTreeMap<TopicPartition, Slot>,
    lost: Vec<(TopicPartition, Epoch)>,
    revoking: VecDeque<Revoked>,
    restarts: BTreeSet<TopicPartition>,
    last_served: Option<TopicPartition>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Open,
    /// The owner wants to leave, or has gone away.
    Closing,
    /// The group has been left.
    Closed,
}

/// A partition that is ours.
struct Slot {
    /// `None` between a restart and its new assignment.
    epoch: Option<Epoch>,
    /// The epoch that the owner knows.
    told: Option<Epoch>,
    untold: Option<Assignment>,
    stop: Stop,
    paused: bool,
    leaving: bool,
    queue: Option<Queue>,
}

enum Stop {
    No,
    Untold(String),
    Told,
}

/// What a partition begins with.
pub(super) enum Beginning {
    /// Records from here on.
    At(Assignment, Queue),
    /// Nothing, until somebody chooses where it starts.
    Stopped(TopicPartition, Epoch, String),
}

/// What the polling thread has to do.
pub(super) enum Order {
    Restart(Vec<TopicPartition>),
    Leave,
    Nothing,
}

pub(super) enum Step {
    Event(ConsumerEvent),
    Failed(LogError),
    Wait,
}

impl Membership {
    pub(super) fn new(group: String, reporter: Reporter) -> Self {
        let (changed, ordered) = (watch::Sender::new(()), Condvar::new());
        Self { group, reporter, state: Mutex::default(), changed, ordered }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is complete before anything that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Makes the owner's `next` look again. May be called from any thread, also librdkafka's.
    pub(super) fn wake(&self) {
        self.changed.send_replace(());
    }

    // --- the owner's side

    /// Decides what the owner is told next. Records come last: whoever is to lose a partition
    /// hears of it before he gets more to do.
    pub(super) fn step(&self, max_batch: usize) -> Step {
        let mut state = self.state();
        if state.phase != Phase::Open {
            return Step::Failed(LogError::Closed);
        }
        if let Some(reason) = self.reporter.failure.reason() {
            return Step::Failed(LogError::Fatal(reason));
        }
        if !state.lost.is_empty() {
            let (partitions, (ack, _)) = (std::mem::take(&mut state.lost), RevokeAck::new());
            let since = Instant::now();
            let revoked = Revoked { partitions, ack, since, lost: true };
            return Step::Event(ConsumerEvent::Revoked(revoked));
        }
        if let Some(revoked) = state.revoking.pop_front() {
            return Step::Event(ConsumerEvent::Revoked(revoked));
        }
        let assigned = state.announce();
        if !assigned.is_empty() {
            return Step::Event(ConsumerEvent::Assigned(assigned));
        }
        if let Some((at, why)) = state.untold_stop() {
            return Step::Event(ConsumerEvent::Stopped { at, why });
        }
        match state.take_records(max_batch) {
            Some(event) => Step::Event(event),
            None => Step::Wait,
        }
    }

    /// Splits commits into those that are valid now and the reasons against the others.
    pub(super) fn admit(&self, commits: Vec<Commit>) -> (Vec<Commit>, Vec<CommitError>) {
        let state = self.state();
        let (mut admitted, mut refused) = (Vec::with_capacity(commits.len()), Vec::new());
        for commit in commits {
            let slot = state.slots.get(&commit.at);
            if slot.is_none_or(|slot| slot.epoch != Some(commit.epoch)) {
                refused.push(CommitError::Stale(commit.at));
            } else if commit.note.chars().count() > MAX_NOTE_CHARS {
                refused.push(CommitError::NoteTooLong(commit.at));
            } else {
                admitted.push(commit);
            }
        }
        (admitted, refused)
    }

    pub(super) fn set_paused(&self, at: &TopicPartition, paused: bool) {
        if let Some(slot) = self.state().slots.get_mut(at) {
            slot.paused = paused;
        }
        self.wake();
    }

    pub(super) fn order_restart(&self, at: &TopicPartition) {
        let mut state = self.state();
        let Some(slot) = state.slots.get_mut(at).filter(|slot| !slot.leaving) else { return };
        // Nothing of the old epoch is given out or committed from now on.
        slot.epoch = None;
        slot.untold = None;
        slot.stop = Stop::No;
        slot.queue = None;
        state.restarts.insert(at.clone());
        drop(state);
        self.ordered.notify_all();
    }

    pub(super) fn order_leave(&self) {
        let mut state = self.state();
        if state.phase == Phase::Open {
            state.phase = Phase::Closing;
        }
        // Nobody answers these any more.
        state.revoking.clear();
        drop(state);
        self.ordered.notify_all();
        self.wake();
    }

    /// Resolves when the group has been left.
    pub(super) async fn left(&self) {
        let mut changes = self.changes();
        loop {
            changes.borrow_and_update();
            if self.state().phase == Phase::Closed || changes.changed().await.is_err() {
                return;
            }
        }
    }

    // --- the polling thread's side

    pub(super) fn orders(&self) -> Order {
        let mut state = self.state();
        if state.phase != Phase::Open {
            return Order::Leave;
        }
        let restarts = std::mem::take(&mut state.restarts);
        let slots = &state.slots;
        let ours = restarts
            .into_iter()
            .filter(|at| slots.get(at).is_some_and(|slot| slot.epoch.is_none()));
        match ours.collect::<Vec<_>>() {
            none if none.is_empty() => Order::Nothing,
            some => Order::Restart(some),
        }
    }

    /// Waits until the owner leaves, at most so long.
    pub(super) fn wait_to_leave(&self, limit: Duration) {
        let stays = |state: &mut State| state.phase == Phase::Open;
        let waited = self.ordered.wait_timeout_while(self.state(), limit, stays);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.state().phase != Phase::Open
    }

    pub(super) fn begin(&self, beginnings: Vec<Beginning>) {
        let mut state = self.state();
        for beginning in beginnings {
            let (at, slot) = match beginning {
                Beginning::At(assignment, queue) => {
                    let at = assignment.at.clone();
                    let epoch = Some(assignment.epoch);
                    (at, Slot { untold: Some(assignment), queue: Some(queue), ..Slot::new(epoch) })
                }
                Beginning::Stopped(at, epoch, why) => {
                    (at, Slot { stop: Stop::Untold(why), ..Slot::new(Some(epoch)) })
                }
            };
            // What the owner was told before a restart is what a revocation names.
            let told = state.slots.remove(&at).and_then(|old| old.told);
            state.slots.insert(at, Slot { told, ..slot });
        }
        drop(state);
        self.wake();
    }

    /// Takes partitions away. Those that the owner knows are named in a revocation, whose
    /// acknowledgement calls `released`; `false` = there is nothing to wait for.
    pub(super) fn revoke(
        &self,
        partitions: &[TopicPartition],
        released: impl FnOnce() + Send + Sync + 'static,
    ) -> bool {
        let mut state = self.state();
        let known = state.take_away(partitions);
        let waits = state.phase == Phase::Open && !known.is_empty();
        if waits {
            let (ack, since) = (RevokeAck::calling(released), Instant::now());
            state.revoking.push_back(Revoked { partitions: known, ack, since, lost: false });
        }
        drop(state);
        self.wake();
        waits
    }

    /// Partitions that somebody else may own already.
    pub(super) fn lose(&self, partitions: &[TopicPartition]) {
        let mut state = self.state();
        let known = state.take_away(partitions);
        state.lost.extend(known);
        drop(state);
        self.forget(partitions);
        self.wake();
    }

    /// Ends what [`Membership::revoke`] began: commits under the old epochs are stale from now on.
    pub(super) fn forget(&self, partitions: &[TopicPartition]) {
        let mut state = self.state();
        for at in partitions {
            state.slots.remove(at);
            state.restarts.remove(at);
        }
    }

    /// Lets go of every queue, and with it of the client.
    pub(super) fn clear(&self) {
        let slots = std::mem::take(&mut self.state().slots);
        drop(slots);
    }

    pub(super) fn set_left(&self) {
        self.state().phase = Phase::Closed;
        self.wake();
    }
}

impl Slot {
    fn new(epoch: Option<Epoch>) -> Self {
        let (untold, queue, told) = (None, None, None);
        Self { epoch, told, untold, stop: Stop::No, paused: false, leaving: false, queue }
    }
}

impl State {
    fn announce(&mut self) -> Vec<Assignment> {
        let slots = self.slots.values_mut().filter(|slot| !slot.leaving);
        slots
            .filter_map(|slot| {
                let assignment = slot.untold.take()?;
                slot.told = slot.epoch;
                Some(assignment)
            })
            .collect()
    }

    fn untold_stop(&mut self) -> Option<(TopicPartition, String)> {
        self.slots.iter_mut().filter(|(_, slot)| !slot.leaving).find_map(|(at, slot)| {
            let Stop::Untold(why) = &mut slot.stop else { return None };
            let why = std::mem::take(why);
            slot.stop = Stop::Told;
            slot.told = slot.epoch;
            Some((at.clone(), why))
        })
    }

    /// Marks partitions as leaving; answers those that the owner knows, with their epochs.
    fn take_away(&mut self, partitions: &[TopicPartition]) -> Vec<(TopicPartition, Epoch)> {
        let mut known = Vec::new();
        for at in partitions {
            let Some(slot) = self.slots.get_mut(at) else { continue };
            slot.leaving = true;
            slot.untold = None;
            slot.queue = None;
            if let Some(told) = slot.told {
                known.push((at.clone(), told));
            }
        }
        known
    }

    /// The next partition with records, in turn.
    fn take_records(&mut self, max_batch: usize) -> Option<ConsumerEvent> {
        let last = self.last_served.clone();
        let after = last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let rest = self.slots.range((after, Bound::Unbounded)).map(|(at, _)| at.clone());
        let up_to = last.as_ref().into_iter().flat_map(|last| self.slots.range(..=last));
        let turn: Vec<TopicPartition> = rest.chain(up_to.map(|(at, _)| at.clone())).collect();
        for at in turn {
            let Some(slot) = self.slots.get_mut(&at) else { continue };
            let (Some(epoch), false, false) = (slot.epoch, slot.paused, slot.leaving) else {
                continue;
            };
            let Some(queue) = &mut slot.queue else { continue };
            match queue.take(&at, max_batch) {
                Taken::Records(records) => {
                    self.last_served = Some(at);
                    return Some(ConsumerEvent::Records { epoch, records });
                }
                Taken::Gone(why) => {
                    slot.queue = None;
                    slot.stop = Stop::Told;
                    return Some(ConsumerEvent::Stopped { at, why });
                }
                Taken::Nothing => {}
            }
        }
        None
    }
}
