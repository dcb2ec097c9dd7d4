//! What a worker is told.

use chat4all_eventlog::Record;
use ractor::RpcReplyPort;

use super::acks::Done;
use crate::intake::Progress;
use crate::lanes::LaneKey;
use crate::outcome::CallResult;

/// What it is told.
pub enum WorkerMsg {
    /// Records of the partition, in order.
    Records(Vec<Record>),
    /// A gateway's answer about the first message of a lane.
    Called {
        /// The lane.
        lane: LaneKey,
        /// The message's offset.
        offset: u64,
        /// What happened.
        result: CallResult,
    },
    /// The wait of a lane's first message, with this offset, is over.
    RetryDue(LaneKey, u64),
    /// A receipt shows that the platform has taken a lane's first message, with this offset.
    ReceiptCame(LaneKey, u64),
    /// A lane's first message is done: everything about it is acknowledged by the log.
    Finished(LaneKey),
    /// These records are done: everything about them is acknowledged by the log.
    Settled(Vec<Done>),
    /// A lane's first message is done without a word about it; a mistake
    /// ([`chat4all_contracts::mutant::Mutant::SkipsWhenOpen`]).
    Skipped(LaneKey),
    /// The log has acknowledged that a message is in doubt.
    DoubtTold,
    /// Whoever awaited acknowledgements has died.
    AcksLost,
    /// Tell Intake how far things are.
    Report,
    /// Say how far things are, after everything that is known already.
    LastReport(RpcReplyPort<Progress>),
    /// Start nothing more; tell Intake when nothing is under way.
    Drain,
}

impl WorkerMsg {
    /// The record that it is about, if it is about one.
    pub(super) fn offset(&self) -> Option<u64> {
        match self {
            Self::Called { offset, .. }
            | Self::RetryDue(_, offset)
            | Self::ReceiptCame(_, offset) => Some(*offset),
            _ => None,
        }
    }
}
