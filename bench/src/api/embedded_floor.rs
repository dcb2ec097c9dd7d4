//! SQLite as barely as it can be used with the same guarantees: two files, one writer each, a commit
//! to the disk for whatever has come together meanwhile.

use std::path::Path;
use std::thread;

use rusqlite::{Connection, params};
use tokio::sync::{mpsc, oneshot};

use super::floor::Row;
use crate::Failure;

/// Jobs that wait for a thread.
const QUEUE: usize = 4_096;
/// The most rows of one commit.
const BATCH: usize = 1_000;

const SETUP: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;";
const LOG: &str = "CREATE TABLE IF NOT EXISTS log (position INTEGER PRIMARY KEY, record BLOB)";
const APPEND: &str = "INSERT INTO log (record) VALUES (?1)";
const STORE: &str = "CREATE TABLE IF NOT EXISTS messages (conversation TEXT, at INTEGER, id TEXT, \
     receiver TEXT, content TEXT, PRIMARY KEY (conversation, at, id)) WITHOUT ROWID";
const INSERT: &str = "INSERT INTO messages VALUES (?1, ?2, ?3, ?4, ?5)";
const PAGE: &str = "SELECT at, id, receiver, content FROM messages \
     WHERE conversation = ?1 AND (at, id) < (?2, ?3) ORDER BY at DESC, id DESC LIMIT ?4";

type Done = oneshot::Sender<()>;
type Question = (String, (i64, String), usize, oneshot::Sender<Vec<Row>>);

pub(crate) struct Embedded {
    log: mpsc::Sender<(Row, Done)>,
    store: mpsc::Sender<(Row, Done)>,
    pages: mpsc::Sender<Question>,
}

impl Embedded {
    pub(crate) fn open(folder: &Path) -> Result<Self, Failure> {
        let open = |name: &str, table: &str| {
            let connection = Connection::open(folder.join(name))?;
            connection.execute_batch(&format!("{SETUP} {table}"))?;
            Ok::<_, rusqlite::Error>(connection)
        };
        let log = writer(open("floor-log.db", LOG)?, |connection, row| {
            let cannot = |error| rusqlite::Error::ToSqlConversionFailure(Box::new(error));
            let record = serde_json::to_vec(row).map_err(cannot)?;
            connection.prepare_cached(APPEND)?.execute(params![record])
        });
        let store = writer(open("floor-store.db", STORE)?, |connection, row| {
            let Row { message_id, accepted_at, conversation_id, receiver_id, content } = row;
            let values = params![conversation_id, accepted_at, message_id, receiver_id, content];
            connection.prepare_cached(INSERT)?.execute(values)
        });
        Ok(Self { log, store, pages: reader(open("floor-store.db", STORE)?) })
    }

    pub(crate) async fn append_and_insert(&self, row: Row) -> Result<(), Failure> {
        for writer in [&self.log, &self.store] {
            let (done, is_done) = oneshot::channel();
            writer.send((row.clone(), done)).await.map_err(|_| "a writer has ended")?;
            is_done.await?;
        }
        Ok(())
    }

    pub(crate) async fn page(
        &self,
        conversation: String,
        before: (i64, String),
        limit: usize,
    ) -> Result<Vec<Row>, Failure> {
        let (answer, answered) = oneshot::channel();
        let question = (conversation, before, limit, answer);
        self.pages.send(question).await.map_err(|_| "the reader has ended")?;
        Ok(answered.await?)
    }
}

/// A thread that ends at its first error; whoever waits for it hears that, and the log why.
#[allow(clippy::print_stderr)] // this process's log
fn start(run: impl FnOnce() -> rusqlite::Result<()> + Send + 'static) {
    thread::spawn(move || {
        if let Err(error) = run() {
            eprintln!("SQLite: {error}");
        }
    });
}

/// Writes whatever has come together, in one commit.
fn writer(
    mut connection: Connection,
    write: fn(&Connection, &Row) -> rusqlite::Result<usize>,
) -> mpsc::Sender<(Row, Done)> {
    let (sender, mut jobs) = mpsc::channel::<(Row, Done)>(QUEUE);
    start(move || {
        let mut batch = Vec::with_capacity(BATCH);
        while jobs.blocking_recv_many(&mut batch, BATCH) > 0 {
            let transaction = connection.transaction()?;
            for (row, _) in &batch {
                write(&transaction, row)?;
            }
            transaction.commit()?;
            for (_, done) in batch.drain(..) {
                // Whoever asked has gone.
                let _gone = done.send(());
            }
        }
        Ok(())
    });
    sender
}

fn reader(connection: Connection) -> mpsc::Sender<Question> {
    let (sender, mut questions) = mpsc::channel::<Question>(QUEUE);
    start(move || {
        while let Some((conversation_id, (at, id), limit, answer)) = questions.blocking_recv() {
            let mut select = connection.prepare_cached(PAGE)?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let rows = select.query_map(params![conversation_id, at, id, limit], |row| {
                Ok(Row {
                    accepted_at: row.get(0)?,
                    message_id: row.get(1)?,
                    receiver_id: row.get(2)?,
                    content: row.get(3)?,
                    conversation_id: conversation_id.clone(),
                })
            })?;
            // Whoever asked has gone.
            let _gone = answer.send(rows.collect::<Result<_, _>>()?);
        }
        Ok(())
    });
    sender
}
