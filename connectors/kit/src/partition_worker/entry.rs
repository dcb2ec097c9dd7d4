//! A message in its lane: what it has been through, and where it is.

use std::sync::Arc;

use chat4all_contracts::Message;
use chat4all_eventlog::Record;
use chat4all_process::backoff::Backoff;

use crate::outcome::Tries;
use crate::receipts::{Awaited, Subject};

/// A message in its lane.
pub(super) struct Entry {
    pub record: Record,
    pub message: Arc<Message>,
    pub tries: Tries,
    pub backoff: Option<Backoff>,
    pub phase: Phase,
}

/// Where the first message of a lane is. The others wait.
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
    pub fn subject(&self) -> Subject {
        (self.message.message_id.clone(), self.message.generation)
    }

    pub fn may_start(&self) -> bool {
        matches!(self.phase, Phase::Waiting | Phase::InDoubt { .. })
    }
}
