//! The log in Apache Kafka: for services that are processes of their own.
//!
//! Everything that librdkafka does synchronously happens on threads of its own or on tokio's
//! blocking ones, never on a worker. Positions are the owner's to decide ([`crate::start`]): the
//! client never resets one. A fatal error of any client ends the process ([`KafkaLog::failed`]).

mod consumer;
mod context;
mod follower;
mod membership;
mod positions;
mod producer;
mod queue;
mod reader;
mod rebalance;
mod settings;
mod topics;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use chat4all_process::ConfigError;
use chat4all_process::metric::Metric;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

pub use settings::{
    Compression, GroupProtocol, KafkaSettings, SaslMechanism, SaslSettings, Security, StartAt,
    TlsSettings,
};

use consumer::KafkaConsumer;
use context::{ERROR_KINDS, Reporter};
use follower::KafkaFollower;
use producer::{KafkaProducer, NoProducer};
use reader::{Reader, unavailable};
use topics::Topics;

use crate::consumer::{Committed, Consumer, Subscription, TopicPartition};
use crate::follower::Follower;
use crate::producer::{Producer, ProducerOptions};
use crate::record::Record;
use crate::{Bounds, EventLog, LogError, TopicSpec};

/// The most questions to the brokers at once: each holds a thread.
const QUESTIONS: usize = 8;

/// How long [`KafkaLog::close`] waits for records that are not yet acknowledged.
const FLUSH: Duration = Duration::from_secs(5);

/// See the module.
pub struct KafkaLog(Arc<Inner>);

struct Inner {
    settings: KafkaSettings,
    max_record_bytes: usize,
    reporter: Reporter,
    reader: Reader,
    questions: Semaphore,
    producers: Mutex<Vec<Weak<KafkaProducer>>>,
}

impl KafkaLog {
    /// Makes the clients; they connect when they are needed. `service` names this process to the
    /// brokers and in metrics.
    ///
    /// # Errors
    /// If a setting contradicts another, or a file that it names cannot be used.
    pub fn new(
        settings: &KafkaSettings,
        service: &'static str,
        max_record_bytes: usize,
    ) -> Result<Arc<Self>, ConfigError> {
        settings.validate("kafka")?;
        let reporter = Reporter::new(service, &settings.bootstrap_servers);
        let reader = Reader::new(settings, reporter.clone()).map_err(|error| {
            let fix = "check certificates, key and credentials";
            ConfigError::missing("kafka", format!("no client can be made: {error}"), fix)
        })?;
        for kind in ERROR_KINDS {
            // The series exists from the start: a rate of nothing is no rate.
            Metric::LogClientErrors.add(service, &[kind], 0);
        }
        let (questions, producers) = (Semaphore::new(QUESTIONS), Mutex::default());
        let settings = settings.clone();
        Ok(Arc::new(Self(Arc::new(Inner {
            settings,
            max_record_bytes,
            reporter,
            reader,
            questions,
            producers,
        }))))
    }

    /// Resolves with the first fatal error of a client: the process should drain and end.
    pub fn failed(&self) -> BoxFuture<'static, String> {
        self.0.reporter.failure.clone().wait().boxed()
    }

    /// Waits a little until every record's end is known: the last thing before the process ends.
    pub fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            let producers = std::mem::take(&mut *self.0.producers());
            let flushed = spawn_blocking(move || {
                for producer in producers.iter().filter_map(Weak::upgrade) {
                    if let Err(error) = producer.flush(FLUSH) {
                        tracing::warn!(%error, "records were not acknowledged before the end");
                    }
                }
            });
            if let Err(error) = flushed.await {
                tracing::error!(%error, "flushing the producers failed");
            }
        }
        .boxed()
    }
}

impl Inner {
    fn producers(&self) -> std::sync::MutexGuard<'_, Vec<Weak<KafkaProducer>>> {
        // A list of handles: no change can leave it half done.
        self.producers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the brokers, on a thread that may wait.
    async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&Inner) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        // Never closed.
        let _place = self.questions.acquire().await;
        let inner = self.clone();
        match spawn_blocking(move || question(&inner)).await {
            Ok(answer) => answer,
            Err(error) => Err(LogError::Unavailable(error.to_string())),
        }
    }
}

impl EventLog for KafkaLog {
    fn ensure_topics(&self, topics: Vec<TopicSpec>) -> BoxFuture<'_, Result<(), LogError>> {
        let runtime = Handle::try_current();
        let ensure = move |inner: &Inner| {
            let runtime = runtime.map_err(|error| LogError::Unavailable(error.to_string()))?;
            let Inner { settings, max_record_bytes, reporter, .. } = inner;
            let (max_record_bytes, reporter) = (*max_record_bytes, reporter.clone());
            Topics { settings, max_record_bytes, reporter, runtime }.ensure(&topics)
        };
        async move { self.0.ask(ensure).await }.boxed()
    }

    fn partitions(&self, topic: &str) -> BoxFuture<'_, Result<u32, LogError>> {
        let topic = topic.to_owned();
        async move { self.0.ask(move |inner| inner.reader.partitions(&topic)).await }.boxed()
    }

    fn producer(&self, options: ProducerOptions) -> Arc<dyn Producer> {
        let Inner { settings, max_record_bytes, reporter, .. } = &*self.0;
        match KafkaProducer::new(settings, options, *max_record_bytes, reporter.of_another()) {
            Ok(producer) => {
                let producer = Arc::new(producer);
                let mut producers = self.0.producers();
                producers.retain(|producer| producer.strong_count() > 0);
                producers.push(Arc::downgrade(&producer));
                producer
            }
            Err(error) => {
                // The same settings have made the reader: this is no configuration error.
                reporter.failure.report(format!("no producer can be made: {error}"));
                Arc::new(NoProducer(error.to_string().into()))
            }
        }
    }

    fn subscribe(&self, to: Subscription) -> BoxFuture<'_, Result<Arc<dyn Consumer>, LogError>> {
        async move {
            self.0
                .ask(move |inner| {
                    for topic in &to.topics {
                        inner.reader.partitions(topic)?;
                    }
                    let consumer =
                        KafkaConsumer::join(&inner.settings, to, inner.reporter.of_another());
                    Ok(Arc::new(consumer.map_err(unavailable)?) as Arc<dyn Consumer>)
                })
                .await
        }
        .boxed()
    }

    fn bounds<'a>(&'a self, at: &'a TopicPartition) -> BoxFuture<'a, Result<Bounds, LogError>> {
        let at = at.clone();
        async move { self.0.ask(move |inner| inner.reader.bounds(&at)).await }.boxed()
    }

    fn read<'a>(
        &'a self,
        at: &'a TopicPartition,
        from: u64,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<Record>, LogError>> {
        let at = at.clone();
        let read = move |inner: &Inner| inner.reader.read(&inner.settings, &at, from, max);
        async move { self.0.ask(read).await }.boxed()
    }

    fn committed<'a>(
        &'a self,
        group: &'a str,
        partitions: &'a [TopicPartition],
    ) -> BoxFuture<'a, Result<Vec<Option<Committed>>, LogError>> {
        let (group, partitions) = (group.to_owned(), partitions.to_vec());
        let committed =
            move |inner: &Inner| inner.reader.committed(&inner.settings, &group, &partitions);
        async move { self.0.ask(committed).await }.boxed()
    }

    fn follow<'a>(
        &'a self,
        at: &'a TopicPartition,
    ) -> BoxFuture<'a, Result<Box<dyn Follower>, LogError>> {
        let at = at.clone();
        let follow = move |inner: &Inner| {
            inner.reader.require(&at)?;
            let follower = KafkaFollower::new(&inner.settings, inner.reporter.of_another(), &at)?;
            Ok(Box::new(follower) as Box<dyn Follower>)
        };
        async move { self.0.ask(follow).await }.boxed()
    }

    fn check(&self) -> BoxFuture<'_, Result<(), LogError>> {
        async move { self.0.ask(|inner| inner.reader.check()).await }.boxed()
    }
}
