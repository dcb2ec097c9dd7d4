use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, Transaction};

use crate::error::DbError;
use crate::threads::{Reader, Writer};

/// When a commit is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synchronous {
    /// After a power loss too: every commit is flushed to the disk.
    Full,
    /// After a crash of the process; a power loss may undo the last commits.
    Normal,
}

/// How a database is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// The schema, run at every opening: `CREATE TABLE IF NOT EXISTS …`.
    pub schema: &'static str,
    /// When a commit is safe.
    pub synchronous: Synchronous,
    /// The most 4,096-byte pages that the file may have; `None` = what the disk holds.
    pub max_pages: Option<u32>,
    /// The most jobs that wait for the writer; a further caller waits for room.
    pub queue: usize,
}

impl Options {
    /// Safe defaults for `schema`.
    pub fn new(schema: &'static str) -> Self {
        Self { schema, synchronous: Synchronous::Full, max_pages: None, queue: 4096 }
    }
}

/// A database. Cheap to clone; the file is closed when the last clone is gone.
#[derive(Clone)]
pub struct Database(Arc<Kind>);

enum Kind {
    File { writer: Writer, reader: Reader, path: PathBuf },
    Memory(Mutex<Connection>),
}

fn open(path: Option<&Path>, options: &Options) -> Result<Connection, DbError> {
    let connection = match path {
        Some(path) => Connection::open(path)?,
        None => Connection::open_in_memory()?,
    };
    connection.set_prepared_statement_cache_capacity(64);
    if path.is_some() {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        let synchronous = match options.synchronous {
            Synchronous::Full => "FULL",
            Synchronous::Normal => "NORMAL",
        };
        connection.pragma_update(None, "synchronous", synchronous)?;
        // Checkpoints copy pages that were written often only once, and do not interrupt batches.
        connection.pragma_update(None, "wal_autocheckpoint", 4_000)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
    }
    Ok(connection)
}

fn open_writable(path: Option<&Path>, options: &Options) -> Result<Connection, DbError> {
    let connection = open(path, options)?;
    connection.execute_batch(options.schema)?;
    if let Some(pages) = options.max_pages {
        connection.pragma_update(None, "max_page_count", pages)?;
    }
    Ok(connection)
}

impl Database {
    /// Opens or creates a file.
    ///
    /// # Errors
    /// If the file cannot be opened or is no database.
    pub fn open_file(path: &Path, options: &Options) -> Result<Self, DbError> {
        let writer = Writer::start(open_writable(Some(path), options)?, options.queue)?;
        let reader = Reader::start(open(Some(path), options)?, options.queue)?;
        Ok(Self(Arc::new(Kind::File { writer, reader, path: path.to_owned() })))
    }

    /// A fresh database in memory, whose jobs run on the caller's thread.
    ///
    /// # Errors
    /// If the schema is wrong.
    pub fn in_memory(options: &Options) -> Result<Self, DbError> {
        Ok(Self(Arc::new(Kind::Memory(Mutex::new(open_writable(None, options)?)))))
    }

    /// The file, unless the database is in memory.
    pub fn path(&self) -> Option<&Path> {
        match &*self.0 {
            Kind::File { path, .. } => Some(path),
            Kind::Memory(_) => None,
        }
    }

    /// Runs `job` in a transaction of its own or shared with others, and answers after the commit.
    /// A job that fails undoes only itself.
    ///
    /// # Errors
    /// What `job` returned, or what kept the transaction from being committed; no effect then.
    pub async fn write<T, F>(&self, job: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, DbError> + Send + 'static,
    {
        match &*self.0 {
            Kind::File { writer, .. } => writer.run(job).await,
            Kind::Memory(connection) => in_transaction(connection, job),
        }
    }

    /// Runs `job` on a connection that must only read; it sees everything committed before.
    ///
    /// # Errors
    /// What `job` returned.
    pub async fn read<T, F>(&self, job: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
    {
        match &*self.0 {
            Kind::File { reader, .. } => reader.run(job).await,
            Kind::Memory(connection) => {
                job(&connection.lock().unwrap_or_else(PoisonError::into_inner))
            }
        }
    }

    /// As [`Database::write`], queued at the time of the call: jobs of one caller run in the order
    /// of its calls. `done` hears the result after the commit.
    ///
    /// # Errors
    /// [`Busy`] if the queue is full; nothing was queued then.
    pub fn submit<T, F, D>(&self, job: F, done: D) -> Result<(), Busy>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, DbError> + Send + 'static,
        D: FnOnce(Result<T, DbError>) + Send + 'static,
    {
        match &*self.0 {
            Kind::File { writer, .. } => writer.submit(job, done),
            Kind::Memory(connection) => {
                done(in_transaction(connection, job));
                Ok(())
            }
        }
    }
}

/// The queue is full; try again when others are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

fn in_transaction<T>(
    connection: &Mutex<Connection>,
    job: impl FnOnce(&Transaction<'_>) -> Result<T, DbError>,
) -> Result<T, DbError> {
    let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
    let transaction = connection.transaction()?;
    let result = job(&transaction)?;
    transaction.commit()?;
    Ok(result)
}
