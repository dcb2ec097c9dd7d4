//! What every user of a database here relies on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use chat4all_sqlite::{Database, DbError, Options};

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS items (id INTEGER PRIMARY KEY, text TEXT)";

async fn add(database: &Database, text: &str) -> Result<i64, DbError> {
    let text = text.to_owned();
    let insert = "INSERT INTO items (text) VALUES (?1)";
    database
        .write(move |tx| {
            tx.prepare_cached(insert)?.execute([text])?;
            Ok(tx.last_insert_rowid())
        })
        .await
}

async fn count(database: &Database) -> i64 {
    let query = "SELECT COUNT(*) FROM items";
    database.read(|c| Ok(c.query_row(query, [], |row| row.get(0))?)).await.unwrap()
}

#[tokio::test]
async fn what_was_written_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let database = Database::open_file(&path, &Options::new(SCHEMA)).unwrap();
    assert_eq!(add(&database, "a").await, Ok(1));
    assert_eq!(count(&database).await, 1);
    drop(database);
    let database = Database::open_file(&path, &Options::new(SCHEMA)).unwrap();
    assert_eq!(count(&database).await, 1);
}

#[tokio::test]
async fn a_failing_job_undoes_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let file = Database::open_file(&folder.path().join("x.db"), &Options::new(SCHEMA)).unwrap();
    let memory = Database::in_memory(&Options::new(SCHEMA)).unwrap();
    for database in [file, memory] {
        let jobs = (0..50).map(|n| {
            let database = database.clone();
            async move {
                database
                    .write(move |tx| {
                        tx.execute("INSERT INTO items (text) VALUES ('x')", [])?;
                        if n % 2 == 0 { Ok(()) } else { Err(DbError::Other("no".to_owned())) }
                    })
                    .await
            }
        });
        let mut tasks = tokio::task::JoinSet::new();
        jobs.for_each(|job| drop(tasks.spawn(job)));
        let results = tasks.join_all().await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 25);
        assert_eq!(count(&database).await, 25);
    }
}

#[tokio::test]
async fn a_full_database_says_so_and_goes_on_reading() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { max_pages: Some(20), ..Options::new(SCHEMA) };
    let database = Database::open_file(&folder.path().join("x.db"), &options).unwrap();
    let text = "x".repeat(1000);
    let mut written = 0;
    let error = loop {
        match add(&database, &text).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1000, "20 pages never filled");
    };
    assert_eq!(error, DbError::Full);
    assert_eq!(count(&database).await, written);
}

#[tokio::test]
async fn jobs_of_one_caller_run_in_the_order_of_its_calls() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open_file(&folder.path().join("x.db"), &Options::new(SCHEMA)).unwrap();
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    for n in 0..500 {
        let sender = sender.clone();
        let insert = move |tx: &chat4all_sqlite::rusqlite::Transaction<'_>| {
            tx.execute("INSERT INTO items (text) VALUES ('x')", [])?;
            Ok(tx.last_insert_rowid())
        };
        let told = database.submit(insert, move |id| drop(sender.send((n, id))));
        assert!(told.is_ok());
    }
    for n in 0..500 {
        assert_eq!(receiver.recv().await, Some((n, Ok(n + 1))));
    }
}
