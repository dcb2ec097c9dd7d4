//! The reading side of the port: groups, assignments, commits.
//!
//! A consumer yields one stream of events. Losing a partition is an event with an acknowledgement,
//! so its owner can finish and commit before another process gets it. Every assignment has an
//! [`Epoch`]; commits carry it, so an owner that came back from the dead cannot commit.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::LogError;
use crate::record::Record;

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition, from 0 on.
    pub partition: u32,
}

impl TopicPartition {
    /// A partition of a topic.
    pub fn new(topic: &str, partition: u32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// Which assignment of a partition: rises with every assignment that a consumer receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// How to join a group.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// The group's name.
    pub group: String,
    /// The topics; they must exist.
    pub topics: Vec<String>,
    /// The most records that one [`ConsumerEvent::Records`] may hold.
    pub max_batch: usize,
    /// How long the group waits for a [`RevokeAck`] before it gives the partition away.
    pub revoke_deadline: Duration,
}

/// The longest commit note, in characters: what Kafka stores with an offset by default.
pub const MAX_NOTE_CHARS: usize = 4096;

/// A partition that has just become ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The partition.
    pub at: TopicPartition,
    /// The assignment's epoch.
    pub epoch: Epoch,
    /// The offset of the next record that will be received: the committed one, or 0 for a new
    /// group on a log that still starts at 0.
    pub position: u64,
    /// The note of the last commit, byte for byte.
    pub note: Option<String>,
    /// The end of the log at the time of the assignment.
    pub end: u64,
}

/// Partitions that we are about to lose.
#[derive(Debug)]
pub struct Revoked {
    /// Which, with the epoch under which each was ours.
    pub partitions: Vec<(TopicPartition, Epoch)>,
    /// To be given back once everything is committed.
    pub ack: RevokeAck,
    /// When the group asked for them, which may be long before the owner hears of it: the time for
    /// letting go counts from here.
    pub since: Instant,
    /// Whether they are lost already: nothing can be committed any more.
    pub lost: bool,
}

/// Tells the group that its former owner has let go. Dropping it says the same.
pub struct RevokeAck(Option<Box<dyn FnOnce() + Send + Sync>>);

impl RevokeAck {
    /// For adapters: the receiver resolves when the owner has let go.
    pub fn new() -> (Self, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        let released = move || {
            // Nobody waits any more after the deadline.
            let _ = sender.send(());
        };
        (Self::calling(released), receiver)
    }

    /// For adapters: `released` is called once, when the owner has let go.
    pub fn calling(released: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(released)))
    }

    /// Everything that can be committed is committed.
    pub fn done(self) {
        drop(self);
    }
}

impl Drop for RevokeAck {
    fn drop(&mut self) {
        if let Some(released) = self.0.take() {
            released();
        }
    }
}

impl fmt::Debug for RevokeAck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RevokeAck")
    }
}

/// What a consumer is told.
#[derive(Debug)]
pub enum ConsumerEvent {
    /// Partitions became ours. Their records follow.
    Assigned(Vec<Assignment>),
    /// Partitions go away. No record of them follows.
    Revoked(Revoked),
    /// Records of one partition, in order, never empty.
    Records {
        /// The epoch of the partition's assignment.
        epoch: Epoch,
        /// The records.
        records: Vec<Record>,
    },
    /// A partition is ours and cannot be read: its position is unknown or no longer in the log.
    /// Never answered by a silent reset (docs/architecture.md).
    Stopped {
        /// The partition.
        at: TopicPartition,
        /// Why, and which command mends it.
        why: String,
    },
}

/// How far a partition has been handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The partition.
    pub at: TopicPartition,
    /// The epoch under which it is ours.
    pub epoch: Epoch,
    /// The offset at which a successor begins.
    pub offset: u64,
    /// Read back by the successor as [`Assignment::note`]; ASCII, at most [`MAX_NOTE_CHARS`].
    pub note: String,
}

/// What a group has committed for a partition: where the successor of its owner begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The offset: every record before it is handled.
    pub offset: u64,
    /// The commit's note: what is handled beyond the offset. Empty if nothing is.
    pub note: String,
}

/// Why a commit of one partition was refused. The others of the same call may have succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CommitError {
    /// The partition is no longer ours, or ours under another epoch.
    #[error("{0} is no longer assigned under this epoch")]
    Stale(TopicPartition),
    /// The note is longer than [`MAX_NOTE_CHARS`].
    #[error("the note of {0} is too long")]
    NoteTooLong(TopicPartition),
}

/// A member of a consumer group. Dropping it without [`Consumer::close`] is an unclean stop: the
/// next owner begins at the last commit.
pub trait Consumer: Send + Sync + 'static {
    /// The next event. May be cancelled without losing one. One caller at a time.
    fn next(&self) -> BoxFuture<'_, Result<ConsumerEvent, LogError>>;

    /// Stores offsets and notes. When it returns `Ok`, all of them are durable but the refused
    /// ones, which are listed.
    fn commit(&self, commits: Vec<Commit>) -> BoxFuture<'_, Result<Vec<CommitError>, LogError>>;

    /// No further records of this partition until [`Consumer::resume`]. Records that a pending
    /// [`Consumer::next`] has already taken may still come.
    fn pause(&self, at: &TopicPartition);

    /// Ends a pause.
    fn resume(&self, at: &TopicPartition);

    /// Begins a partition again at its last commit: it comes back as [`ConsumerEvent::Assigned`]
    /// with a new epoch, and no record of the old epoch follows that. Does nothing if the
    /// partition is not ours.
    fn restart(&self, at: &TopicPartition);

    /// How long an owner may act after it SENT its last successful commit: then the group may give
    /// its partitions to another, whether or not the owner hears of it. `None` = never without
    /// telling it, because all members are in one process.
    fn lease(&self) -> Option<Duration> {
        None
    }

    /// Leaves the group at once; commit first. Afterwards [`Consumer::next`] is
    /// [`LogError::Closed`].
    fn close(&self) -> BoxFuture<'_, ()>;
}
