//! A log that goes wrong as a test tells it, around any other log. Each wrapper is what one process
//! sees of the log: its members of a group can be cut off, and the group then gives their
//! partitions to others.

mod gate;
mod member;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::sleep;

use crate::{
    Ack, AppendError, Assignment, Bounds, Commit, CommitError, Committed, Consumer, EventLog,
    Follower, LogError, NewRecord, Patience, Producer, ProducerOptions, Record, Subscription,
    TopicPartition, TopicSpec,
};

pub use gate::Gate;
use member::FaultyConsumer;

/// What goes wrong with an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendFault {
    /// Not written, and the caller hears that it is not acknowledged.
    Lost,
    /// Written, and the caller hears that it is not acknowledged.
    Unacknowledged,
    /// Not written: the caller hears that the log is full.
    Refused,
}

/// What goes wrong with a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitFault {
    /// Not stored: every partition is said to belong to another epoch.
    Refused,
    /// Not stored: the log is away.
    Failed,
    /// Stored, and the caller hears that the log is away.
    Unacknowledged,
    /// Stored after this time.
    Slow(Duration),
}

/// Decides at each call. May panic, which then is the fault.
pub trait Faults: Send + Sync + 'static {
    /// About to append for a producer that gives up; a patient one never fails.
    fn append(&self, _record: &NewRecord) -> Option<AppendFault> {
        None
    }

    /// About to commit.
    fn commit(&self, _commits: &[Commit]) {}

    /// About to read back.
    fn read(&self) -> Option<LogError> {
        None
    }

    /// How much later an append is acknowledged.
    fn append_delay(&self, _record: &NewRecord) -> Option<Duration> {
        None
    }

    /// An append was acknowledged to its caller.
    fn appended(&self, _record: &NewRecord) {}

    /// What goes wrong with a commit of a group. May change the notes: another program's.
    fn commit_fault(&self, _group: &str, _commits: &mut [Commit]) -> Option<CommitFault> {
        None
    }

    /// A member of a group was given partitions.
    fn assigned(&self, _group: &str, _assignments: &[Assignment]) {}

    /// These commits of a group are durable, whatever the caller hears.
    fn committed(&self, _group: &str, _commits: &[Commit]) {}

    /// A group's [`Consumer::lease`], in place of the log's own.
    fn lease(&self) -> Option<Duration> {
        None
    }
}

/// See the module.
pub struct FaultyLog {
    inner: Arc<dyn EventLog>,
    faults: Arc<dyn Faults>,
    members: Mutex<Vec<Weak<FaultyConsumer>>>,
}

impl FaultyLog {
    /// `inner`, with these faults.
    pub fn new(inner: Arc<dyn EventLog>, faults: Arc<dyn Faults>) -> Arc<Self> {
        Arc::new(Self { inner, faults, members: Mutex::default() })
    }

    /// From now on the members of a group hear nothing, and their commits fail after a while.
    pub fn cut_off(&self, group: &str) {
        self.of_group(group).iter().for_each(|member| member.cut_off());
    }

    /// The group gives up the members that are cut off: others get their partitions.
    pub fn evict(&self, group: &str) {
        self.of_group(group).iter().for_each(|member| member.evict());
    }

    /// The members come back; those that were given up join anew and hear that all was lost.
    ///
    /// # Errors
    /// As [`EventLog::subscribe`].
    pub async fn reconnect(&self, group: &str) -> Result<(), LogError> {
        for member in self.of_group(group) {
            member.reconnect(&*self.inner).await?;
        }
        Ok(())
    }

    fn of_group(&self, group: &str) -> Vec<Arc<FaultyConsumer>> {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.retain(|member| member.strong_count() > 0);
        members.iter().filter_map(Weak::upgrade).filter(|member| member.is_of(group)).collect()
    }
}

impl EventLog for FaultyLog {
    fn ensure_topics(&self, topics: Vec<TopicSpec>) -> BoxFuture<'_, Result<(), LogError>> {
        self.inner.ensure_topics(topics)
    }

    fn partitions(&self, topic: &str) -> BoxFuture<'_, Result<u32, LogError>> {
        self.inner.partitions(topic)
    }

    fn producer(&self, options: ProducerOptions) -> Arc<dyn Producer> {
        let inner = self.inner.producer(options);
        let patient = options.patience == Patience::Forever;
        Arc::new(FaultyProducer { inner, faults: self.faults.clone(), patient })
    }

    fn subscribe(&self, to: Subscription) -> BoxFuture<'_, Result<Arc<dyn Consumer>, LogError>> {
        Box::pin(async move {
            let inner = self.inner.subscribe(to.clone()).await?;
            let consumer = Arc::new(FaultyConsumer::new(inner, to, self.faults.clone()));
            let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
            members.retain(|member| member.strong_count() > 0);
            members.push(Arc::downgrade(&consumer));
            Ok(consumer as Arc<dyn Consumer>)
        })
    }

    fn bounds<'a>(&'a self, at: &'a TopicPartition) -> BoxFuture<'a, Result<Bounds, LogError>> {
        self.inner.bounds(at)
    }

    fn read<'a>(
        &'a self,
        at: &'a TopicPartition,
        from: u64,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<Record>, LogError>> {
        match self.faults.read() {
            Some(error) => Box::pin(async { Err(error) }),
            None => self.inner.read(at, from, max),
        }
    }

    fn committed<'a>(
        &'a self,
        group: &'a str,
        partitions: &'a [TopicPartition],
    ) -> BoxFuture<'a, Result<Vec<Option<Committed>>, LogError>> {
        self.inner.committed(group, partitions)
    }

    fn follow<'a>(
        &'a self,
        at: &'a TopicPartition,
    ) -> BoxFuture<'a, Result<Box<dyn Follower>, LogError>> {
        self.inner.follow(at)
    }

    fn check(&self) -> BoxFuture<'_, Result<(), LogError>> {
        self.inner.check()
    }
}

struct FaultyProducer {
    inner: Arc<dyn Producer>,
    faults: Arc<dyn Faults>,
    patient: bool,
}

impl Producer for FaultyProducer {
    fn enqueue(&self, record: NewRecord) -> Result<Ack, Box<NewRecord>> {
        let fault = if self.patient { None } else { self.faults.append(&record) };
        match fault {
            Some(AppendFault::Lost) => return Ok(Box::pin(async { Err(unacknowledged()) })),
            Some(AppendFault::Refused) => return Ok(Box::pin(async { Err(AppendError::Full) })),
            Some(AppendFault::Unacknowledged) | None => {}
        }
        let (delay, faults) = (self.faults.append_delay(&record), self.faults.clone());
        let ack = self.inner.enqueue(record.clone())?;
        Ok(Box::pin(async move {
            let position = ack.await?;
            if let Some(delay) = delay {
                sleep(delay).await;
            }
            if fault.is_some() {
                return Err(unacknowledged());
            }
            faults.appended(&record);
            Ok(position)
        }))
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        self.inner.room()
    }
}

fn unacknowledged() -> AppendError {
    AppendError::Unavailable("for a test".to_owned())
}

fn away() -> LogError {
    LogError::Unavailable("for a test".to_owned())
}

fn stale(commits: &[Commit]) -> Vec<CommitError> {
    commits.iter().map(|commit| CommitError::Stale(commit.at.clone())).collect()
}
