//! The log in memory, for simulation: no thread, no task, no disk, the same run for the same seed.
//!
//! What is appended is in the log at once and survives the runtime that appended it, as a disk
//! survives a process; only the acknowledgement takes its time. So a simulated kill can fall
//! between the two.

mod producer;
mod state;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chat4all_contracts::EpochMs;
use chat4all_process::{Clock, Random, Shutdown};
use futures::FutureExt;
use futures::future::{BoxFuture, ready};

use state::State;

use crate::consumer::{Committed, Consumer, Subscription, TopicPartition};
use crate::follower::{Follower, Tail};
use crate::group::{Backing, FETCH_BYTES, Fetched, Groups, Offsets, Ticket, committed, subscribe};
use crate::producer::{Producer, ProducerOptions};
use crate::record::Record;
use crate::room::QueueBounds;
use crate::{Bounds, EventLog, LogError, TopicSpec};

/// How an inline log behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InlineOptions {
    /// The longest record: key, value and headers.
    pub max_record_bytes: usize,
    /// How many bytes of records fit; `None` = any number.
    pub max_bytes: Option<usize>,
    /// With less than this left of `max_bytes`, [`Admission::NewWork`](crate::Admission::NewWork)
    /// is refused.
    pub floor_bytes: usize,
    /// Between the shortest and the longest time after which an append is acknowledged; `None` =
    /// at once.
    pub ack_delay: Option<(Duration, Duration)>,
    /// The most records of one producer whose [`Ack`](crate::Ack) is neither resolved nor dropped.
    pub queue_records: usize,
    /// The most bytes of such records.
    pub queue_bytes: usize,
    /// How often [`InlineLog::run_retention`] looks for expired records.
    pub retention_interval: Duration,
}

impl Default for InlineOptions {
    fn default() -> Self {
        Self {
            max_record_bytes: 1 << 20,
            max_bytes: None,
            floor_bytes: 0,
            ack_delay: None,
            queue_records: 10_000,
            queue_bytes: 64 << 20,
            retention_interval: Duration::from_secs(60),
        }
    }
}

/// The log.
pub struct InlineLog(Arc<Inner>);

struct Inner {
    options: InlineOptions,
    clock: Clock,
    random: Random,
    state: Mutex<State>,
    groups: Groups,
}

impl InlineLog {
    /// An empty log. `random` decides when appends are acknowledged.
    pub fn new(options: InlineOptions, clock: Clock, random: Random) -> Arc<Self> {
        let state = Mutex::new(State::new(options.max_bytes, options.floor_bytes));
        let groups = Groups::new(Offsets::new());
        Arc::new(Self(Arc::new(Inner { options, clock, random, state, groups })))
    }

    /// Removes expired records from time to time until `shutdown`.
    pub async fn run_retention(self: Arc<Self>, shutdown: Shutdown) {
        let interval = self.0.options.retention_interval;
        while shutdown.unless(tokio::time::sleep(interval)).await.is_some() {
            self.retain_once(self.0.clock.now());
        }
    }

    /// Removes every record that is expired at `now`, and of compacted topics every one that a newer
    /// one has replaced; answers how many. A partition loses expired records only from its start:
    /// one that is not expired keeps those behind it.
    pub fn retain_once(&self, now: EpochMs) -> u64 {
        let removed = self.0.with(|state| state.remove_expired(now));
        self.0.flush_held();
        removed
    }
}

impl Inner {
    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        // Every change is complete before anything that could panic.
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes the held records of patient producers, as far as there is room.
    fn flush_held(&self) {
        let (partitions, replies) = self.with(State::flush_held);
        self.groups.appended(&partitions);
        for (reply, position) in replies {
            // A caller that has gone away does not want the answer.
            let _ = reply.send(position);
        }
    }
}

impl Backing for Inner {
    fn groups(&self) -> &Groups {
        &self.groups
    }

    fn partition_count(&self, topic: &str) -> Option<u32> {
        self.with(|state| state.partition_count(topic))
    }

    fn bounds(&self, at: &TopicPartition) -> Option<Bounds> {
        self.with(|state| state.bounds(at))
    }

    fn fetch<'a>(
        &'a self,
        at: &'a TopicPartition,
        from: u64,
        max: usize,
    ) -> BoxFuture<'a, Result<Fetched, LogError>> {
        let unknown = || LogError::UnknownPartition(at.clone());
        let fetched = self.with(|state| state.read(at, from, max, FETCH_BYTES));
        ready(fetched.ok_or_else(unknown)).boxed()
    }

    fn store(self: Arc<Self>, ticket: Ticket<Self>) {
        // The groups' own copy is all there is.
        ticket.finish(Ok(()));
    }
}

impl EventLog for InlineLog {
    fn ensure_topics(&self, topics: Vec<TopicSpec>) -> BoxFuture<'_, Result<(), LogError>> {
        ready(self.0.with(|state| state.ensure(topics))).boxed()
    }

    fn partitions(&self, topic: &str) -> BoxFuture<'_, Result<u32, LogError>> {
        let unknown = || LogError::UnknownPartition(TopicPartition::new(topic, 0));
        ready(self.0.partition_count(topic).ok_or_else(unknown)).boxed()
    }

    fn producer(&self, options: ProducerOptions) -> Arc<dyn Producer> {
        let bounds = QueueBounds {
            records: self.0.options.queue_records,
            bytes: self.0.options.queue_bytes,
        };
        Arc::new(producer::InlineProducer::new(self.0.clone(), options, bounds))
    }

    fn subscribe(&self, to: Subscription) -> BoxFuture<'_, Result<Arc<dyn Consumer>, LogError>> {
        async move { subscribe(&self.0, to) }.boxed()
    }

    fn bounds<'a>(&'a self, at: &'a TopicPartition) -> BoxFuture<'a, Result<Bounds, LogError>> {
        let unknown = || LogError::UnknownPartition(at.clone());
        ready(Backing::bounds(&*self.0, at).ok_or_else(unknown)).boxed()
    }

    fn read<'a>(
        &'a self,
        at: &'a TopicPartition,
        from: u64,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<Record>, LogError>> {
        let unknown = || LogError::UnknownPartition(at.clone());
        let read = self.0.with(|state| state.read(at, from, max, usize::MAX));
        ready(read.map(|fetched| fetched.records).ok_or_else(unknown)).boxed()
    }

    fn committed<'a>(
        &'a self,
        group: &'a str,
        partitions: &'a [TopicPartition],
    ) -> BoxFuture<'a, Result<Vec<Option<Committed>>, LogError>> {
        ready(committed(&*self.0, group, partitions)).boxed()
    }

    fn follow<'a>(
        &'a self,
        at: &'a TopicPartition,
    ) -> BoxFuture<'a, Result<Box<dyn Follower>, LogError>> {
        let tail = Tail::new(self.0.clone(), at).map(|tail| Box::new(tail) as Box<dyn Follower>);
        ready(tail).boxed()
    }

    fn check(&self) -> BoxFuture<'_, Result<(), LogError>> {
        ready(Ok(())).boxed()
    }
}
