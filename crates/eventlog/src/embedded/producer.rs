//! Appends. Each producer has one queue and at most one job with the writer; the job takes all that
//! has been queued when it runs. So calls keep their order, also through failures, and a crowd of
//! callers shares a transaction.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chat4all_sqlite::DbError;
use chat4all_sqlite::rusqlite::Transaction;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::Inner;
use super::tables::{self, PartitionId};
use crate::consumer::TopicPartition;
use crate::producer::{
    Ack, Admission, AppendError, Patience, Producer, ProducerOptions, ack_within,
};
use crate::record::{NewRecord, Position};
use crate::room::{Place, QueueBounds, Room};

/// The most records that one job writes: bounds how long other producers' jobs wait.
const MAX_JOB_RECORDS: usize = 1_000;
/// The bytes after which a job takes no further record.
const MAX_JOB_BYTES: usize = 8 << 20;
/// The first and the longest pause before a patient producer tries again.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

type Answer = Result<Position, AppendError>;

pub(super) struct EmbeddedProducer(Arc<Queue>);

struct Queue {
    log: Arc<Inner>,
    options: ProducerOptions,
    room: Room,
    state: Mutex<State>,
}

struct State {
    waiting: VecDeque<Entry>,
    /// With the writer, taken out of `waiting` by the job.
    flying: Vec<Entry>,
    /// Whether a job is with the writer.
    busy: bool,
    /// The most records of the next job: 1 after a failure, as a smaller job may find room.
    limit: usize,
    failures: u32,
    /// Not before this, after a failure.
    retry_at: Option<Instant>,
    /// Where the pause before a retry is slept.
    runtime: Option<Handle>,
}

struct Entry {
    id: PartitionId,
    record: NewRecord,
    bytes: usize,
    reply: oneshot::Sender<Answer>,
    _place: Place,
}

/// What a job did.
enum Outcome {
    /// The offsets of the flying records.
    Written(Vec<u64>),
    /// The records bring new work and there is too little room for it.
    Refused,
}

impl EmbeddedProducer {
    pub(super) fn new(log: Arc<Inner>, options: ProducerOptions, bounds: QueueBounds) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            flying: Vec::new(),
            busy: false,
            limit: MAX_JOB_RECORDS,
            failures: 0,
            retry_at: None,
            runtime: None,
        };
        let room = Room::new(bounds);
        Self(Arc::new(Queue { log, options, room, state: Mutex::new(state) }))
    }
}

impl Producer for EmbeddedProducer {
    fn enqueue(&self, record: NewRecord) -> Result<Ack, Box<NewRecord>> {
        let queue = &self.0;
        let (bytes, max) = (record.size(), queue.log.options.max_record_bytes);
        if bytes > max {
            return Ok(ready(Err(AppendError::TooLarge { bytes, max })).boxed());
        }
        let Some(id) = queue.log.catalog.id(&record.to) else {
            return Ok(ready(Err(AppendError::UnknownPartition)).boxed());
        };
        let Some(place) = queue.room.take(bytes) else { return Err(Box::new(record)) };
        let (reply, answer) = oneshot::channel();
        queue.with(|state| {
            state.waiting.push_back(Entry { id, record, bytes, reply, _place: place });
            if let Ok(runtime) = Handle::try_current() {
                state.runtime = Some(runtime);
            }
        });
        queue.pump();
        Ok(ack_within(queue.options.patience, answer))
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        self.0.room.wait().boxed()
    }
}

impl Queue {
    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        // Entries move by single pushes and pops.
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives the writer a job, if there is something to write and none is with it.
    fn pump(self: &Arc<Self>) {
        let now = Instant::now();
        let starts = self.with(|state| {
            let held = state.retry_at.is_some_and(|at| at > now);
            let starts = !state.busy && !held && !state.waiting.is_empty();
            state.busy |= starts;
            starts
        });
        if !starts {
            return;
        }
        let (queue, flight) = (self.clone(), Flight(Some(self.clone())));
        let job = move |transaction: &Transaction<'_>| queue.write(transaction);
        // A full queue drops the flight, which is a failed try.
        let _ = self.log.database.submit(job, move |result| flight.land(result));
    }

    /// Writes what waits. Runs on the writer's thread.
    fn write(&self, transaction: &Transaction<'_>) -> Result<Outcome, DbError> {
        let batch = self.with(|state| {
            let (mut batch, mut bytes) = (Vec::new(), 0);
            while batch.len() < state.limit
                && bytes < MAX_JOB_BYTES
                && let Some(entry) = state.waiting.pop_front()
            {
                bytes += entry.bytes;
                batch.push(entry);
            }
            batch
        });
        // Without the lock: callers go on queueing.
        let result = self.append(transaction, &batch);
        self.with(|state| state.flying = batch);
        result
    }

    fn append(&self, transaction: &Transaction<'_>, batch: &[Entry]) -> Result<Outcome, DbError> {
        let is_new_work = self.options.admission == Admission::NewWork;
        if is_new_work && !self.log.floor.is_above(&self.log.database, transaction) {
            return match self.options.patience {
                Patience::GiveUpAfter(_) => Ok(Outcome::Refused),
                // Refusing it now and taking the next one later would change the order.
                Patience::Forever => Err(DbError::Full),
            };
        }
        let records = batch.iter().map(|entry| (entry.id, &entry.record));
        tables::append(transaction, records).map(Outcome::Written)
    }

    fn landed(self: &Arc<Self>, result: Result<Outcome, DbError>) {
        let is_patient = self.options.patience == Patience::Forever;
        let (flown, retry_at) = self.with(|state| {
            state.busy = false;
            let flown = std::mem::take(&mut state.flying);
            // Nothing flew if the job did not even run.
            if result.is_ok() || (!is_patient && !flown.is_empty()) {
                state.failures = 0;
                state.retry_at = None;
                state.limit = (state.limit * 2).min(MAX_JOB_RECORDS);
                return (flown, None);
            }
            if let (0, Err(error)) = (state.failures, &result) {
                tracing::warn!(%error, "records are held until the log can be written again");
            }
            flown.into_iter().rev().for_each(|entry| state.waiting.push_front(entry));
            state.limit = 1;
            let pause = RETRY.0.saturating_mul(1 << state.failures.min(10)).min(RETRY.1);
            state.failures = state.failures.saturating_add(1);
            state.retry_at = Some(Instant::now() + pause);
            (Vec::new(), state.retry_at.zip(state.runtime.clone()))
        });
        match result {
            Ok(Outcome::Written(offsets)) => self.written(flown, &offsets),
            Ok(Outcome::Refused) => answer_all(flown, &AppendError::Full),
            Err(DbError::Full) => answer_all(flown, &AppendError::Full),
            Err(error) => answer_all(flown, &AppendError::Unavailable(error.to_string())),
        }
        match retry_at {
            None => self.pump(),
            Some((at, runtime)) => {
                let queue = self.clone();
                // Once a failure, not once a record. If the runtime is gone, the next call of
                // `enqueue` tries again.
                drop(runtime.spawn(async move {
                    sleep_until(at).await;
                    queue.with(|state| state.retry_at = None);
                    queue.pump();
                }));
            }
        }
    }

    fn written(&self, flown: Vec<Entry>, offsets: &[u64]) {
        let mut ends: BTreeMap<TopicPartition, u64> = BTreeMap::new();
        for (entry, offset) in flown.iter().zip(offsets) {
            ends.insert(entry.record.to.clone(), offset + 1);
        }
        for (at, end) in &ends {
            self.log.catalog.set_end(at, *end);
        }
        let partitions: Vec<TopicPartition> = ends.into_keys().collect();
        self.log.groups.appended(&partitions);
        for (entry, offset) in flown.into_iter().zip(offsets) {
            let position = Position { partition: entry.record.to.partition, offset: *offset };
            // A caller that has gone away does not want the answer.
            let _ = entry.reply.send(Ok(position));
        }
    }
}

fn answer_all(entries: Vec<Entry>, error: &AppendError) {
    for entry in entries {
        // A caller that has gone away does not want the answer.
        let _ = entry.reply.send(Err(error.clone()));
    }
}

/// A job with the writer. Dropped without an answer (the writer could not begin, or its queue was
/// full), it counts as failed.
struct Flight(Option<Arc<Queue>>);

impl Flight {
    fn land(mut self, result: Result<Outcome, DbError>) {
        if let Some(queue) = self.0.take() {
            queue.landed(result);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if let Some(queue) = self.0.take() {
            queue.landed(Err(DbError::Closed));
        }
    }
}
