//! Commits: offsets and notes.

use std::sync::Arc;

use chat4all_sqlite::DbError;
use chat4all_sqlite::rusqlite::Transaction;

use super::tables::{self, PartitionId};
use super::{Inner, unavailable};
use crate::consumer::Commit;
use crate::group::Ticket;

/// A commit overwrites a row and mostly needs no room, but it fails with the batch in which an
/// append met a full disk. So it is tried again, in another batch.
const TRIES: u32 = 3;

pub(super) fn store(log: Arc<Inner>, ticket: Ticket<Inner>) {
    attempt(log, ticket, TRIES);
}

fn attempt(log: Arc<Inner>, ticket: Ticket<Inner>, tries: u32) {
    let group = ticket.group().clone();
    let rows: Vec<(PartitionId, Commit)> = ticket
        .commits()
        .iter()
        .filter_map(|commit| Some((log.catalog.id(&commit.at)?, commit.clone())))
        .collect();
    let job = move |transaction: &Transaction<'_>| tables::commit(transaction, &group, &rows);
    let database = log.database.clone();
    let done = move |result: Result<(), DbError>| match result {
        Err(DbError::Full) if tries > 1 => attempt(log, ticket, tries - 1),
        Err(error) => ticket.finish(Err(unavailable(error))),
        Ok(()) => ticket.finish(Ok(())),
    };
    // If the queue is full the ticket is dropped here, which answers its owner.
    if database.submit(job, done).is_err() {
        tracing::warn!("a commit found no place in the queue of writes");
    }
}
