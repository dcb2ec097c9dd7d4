//! A log whose calls panic or fail as often as they are told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use chat4all_eventlog::inline::InlineLog;
use chat4all_eventlog::{
    Ack, Bounds, Commit, CommitError, Consumer, ConsumerEvent, EventLog, LogError, NewRecord,
    Producer, ProducerOptions, Record, Subscription, TopicPartition, TopicSpec,
};
use futures::future::BoxFuture;

/// How often each call still goes wrong.
#[derive(Default)]
pub struct Faults {
    pub enqueue_panics: AtomicU32,
    pub commit_panics: AtomicU32,
    pub read_errors: AtomicU32,
    /// The highest offset committed.
    pub committed: AtomicU64,
}

fn take(left: &AtomicU32) -> bool {
    let less = |n: u32| n.checked_sub(1);
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
}

pub struct FaultyLog {
    pub inner: Arc<InlineLog>,
    pub faults: Arc<Faults>,
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
        Arc::new(FaultyProducer { inner, faults: self.faults.clone() })
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
        if take(&self.faults.read_errors) {
            return Box::pin(async { Err(LogError::Unavailable("for a test".to_owned())) });
        }
        self.inner.read(at, from, max)
    }

    fn check(&self) -> BoxFuture<'_, Result<(), LogError>> {
        self.inner.check()
    }
}

struct FaultyProducer {
    inner: Arc<dyn Producer>,
    faults: Arc<Faults>,
}

impl Producer for FaultyProducer {
    fn enqueue(&self, record: NewRecord) -> Result<Ack, Box<NewRecord>> {
        assert!(!take(&self.faults.enqueue_panics), "a panic for a test");
        self.inner.enqueue(record)
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        self.inner.room()
    }
}

struct FaultyConsumer {
    inner: Arc<dyn Consumer>,
    faults: Arc<Faults>,
}

impl Consumer for FaultyConsumer {
    fn next(&self) -> BoxFuture<'_, Result<ConsumerEvent, LogError>> {
        self.inner.next()
    }

    fn commit(&self, commits: Vec<Commit>) -> BoxFuture<'_, Result<Vec<CommitError>, LogError>> {
        assert!(!take(&self.faults.commit_panics), "a panic for a test");
        let highest = commits.iter().map(|commit| commit.offset).max().unwrap_or(0);
        self.faults.committed.fetch_max(highest, Ordering::Relaxed);
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

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}
