//! The first message of a lane. What waits behind it is kept as its record, and read again when its
//! turn comes: a message that has been read takes more memory than that costs time.

use std::sync::Arc;

use chat4all_contracts::Message;
use chat4all_eventlog::Record;
use chat4all_process::backoff::Backoff;

use crate::outcome::Tries;
use crate::receipts::{Awaited, Subject};

/// A message that is being dealt with.
pub(super) struct Entry {
    /// As it came, for a dead letter.
    pub(super) record: Record,
    pub(super) message: Arc<Message>,
    pub(super) tries: Tries,
    /// Few need one.
    pub(super) backoff: Option<Box<Backoff>>,
    pub(super) phase: Phase,
}

/// Where it is.
pub(super) enum Phase {
    /// Nothing is under way: it may start, now or after its wait.
    Waiting,
    /// As above, and a receipt would settle it.
    InDoubt { _receipt: Awaited },
    /// With its account's gateway.
    WithGateway,
    /// What became of it is being published.
    Settling,
}

impl Entry {
    /// `message` is what `record` holds.
    pub(super) fn new(record: Record, message: Message) -> Self {
        let (tries, backoff, phase) = (Tries::default(), None, Phase::Waiting);
        Self { record, message: Arc::new(message), tries, backoff, phase }
    }

    pub(super) fn subject(&self) -> Subject {
        (self.message.message_id.clone(), self.message.generation)
    }

    pub(super) fn may_start(&self) -> bool {
        matches!(self.phase, Phase::Waiting | Phase::InDoubt { .. })
    }
}
