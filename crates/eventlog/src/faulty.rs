//! A log that goes wrong as a test tells it, around any other log.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::{
    Ack, AppendError, Bounds, Commit, CommitError, Committed, Consumer, ConsumerEvent, EventLog,
    Follower, LogError, NewRecord, Patience, Producer, ProducerOptions, Record, Subscription,
    TopicPartition, TopicSpec,
};

/// What goes wrong with an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendFault {
    /// Not written, and the caller hears that it is not acknowledged.
    Lost,
    /// Written, and the caller hears that it is not acknowledged.
    Unacknowledged,
}

/// Decides at each call. May panic, which then is the fault.
pub trait Faults: Send + Sync + 'static {
    /// About to append for a producer that gives up; a patient one never fails.
    fn append(&self, record: &NewRecord) -> Option<AppendFault>;

    /// About to commit.
    fn commit(&self, commits: &[Commit]);

    /// About to read back.
    fn read(&self) -> Option<LogError>;
}

/// See the module.
pub struct FaultyLog {
    inner: Arc<dyn EventLog>,
    faults: Arc<dyn Faults>,
}

impl FaultyLog {
    /// `inner`, with these faults.
    pub fn new(inner: Arc<dyn EventLog>, faults: Arc<dyn Faults>) -> Arc<Self> {
        Arc::new(Self { inner, faults })
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
            let inner = self.inner.subscribe(to).await?;
            let consumer = FaultyConsumer { inner, faults: self.faults.clone() };
            Ok(Arc::new(consumer) as Arc<dyn Consumer>)
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
        let unacknowledged = || AppendError::Unavailable("for a test".to_owned());
        match fault {
            None => self.inner.enqueue(record),
            Some(AppendFault::Lost) => Ok(Box::pin(async move { Err(unacknowledged()) })),
            Some(AppendFault::Unacknowledged) => {
                let ack = self.inner.enqueue(record)?;
                Ok(Box::pin(async move { ack.await.and_then(|_| Err(unacknowledged())) }))
            }
        }
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        self.inner.room()
    }
}

struct FaultyConsumer {
    inner: Arc<dyn Consumer>,
    faults: Arc<dyn Faults>,
}

impl Consumer for FaultyConsumer {
    fn next(&self) -> BoxFuture<'_, Result<ConsumerEvent, LogError>> {
        self.inner.next()
    }

    fn commit(&self, commits: Vec<Commit>) -> BoxFuture<'_, Result<Vec<CommitError>, LogError>> {
        self.faults.commit(&commits);
        self.inner.commit(commits)
    }

    fn pause(&self, at: &TopicPartition) {
        self.inner.pause(at);
    }

    fn resume(&self, at: &TopicPartition) {
        self.inner.resume(at);
    }

    fn restart(&self, at: &TopicPartition) {
        self.inner.restart(at);
    }

    fn lease(&self) -> Option<Duration> {
        self.inner.lease()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}
