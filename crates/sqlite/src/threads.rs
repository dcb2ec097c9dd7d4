//! The writer's thread and the reader's thread.
//!
//! SQLite blocks, so it must stay off the runtime's workers. A thread of its own (rather than the
//! runtime's blocking pool) keeps its connection, its statement cache and the order of its jobs.

use std::collections::VecDeque;
use std::thread;

use rusqlite::{Connection, Transaction};
use tokio::sync::{mpsc, oneshot};

use crate::database::Busy;
use crate::error::DbError;

/// The most jobs that share one transaction: bounds how long the first of them waits.
const MAX_BATCH: usize = 1_000;

/// Told whether the transaction that its job ran in was committed.
type Completion = Box<dyn FnOnce(Result<(), DbError>) + Send>;
/// A queued job: its completion, and the job's own error.
type WriteJob = Box<dyn FnOnce(&Transaction<'_>) -> (Completion, Option<DbError>) + Send>;
type ReadJob = Box<dyn FnOnce(&Connection) + Send>;

/// The thread that owns the writing connection.
pub(crate) struct Writer(mpsc::Sender<WriteJob>);

impl Writer {
    pub(crate) fn start(connection: Connection, queue: usize) -> Result<Self, DbError> {
        let (sender, receiver) = mpsc::channel(queue);
        spawn("sqlite-writer", move || write_batches(connection, receiver))?;
        Ok(Self(sender))
    }

    pub(crate) async fn run<T, F>(&self, job: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, DbError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        // A caller that has gone away does not want the answer.
        let done = move |result| drop(reply.send(result));
        self.0.send(write_job(job, done)).await.map_err(|_| DbError::Closed)?;
        answer.await.map_err(|_| DbError::Closed)?
    }

    pub(crate) fn submit<T, F, D>(&self, job: F, done: D) -> Result<(), Busy>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, DbError> + Send + 'static,
        D: FnOnce(Result<T, DbError>) + Send + 'static,
    {
        self.0.try_send(write_job(job, done)).map_err(|_| Busy)
    }
}

fn write_job<T, F, D>(job: F, done: D) -> WriteJob
where
    T: Send + 'static,
    F: FnOnce(&Transaction<'_>) -> Result<T, DbError> + Send + 'static,
    D: FnOnce(Result<T, DbError>) + Send + 'static,
{
    Box::new(move |transaction| {
        let result = in_savepoint(transaction, job);
        let error = result.as_ref().err().cloned();
        (Box::new(move |committed: Result<(), DbError>| done(committed.and(result))), error)
    })
}

/// Runs a job so that its failure undoes only itself, not the batch.
fn in_savepoint<T>(
    transaction: &Transaction<'_>,
    job: impl FnOnce(&Transaction<'_>) -> Result<T, DbError>,
) -> Result<T, DbError> {
    transaction.execute_batch("SAVEPOINT job")?;
    match job(transaction) {
        Ok(value) => {
            transaction.execute_batch("RELEASE job")?;
            Ok(value)
        }
        Err(error) => {
            // A full disk may have ended the whole transaction already; see `run_batch`.
            if !transaction.is_autocommit() {
                transaction.execute_batch("ROLLBACK TO job; RELEASE job")?;
            }
            Err(error)
        }
    }
}

fn write_batches(mut connection: Connection, mut jobs: mpsc::Receiver<WriteJob>) {
    let mut received = Vec::with_capacity(MAX_BATCH);
    let mut batch = VecDeque::with_capacity(MAX_BATCH);
    // A full disk fails batch after batch: it is told once, and every caller hears of its own job.
    let mut told = None;
    loop {
        if batch.is_empty() {
            if jobs.blocking_recv_many(&mut received, MAX_BATCH) == 0 {
                return;
            }
            batch.extend(received.drain(..));
        }
        let mut completions = Vec::with_capacity(batch.len());
        let committed = run_batch(&mut connection, &mut batch, &mut completions);
        if let Err(error) = &committed
            && told.as_ref() != Some(error)
        {
            tracing::error!(%error, jobs = completions.len(), "a batch was not committed");
        }
        told = committed.as_ref().err().cloned();
        if completions.is_empty() && committed.is_err() {
            // No transaction could be begun. Dropping the jobs tells their callers `Closed`.
            batch.clear();
        }
        for completion in completions {
            completion(committed.clone());
        }
    }
}

/// Runs jobs until the batch is empty or its transaction was ended by SQLite itself, as it does
/// when the disk is full. Jobs that did not run stay in `batch`.
fn run_batch(
    connection: &mut Connection,
    batch: &mut VecDeque<WriteJob>,
    completions: &mut Vec<Completion>,
) -> Result<(), DbError> {
    let transaction = connection.transaction()?;
    while let Some(job) = batch.pop_front() {
        let (completion, error) = job(&transaction);
        completions.push(completion);
        // Outside a transaction the next job would commit itself unnoticed.
        if transaction.is_autocommit() {
            return Err(error.unwrap_or(DbError::Full));
        }
    }
    transaction.commit().map_err(DbError::from)
}

/// The thread that owns a reading connection.
pub(crate) struct Reader(mpsc::Sender<ReadJob>);

impl Reader {
    pub(crate) fn start(connection: Connection, queue: usize) -> Result<Self, DbError> {
        let (sender, mut receiver) = mpsc::channel::<ReadJob>(queue);
        spawn("sqlite-reader", move || {
            while let Some(job) = receiver.blocking_recv() {
                job(&connection);
            }
        })?;
        Ok(Self(sender))
    }

    pub(crate) async fn run<T, F>(&self, job: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: ReadJob = Box::new(move |connection| drop(reply.send(job(connection))));
        self.0.send(job).await.map_err(|_| DbError::Closed)?;
        answer.await.map_err(|_| DbError::Closed)?
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), DbError> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map(drop)
        .map_err(|error| DbError::Other(error.to_string()))
}
