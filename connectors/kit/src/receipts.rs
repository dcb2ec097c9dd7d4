//! Receipts that this process has seen: what settles a call in doubt before it is repeated.
//!
//! The webhook notes a receipt here once its event is in the log. A worker whose call ended in
//! doubt looks here first, and is told of a receipt that comes while it waits.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chat4all_contracts::{Generation, MessageId};
use ractor::ActorRef;

use crate::lanes::LaneKey;
use crate::partition_worker::WorkerMsg;

/// The most receipts that are remembered: at 80 a second those of ten minutes, and at a thousand still
/// more than a call takes.
const REMEMBERED: usize = 50_000;

/// What a receipt is about: a message, in one of its lives.
pub type Subject = (MessageId, Generation);

/// Cheap to clone; clones share it.
#[derive(Clone, Default)]
pub struct Receipts(Arc<Mutex<State>>);

/// Never iterated: a hash map's order would differ from run to run.
#[derive(Default)]
struct State {
    seen: HashSet<Subject>,
    order: VecDeque<Subject>,
    /// As many as calls in doubt: at most a window of each partition.
    waiting: HashMap<Subject, Waiter>,
}

struct Waiter {
    worker: ActorRef<WorkerMsg>,
    lane: LaneKey,
    offset: u64,
}

/// Waits for a receipt as long as it is held.
pub struct Awaited {
    receipts: Receipts,
    subject: Subject,
}

impl Receipts {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is complete before anything that could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A receipt has come, and its event is acknowledged by the log.
    pub fn saw(&self, subject: Subject) {
        let mut state = self.state();
        if state.seen.insert(subject.clone()) {
            state.order.push_back(subject.clone());
            if state.order.len() > REMEMBERED
                && let Some(oldest) = state.order.pop_front()
            {
                state.seen.remove(&oldest);
            }
        }
        let waiter = state.waiting.remove(&subject);
        drop(state);
        if let Some(Waiter { worker, lane, offset }) = waiter {
            // A worker that is gone has been replaced; its successor knows of no doubt and calls.
            let _gone = worker.send_message(WorkerMsg::ReceiptCame(lane, offset));
        }
    }

    /// Whether a receipt about this has come.
    pub fn has_seen(&self, subject: &Subject) -> bool {
        self.state().seen.contains(subject)
    }

    /// Tells `worker` when a receipt comes, until the answer is dropped.
    pub fn wait_for(
        &self,
        subject: Subject,
        worker: ActorRef<WorkerMsg>,
        lane: LaneKey,
        offset: u64,
    ) -> Awaited {
        self.state().waiting.insert(subject.clone(), Waiter { worker, lane, offset });
        Awaited { receipts: self.clone(), subject }
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.receipts.state().waiting.remove(&self.subject);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(n: usize) -> Subject {
        (MessageId::new(&n.to_string()).unwrap(), Generation::FIRST)
    }

    #[test]
    fn a_receipt_is_about_one_life_of_a_message() {
        let receipts = Receipts::default();
        receipts.saw(subject(1));
        assert!(receipts.has_seen(&subject(1)) && !receipts.has_seen(&subject(2)));
        let next_life = (subject(1).0, Generation::new(1).unwrap());
        assert!(!receipts.has_seen(&next_life));
    }

    #[test]
    fn only_the_latest_are_remembered() {
        let receipts = Receipts::default();
        (0..REMEMBERED + 10).for_each(|n| receipts.saw(subject(n)));
        receipts.saw(subject(REMEMBERED + 9));
        assert!(!receipts.has_seen(&subject(9)) && receipts.has_seen(&subject(10)));
        assert_eq!(receipts.state().seen.len(), REMEMBERED);
    }
}
