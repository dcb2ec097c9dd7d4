//! A message that should have an outcome by now, and how much of its way is known to be behind it.
//!
//! Every position is read AFTER the stage before it was seen to be passed: a message that a stage
//! has handled lies, or its outcome does, before the end of the next topic that is read then. So no
//! clock takes part in the proof (docs/adr/0014).

use chat4all_contracts::{EpochMs, Message, Reason, Status};
use chat4all_eventlog::{Committed, TopicPartition};

/// Where the end of a topic's partition was.
pub(super) type End = (TopicPartition, u64);

/// What has to be waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The router, up to here: the message is before it.
    Routing(End),
    /// The platform's connector, up to here: the message is before one of them.
    Delivering(Vec<End>),
    /// Our own projection, up to this position of the message's partition of `status-updates`: its
    /// outcome is before it, if there is any.
    Projecting { end: u64, known: Known },
}

/// What is known of a message of which the store then still knows no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// A connector has called and published UNKNOWN as its outcome.
    InDoubt,
    /// Router and connector have passed it.
    Passed,
    /// It still waits before the router or the connector, long after any call could start.
    Abandoned,
}

/// The verdict on a message with this status; `None` = it has an outcome, or there is no proof.
pub(super) fn verdict(status: Status, known: Known) -> Option<Reason> {
    match (status, known) {
        (Status::Unknown, _) => Some(Reason::InDoubt),
        (Status::Accepted, Known::Passed) => Some(Reason::Lost),
        (Status::Accepted, Known::Abandoned) => Some(Reason::Expired),
        // UNKNOWN is never taken back within a life: another life has begun.
        (Status::Accepted, Known::InDoubt) => None,
        (Status::Failed | Status::Sent | Status::Delivered | Status::Read, _) => None,
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Ticket {
    pub(super) platform: Box<str>,
    pub(super) expires_at: EpochMs,
    /// The message's partition of `status-updates`.
    pub(super) partition: u32,
    pub(super) stage: Stage,
}

impl Ticket {
    pub(super) fn new(message: &Message, partition: u32, stage: Stage) -> Self {
        Self {
            platform: message.receiver_id.platform().into(),
            expires_at: message.expires_at,
            partition,
            stage,
        }
    }

    /// Whether the message waits before the router or a connector.
    pub(super) fn is_in_backlog(&self) -> bool {
        matches!(self.stage, Stage::Routing(_) | Stage::Delivering(_))
    }
}

/// Whether a group has handled everything before an end. Only the contiguous prefix counts.
pub(super) fn has_passed(committed: Option<&Committed>, end: u64) -> bool {
    committed.map_or(0, |committed| committed.offset) >= end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_message_without_an_outcome_is_judged() {
        for known in [Known::InDoubt, Known::Passed, Known::Abandoned] {
            for status in [Status::Failed, Status::Sent, Status::Delivered, Status::Read] {
                assert_eq!(verdict(status, known), None);
            }
            assert_eq!(verdict(Status::Unknown, known), Some(Reason::InDoubt));
        }
        assert_eq!(verdict(Status::Accepted, Known::Passed), Some(Reason::Lost));
        assert_eq!(verdict(Status::Accepted, Known::Abandoned), Some(Reason::Expired));
        assert_eq!(verdict(Status::Accepted, Known::InDoubt), None);
    }

    #[test]
    fn a_group_that_has_committed_nothing_has_passed_an_empty_partition_only() {
        let at = |offset| Committed { offset, note: "finished beyond it".to_owned() };
        assert!(has_passed(None, 0) && !has_passed(None, 1));
        assert!(has_passed(Some(&at(5)), 5) && !has_passed(Some(&at(5)), 6));
    }
}
