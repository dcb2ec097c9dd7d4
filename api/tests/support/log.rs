//! The in-memory log, failing as it is told to. Shows what was appended.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chat4all_eventlog::inline::{InlineLog, InlineOptions};
use chat4all_eventlog::{
    Ack, Admission, AppendError, Bounds, Committed, Consumer, EventLog, Follower, LogError,
    NewRecord, Patience, Producer, ProducerOptions, Record, Subscription, TopicPartition,
    TopicSpec,
};
use chat4all_process::{Clock, Random};
use futures::FutureExt;
use futures::future::{BoxFuture, pending, ready};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogFault {
    /// Appends end with this error and are not written.
    Refuses(AppendError),
    /// Appends are written and never acknowledged.
    NeverAcks,
    /// The queue has no room.
    QueueFull,
}

#[derive(Default)]
struct State {
    fault: Option<LogFault>,
    records: Vec<NewRecord>,
    options: Option<ProducerOptions>,
}

pub struct TestLog {
    inner: Arc<InlineLog>,
    state: Arc<Mutex<State>>,
}

struct TestProducer {
    inner: Arc<dyn Producer>,
    state: Arc<Mutex<State>>,
}

impl TestLog {
    pub fn new(clock: Clock) -> Arc<Self> {
        let inner = InlineLog::new(InlineOptions::default(), clock, Random::seeded(1));
        let topic = TopicSpec {
            name: "messages".to_owned(),
            partitions: super::PARTITIONS,
            placement: chat4all_eventlog::Placement::ByKey,
            retention: Duration::from_secs(7 * 86_400),
            cleanup: chat4all_eventlog::Cleanup::Delete,
        };
        let accounts = TopicSpec {
            name: "accounts".to_owned(),
            partitions: 1,
            cleanup: chat4all_eventlog::Cleanup::Compact,
            ..topic
        };
        inner.ensure_topics(vec![topic, accounts]).now_or_never().unwrap().unwrap();
        Arc::new(Self { inner, state: Arc::default() })
    }

    pub fn fail(&self, fault: impl Into<Option<LogFault>>) {
        self.state.lock().unwrap().fault = fault.into();
    }

    pub fn records(&self) -> Vec<NewRecord> {
        self.state.lock().unwrap().records.clone()
    }

    pub fn patience(&self) -> (Patience, Admission) {
        let options = self.state.lock().unwrap().options.unwrap();
        (options.patience, options.admission)
    }
}

impl EventLog for TestLog {
    fn ensure_topics(&self, topics: Vec<TopicSpec>) -> BoxFuture<'_, Result<(), LogError>> {
        self.inner.ensure_topics(topics)
    }

    fn partitions(&self, topic: &str) -> BoxFuture<'_, Result<u32, LogError>> {
        self.inner.partitions(topic)
    }

    fn producer(&self, options: ProducerOptions) -> Arc<dyn Producer> {
        self.state.lock().unwrap().options = Some(options);
        let inner = self.inner.producer(options);
        Arc::new(TestProducer { inner, state: self.state.clone() })
    }

    fn subscribe(&self, to: Subscription) -> BoxFuture<'_, Result<Arc<dyn Consumer>, LogError>> {
        self.inner.subscribe(to)
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
        self.inner.read(at, from, max)
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
        match self.state.lock().unwrap().fault {
            None => self.inner.check(),
            Some(_) => Box::pin(ready(Err(LogError::Unavailable("told to fail".to_owned())))),
        }
    }
}

impl Producer for TestProducer {
    fn enqueue(&self, record: NewRecord) -> Result<Ack, Box<NewRecord>> {
        let mut state = self.state.lock().unwrap();
        match state.fault.clone() {
            Some(LogFault::QueueFull) => Err(Box::new(record)),
            Some(LogFault::Refuses(error)) => Ok(Box::pin(ready(Err(error)))),
            fault => {
                state.records.push(record.clone());
                let ack = self.inner.enqueue(record)?;
                Ok(if fault.is_some() { Box::pin(pending()) } else { ack })
            }
        }
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        match self.state.lock().unwrap().fault {
            None => self.inner.room(),
            Some(_) => Box::pin(pending()),
        }
    }
}
