//! The log in one SQLite file: the default, for one process.
//!
//! One writer with group commit, reads beside it, and wake-ups from the commit itself; nothing
//! polls. Offsets are dense here, but no user may count on it. The file must be opened by one
//! process at a time; whoever owns the folder sees to that.

mod catalog;
mod commit;
mod compaction;
mod floor;
mod headers;
mod producer;
mod retention;
mod tables;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chat4all_process::Clock;
use chat4all_sqlite::rusqlite::{Connection, Transaction};
use chat4all_sqlite::{Database, DbError, Options};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::oneshot;

use catalog::Catalog;
use floor::Floor;
use tables::Range;

use crate::consumer::{Committed, Consumer, Subscription, TopicPartition};
use crate::follower::{Follower, Tail};
use crate::group::{Backing, FETCH_BYTES, Fetched, Groups, Ticket, committed, subscribe};
use crate::producer::{Producer, ProducerOptions};
use crate::record::Record;
use crate::room::QueueBounds;
use crate::{Bounds, EventLog, LogError, TopicSpec};

/// The most records that one job on the reader's thread reads for [`EventLog::read`], so that
/// consumers wait little for it.
const READ_STEP: usize = 1_000;

/// How an embedded log is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedOptions {
    /// The longest record: key, value and headers.
    pub max_record_bytes: usize,
    /// The most 4,096-byte pages of the file; `None` = what the disk holds.
    pub max_pages: Option<u32>,
    /// Below this many free bytes [`Admission::NewWork`](crate::Admission::NewWork) is refused.
    pub free_space_floor_bytes: u64,
    /// The most records of one producer that are not yet written.
    pub queue_records: usize,
    /// The most bytes of one producer's records that are not yet written.
    pub queue_bytes: usize,
    /// The most jobs that wait for the writer, over all producers and consumers.
    pub queue_jobs: usize,
    /// How often [`EmbeddedLog::run_retention`] looks for expired records.
    pub retention_interval: Duration,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            max_record_bytes: 1 << 20,
            max_pages: None,
            free_space_floor_bytes: 256 << 20,
            queue_records: 10_000,
            queue_bytes: 64 << 20,
            queue_jobs: 4_096,
            retention_interval: Duration::from_secs(60),
        }
    }
}

/// The log. The file is closed when the last handle, producer and consumer is gone.
pub struct EmbeddedLog(Arc<Inner>);

struct Inner {
    database: Database,
    options: EmbeddedOptions,
    clock: Clock,
    catalog: Catalog,
    groups: Groups,
    floor: Floor,
}

/// A database error says nothing about the future: the caller may try again.
fn unavailable(error: DbError) -> LogError {
    LogError::Unavailable(error.to_string())
}

impl EmbeddedLog {
    /// Opens or creates the file at `path`. Blocks until what it holds is read.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] if the file cannot be opened or is no log.
    pub fn open(
        path: &Path,
        options: EmbeddedOptions,
        clock: Clock,
    ) -> Result<Arc<Self>, LogError> {
        let database_options = Options {
            max_pages: options.max_pages,
            queue: options.queue_jobs,
            ..Options::new(tables::SCHEMA)
        };
        let database = Database::open_file(path, &database_options).map_err(unavailable)?;
        let (partitions, offsets) = load(&database).map_err(unavailable)?;
        let floor = Floor::new(options.free_space_floor_bytes);
        let catalog = Catalog::default();
        catalog.learn(partitions);
        let groups = Groups::new(offsets);
        let inner = Inner { database, options, clock, catalog, groups, floor };
        Ok(Arc::new(Self(Arc::new(inner))))
    }
}

type Loaded = (Vec<tables::StoredPartition>, crate::group::Offsets);

/// Reads everything that is kept in memory, on the writer's thread: this one may be no runtime's.
fn load(database: &Database) -> Result<Loaded, DbError> {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let load = |tx: &Transaction<'_>| Ok((tables::partitions(tx)?, tables::offsets(tx)?));
    let done = move |loaded| {
        // The receiver waits below.
        let _ = sender.send(loaded);
    };
    database.submit(load, done).map_err(|_| DbError::Closed)?;
    receiver.recv().map_err(|_| DbError::Closed)?
}

impl Inner {
    /// Writes, and takes `effect` over into memory after the commit, even if the caller has gone.
    async fn write<T, U, F, E>(self: &Arc<Self>, job: F, effect: E) -> Result<U, LogError>
    where
        T: Send + 'static,
        U: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, DbError> + Send + 'static,
        E: FnOnce(&Inner, T) -> Result<U, LogError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let log = self.clone();
        let done = move |result: Result<T, DbError>| {
            let result = result.map_err(unavailable).and_then(|value| effect(&log, value));
            // A caller that has gone away does not want the answer.
            let _ = reply.send(result);
        };
        let busy = || LogError::Unavailable("too many writes are waiting".to_owned());
        self.database.submit(job, done).map_err(|_| busy())?;
        answer.await.map_err(|_| unavailable(DbError::Closed))?
    }

    async fn read_range(&self, range: Range) -> Result<Fetched, LogError> {
        let job = move |connection: &Connection| tables::read(connection, &range);
        let (start, records) = self.database.read(job).await.map_err(unavailable)?;
        Ok(Fetched { start, records })
    }

    fn range(&self, at: &TopicPartition, from: u64, max: usize) -> Result<Range, LogError> {
        let unknown = || LogError::UnknownPartition(at.clone());
        let id = self.catalog.id(at).ok_or_else(unknown)?;
        Ok(Range { at: at.clone(), id, from, max, max_bytes: usize::MAX })
    }

    async fn read_all(
        &self,
        at: &TopicPartition,
        from: u64,
        max: usize,
    ) -> Result<Vec<Record>, LogError> {
        let (mut records, mut from) = (Vec::new(), from);
        loop {
            let step = READ_STEP.min(max - records.len());
            let read = self.read_range(self.range(at, from, step)?).await?.records;
            let Some(last) = read.last() else { return Ok(records) };
            from = last.offset + 1;
            let reached_end = read.len() < step;
            records.extend(read);
            if reached_end || records.len() >= max {
                return Ok(records);
            }
        }
    }
}

impl Backing for Inner {
    fn groups(&self) -> &Groups {
        &self.groups
    }

    fn partition_count(&self, topic: &str) -> Option<u32> {
        self.catalog.partition_count(topic)
    }

    fn bounds(&self, at: &TopicPartition) -> Option<Bounds> {
        self.catalog.bounds(at)
    }

    fn fetch<'a>(
        &'a self,
        at: &'a TopicPartition,
        from: u64,
        max: usize,
    ) -> BoxFuture<'a, Result<Fetched, LogError>> {
        async move {
            let range = Range { max_bytes: FETCH_BYTES, ..self.range(at, from, max)? };
            self.read_range(range).await
        }
        .boxed()
    }

    fn store(self: Arc<Self>, ticket: Ticket<Self>) {
        commit::store(self, ticket);
    }
}

impl EventLog for EmbeddedLog {
    fn ensure_topics(&self, topics: Vec<TopicSpec>) -> BoxFuture<'_, Result<(), LogError>> {
        catalog::ensure(&self.0, topics).boxed()
    }

    fn partitions(&self, topic: &str) -> BoxFuture<'_, Result<u32, LogError>> {
        let unknown = || LogError::UnknownPartition(TopicPartition::new(topic, 0));
        let count = self.0.catalog.partition_count(topic).ok_or_else(unknown);
        futures::future::ready(count).boxed()
    }

    fn producer(&self, options: ProducerOptions) -> Arc<dyn Producer> {
        let bounds = QueueBounds {
            records: self.0.options.queue_records,
            bytes: self.0.options.queue_bytes,
        };
        Arc::new(producer::EmbeddedProducer::new(self.0.clone(), options, bounds))
    }

    fn subscribe(&self, to: Subscription) -> BoxFuture<'_, Result<Arc<dyn Consumer>, LogError>> {
        async move { subscribe(&self.0, to) }.boxed()
    }

    fn bounds<'a>(&'a self, at: &'a TopicPartition) -> BoxFuture<'a, Result<Bounds, LogError>> {
        let unknown = || LogError::UnknownPartition(at.clone());
        futures::future::ready(self.0.catalog.bounds(at).ok_or_else(unknown)).boxed()
    }

    fn read<'a>(
        &'a self,
        at: &'a TopicPartition,
        from: u64,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<Record>, LogError>> {
        self.0.read_all(at, from, max).boxed()
    }

    fn committed<'a>(
        &'a self,
        group: &'a str,
        partitions: &'a [TopicPartition],
    ) -> BoxFuture<'a, Result<Vec<Option<Committed>>, LogError>> {
        futures::future::ready(committed(&*self.0, group, partitions)).boxed()
    }

    fn follow<'a>(
        &'a self,
        at: &'a TopicPartition,
    ) -> BoxFuture<'a, Result<Box<dyn Follower>, LogError>> {
        let tail = Tail::new(self.0.clone(), at).map(|tail| Box::new(tail) as Box<dyn Follower>);
        futures::future::ready(tail).boxed()
    }

    fn check(&self) -> BoxFuture<'_, Result<(), LogError>> {
        async move {
            // A write of its own: a full disk or a locked file answers reads and nothing else.
            self.0.write(|tx| tables::probe(tx), |_, ()| Ok(())).await?;
            let inner = self.0.clone();
            let look = move |connection: &Connection| {
                Ok(inner.floor.is_above(&inner.database, connection))
            };
            match self.0.database.read(look).await.map_err(unavailable)? {
                true => Ok(()),
                false => Err(LogError::Unavailable("little disk is left".to_owned())),
            }
        }
        .boxed()
    }
}
