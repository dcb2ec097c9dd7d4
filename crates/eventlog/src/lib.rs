//! The log between the services.
//!
//! [`EventLog`] is the port: partitioned topics, producers with bounded queues, consumer groups
//! with assignments and commits. Its adapters are [`embedded`] (SQLite, the default), `kafka`
//! (Apache Kafka, a cargo feature) and [`inline`] (memory, for simulation); all pass the one suite in
//! `conformance`.
//!
//! What every consumer needs on top is here too and knows no adapter: the ordered offset
//! [`tracker`], the commit [`note`], and the [`group_loop`] of services that are no connector.

pub mod consumer;
pub mod embedded;
pub mod feed;
pub mod follower;
pub mod group_gauges;
pub mod group_loop;
pub mod inline;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod note;
pub mod producer;
pub mod record;
mod retry_log;
pub mod topology;
pub mod tracker;

mod group;
mod room;
mod spec;
mod start;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "conformance")]
pub mod faulty;

use std::sync::Arc;

use chat4all_process::probe::ReadyCheck;
use futures::future::BoxFuture;
use thiserror::Error;

pub use consumer::{
    Assignment, Commit, CommitError, Committed, Consumer, ConsumerEvent, Epoch, RevokeAck, Revoked,
    Subscription, TopicPartition,
};
pub use feed::{Fed, Feed};
pub use follower::{Followed, Follower};
pub use producer::{Ack, Admission, AppendError, Patience, Producer, ProducerOptions, append};
pub use record::{Header, NewRecord, Position, Record};
pub use topology::Topology;

/// A topic that a service needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// The name.
    pub name: String,
    /// How many partitions, at least 1.
    pub partitions: u32,
    /// How records find their partition.
    pub placement: Placement,
    /// How long a record is kept at least, if old ones are deleted.
    pub retention: std::time::Duration,
    /// What happens to old records.
    pub cleanup: Cleanup,
}

/// What happens to old records. Never changes for a topic that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleanup {
    /// They go after the topic's retention.
    Delete,
    /// The newest record of every key stays for ever; those that it replaces go at some time.
    Compact,
}

/// How records find their partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// By their key: the count never changes, because keys would move and lose their order.
    ByKey,
    /// Configuration names each partition's use: the topic grows when another use is added, and
    /// never shrinks.
    Named,
}

/// The offsets that a partition holds: `start..end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The first offset still there.
    pub start: u64,
    /// The offset that the next record will get.
    pub end: u64,
}

/// Why the log could not do something. Never contains a record's value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LogError {
    /// The topic or partition does not exist.
    #[error("no partition {0}")]
    UnknownPartition(TopicPartition),
    /// A topic exists with other settings than the services need.
    #[error("topic {topic} {rule}")]
    TopicMismatch {
        /// The topic.
        topic: String,
        /// What it must be, and how to make it so.
        rule: String,
    },
    /// The log does not answer; later it may.
    #[error("the log is away: {0}")]
    Unavailable(String),
    /// The log, or this consumer, is being closed.
    #[error("closed")]
    Closed,
    /// The log's client cannot go on: the process has to end and be restarted.
    #[error("{0}")]
    Fatal(String),
}

/// Whether `log` answers, for /ready.
pub fn ready_check(log: Arc<dyn EventLog>) -> ReadyCheck {
    Arc::new(move || {
        let log = log.clone();
        Box::pin(async move { log.check().await.map_err(|error| error.to_string()) })
    })
}

/// The log.
pub trait EventLog: Send + Sync + 'static {
    /// Creates the topics that do not exist and checks those that do. See [`Placement`] for what
    /// may change.
    fn ensure_topics(&self, topics: Vec<TopicSpec>) -> BoxFuture<'_, Result<(), LogError>>;

    /// The partition count of a topic.
    fn partitions(&self, topic: &str) -> BoxFuture<'_, Result<u32, LogError>>;

    /// A producer with its own policy.
    fn producer(&self, options: ProducerOptions) -> Arc<dyn Producer>;

    /// Joins a consumer group. Several members share the partitions of their topics.
    fn subscribe(&self, to: Subscription) -> BoxFuture<'_, Result<Arc<dyn Consumer>, LogError>>;

    /// The offsets that a partition holds.
    fn bounds<'a>(&'a self, at: &'a TopicPartition) -> BoxFuture<'a, Result<Bounds, LogError>>;

    /// Reads up to `max` records from `from` on, without a group. Offsets may have gaps; fewer
    /// than `max` records (or none) mean the end was reached. A `from` before the start reads
    /// from the start.
    fn read<'a>(
        &'a self,
        at: &'a TopicPartition,
        from: u64,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<Record>, LogError>>;

    /// What a group has committed for each of `partitions`, in their order; `None` = nothing yet.
    /// Anybody may ask, a member or not. Only durable commits are told.
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`] if one of them does not exist.
    fn committed<'a>(
        &'a self,
        group: &'a str,
        partitions: &'a [TopicPartition],
    ) -> BoxFuture<'a, Result<Vec<Option<Committed>>, LogError>>;

    /// Follows a partition from its start, without a group.
    fn follow<'a>(
        &'a self,
        at: &'a TopicPartition,
    ) -> BoxFuture<'a, Result<Box<dyn Follower>, LogError>>;

    /// Whether the log answers.
    fn check(&self) -> BoxFuture<'_, Result<(), LogError>>;
}
