//! The store in one SQLite file, or in memory for simulation.
//!
//! Every call is one job of the database: it reads, merges with [`StatusState::merge`] and writes
//! in one transaction, so concurrent calls are in one order. What is past its end is not seen from
//! that moment on; [`MessageStore::sweep`] only frees its room.

mod audit;
mod claims;
mod letters;
mod meetings;
mod messages;
mod open;
mod row;
mod schema;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chat4all_contracts::{ConversationId, EpochMs, Generation, Message, MessageId, StatusState};
use chat4all_sqlite::rusqlite::{Connection, Transaction};
use chat4all_sqlite::{Database, DbError, Options, Synchronous};

use self::meetings::Place;
use self::row::{Failure, settle};
use crate::letters::LetterStore;
use crate::port::Answer;
use crate::{
    Claim, ClaimKey, Cursor, Meeting, MeetingPlace, MessageStore, OpenPage, OpenPlace, Page,
    RowAddress, Shards, StoreError, StoredMessage, Tenant,
};

/// The most rows that one step of a sweep forgets: bounds how long the writer is held up.
const SWEEP_ROWS: usize = 1_000;

/// How the file is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// When a write is safe.
    pub synchronous: Synchronous,
    /// The most 4,096-byte pages that the file may have; `None` = what the disk holds.
    pub max_pages: Option<u32>,
    /// The most calls that wait for the writer, and as many for the reader; a further call waits
    /// for room.
    pub queue: usize,
}

impl Default for StoreOptions {
    /// Safe after a power loss.
    fn default() -> Self {
        let Options { synchronous, max_pages, queue, .. } = Options::new("");
        Self { synchronous, max_pages, queue }
    }
}

/// The embedded store.
pub struct EmbeddedStore {
    database: Database,
}

impl EmbeddedStore {
    /// Opens or creates a file. Blocks for its recovery after a crash.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the file cannot be opened or is no database.
    pub fn open_file(path: &Path, options: StoreOptions) -> Result<Arc<Self>, StoreError> {
        let StoreOptions { synchronous, max_pages, queue } = options;
        let options = Options { schema: schema::SCHEMA, synchronous, max_pages, queue };
        let database = Database::open_file(path, &options).map_err(away)?;
        Ok(Arc::new(Self { database }))
    }

    /// A fresh store in memory. Every call is done on the caller's thread, at once.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if SQLite has no memory.
    pub fn in_memory() -> Result<Arc<Self>, StoreError> {
        let database = Database::in_memory(&Options::new(schema::SCHEMA)).map_err(away)?;
        Ok(Arc::new(Self { database }))
    }

    fn write<'a, T: Send + 'static>(
        &'a self,
        job: impl FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Answer<'a, T> {
        Box::pin(async move {
            self.database.write(|transaction| settle(job(transaction))).await.map_err(away)?
        })
    }

    fn read<'a, T: Send + 'static>(
        &'a self,
        job: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Answer<'a, T> {
        Box::pin(async move {
            self.database.read(|connection| settle(job(connection))).await.map_err(away)?
        })
    }
}

fn away(error: DbError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

impl MessageStore for EmbeddedStore {
    fn put_message<'a>(&'a self, tenant: &'a Tenant, message: &'a Message) -> Answer<'a, ()> {
        let (tenant, message) = (tenant.clone(), message.clone());
        self.write(move |db| messages::put(db, &tenant.0, &message))
    }

    fn merge_status<'a>(
        &'a self,
        tenant: &'a Tenant,
        row: &'a RowAddress,
        reports: &'a StatusState,
    ) -> Answer<'a, ()> {
        let (tenant, row, reports) = (tenant.clone(), row.clone(), reports.clone());
        self.write(move |db| messages::merge(db, &tenant.0, &row, &reports))
    }

    fn arrive_row<'a>(
        &'a self,
        tenant: &'a Tenant,
        place: &'a MeetingPlace,
        row: &'a RowAddress,
    ) -> Answer<'a, ()> {
        let (tenant, place, row) = (tenant.clone(), place.clone(), row.clone());
        self.write(move |db| meetings::arrive_row(db, &tenant.0, &Place::of(&place), &row))
    }

    fn arrive_report<'a>(
        &'a self,
        tenant: &'a Tenant,
        place: &'a MeetingPlace,
        reports: &'a StatusState,
        now: EpochMs,
        keep: Duration,
    ) -> Answer<'a, ()> {
        let (tenant, place, reports) = (tenant.clone(), place.clone(), reports.clone());
        self.write(move |db| {
            meetings::arrive_report(db, &tenant.0, &Place::of(&place), &reports, now, keep)
        })
    }

    fn look<'a>(
        &'a self,
        tenant: &'a Tenant,
        place: &'a MeetingPlace,
        now: EpochMs,
    ) -> Answer<'a, Meeting> {
        let (tenant, place) = (tenant.clone(), place.clone());
        self.read(move |db| meetings::look(db, &tenant.0, &Place::of(&place), now))
    }

    fn message<'a>(
        &'a self,
        tenant: &'a Tenant,
        id: &'a MessageId,
    ) -> Answer<'a, Option<StoredMessage>> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.read(move |db| messages::by_id(db, &tenant.0, &id))
    }

    fn page<'a>(
        &'a self,
        tenant: &'a Tenant,
        conversation: &'a ConversationId,
        after: Option<&'a Cursor>,
        limit: usize,
    ) -> Answer<'a, Page> {
        let (tenant, conversation, after) = (tenant.clone(), conversation.clone(), after.cloned());
        self.read(move |db| messages::page(db, &tenant.0, &conversation, after.as_ref(), limit))
    }

    fn claim<'a>(
        &'a self,
        tenant: &'a Tenant,
        key: &'a ClaimKey,
        claim: &'a Claim,
        now: EpochMs,
        keep: Duration,
    ) -> Answer<'a, Option<Claim>> {
        let (tenant, key, claim) = (tenant.clone(), key.clone(), claim.clone());
        self.write(move |db| claims::claim(db, &tenant.0, &key, &claim, now, keep))
    }

    fn letters(&self) -> &dyn LetterStore {
        self
    }

    /// The index over the rows knows it.
    fn note_open<'a>(
        &'a self,
        _: &'a Tenant,
        _: &'a Message,
        _: EpochMs,
        _: EpochMs,
    ) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    /// The index over the rows knows it.
    fn note_settled<'a>(
        &'a self,
        _: &'a Tenant,
        _: &'a MessageId,
        _: Generation,
        _: EpochMs,
        _: EpochMs,
    ) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn open<'a>(
        &'a self,
        tenant: &'a Tenant,
        shards: Shards,
        after: &'a OpenPlace,
        until: EpochMs,
        limit: usize,
    ) -> Answer<'a, OpenPage> {
        let (tenant, after) = (tenant.clone(), after.clone());
        self.read(move |db| open::open(db, &tenant.0, shards, &after, until, limit))
    }

    fn sweep(&self, now: EpochMs) -> Answer<'_, ()> {
        Box::pin(async move {
            // Between two steps other calls get their turn.
            for step in [claims::sweep, meetings::sweep, letters::sweep, audit::sweep] {
                while self.write(move |db| step(db, now, SWEEP_ROWS)).await? == SWEEP_ROWS {}
            }
            Ok(())
        })
    }

    fn check(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            // A write of its own: a full disk or a locked file answers reads and nothing else.
            self.write(|tx| {
                tx.prepare_cached(schema::PROBE)?.execute([]).map(drop).map_err(Failure::from)
            })
            .await?;
            self.read(|db| {
                db.prepare_cached("SELECT EXISTS (SELECT 1 FROM messages)")?
                    .query_row([], |_| Ok(()))
                    .map_err(Failure::from)
            })
            .await
        })
    }
}
