//! The ledger's tables, and the one transaction that a call is.
//!
//! Counters are kept, not computed, so that a long ledger is read as fast as a short one. A plain
//! recipient or a text is never written here.

use chat4all_sqlite::rusqlite::{Connection, Transaction, named_params, params};
use chat4all_sqlite::{DbError, Options, Synchronous};

use crate::identity::Identity;
use crate::receipts::{self, NewReceipt};

/// What this program reads and writes.
pub(crate) const VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL);
INSERT INTO schema_version SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM schema_version);

CREATE TABLE IF NOT EXISTS totals (
    platform TEXT PRIMARY KEY,
    calls INTEGER NOT NULL,
    accepted INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    overlaps INTEGER NOT NULL,
    last_sequence INTEGER NOT NULL,
    receipts_lost INTEGER NOT NULL,
    receipts_answered INTEGER NOT NULL DEFAULT 0,
    receipts_expired INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS conversations (
    id INTEGER PRIMARY KEY,
    platform TEXT NOT NULL,
    account TEXT NOT NULL,
    conversation TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    accepted INTEGER NOT NULL,
    duplicates INTEGER NOT NULL,
    overlaps INTEGER NOT NULL,
    UNIQUE (platform, account, conversation)
);

-- scope: 0, or the conversation within which the message id holds.
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY,
    platform TEXT NOT NULL,
    scope INTEGER NOT NULL,
    message TEXT NOT NULL,
    conversation INTEGER NOT NULL REFERENCES conversations,
    recipient TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    accepted INTEGER NOT NULL,
    first_sequence INTEGER NOT NULL,
    first_accepted INTEGER,
    UNIQUE (platform, scope, message)
);
CREATE INDEX IF NOT EXISTS messages_in_order ON messages (conversation, first_accepted);

CREATE TABLE IF NOT EXISTS acceptances (
    message INTEGER NOT NULL REFERENCES messages,
    sequence INTEGER NOT NULL,
    external_id TEXT NOT NULL,
    PRIMARY KEY (message, sequence)
) WITHOUT ROWID;

-- An id is never used again: memory may still know the old one.
CREATE TABLE IF NOT EXISTS receipts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    platform TEXT NOT NULL,
    account TEXT NOT NULL,
    external_id TEXT NOT NULL,
    stage INTEGER NOT NULL,
    recipient TEXT NOT NULL,
    address TEXT,
    opaque TEXT,
    at_ms INTEGER NOT NULL,
    due_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS receipts_due ON receipts (platform, due_ms, id);
";

/// How the ledger's database must be opened. Commits survive kill -9, not a power loss.
pub(crate) fn options() -> Options {
    Options { synchronous: Synchronous::Normal, ..Options::new(SCHEMA) }
}

/// One call, for the ledger. Holds recipients and conversations: no Debug.
pub(crate) struct Entry {
    pub platform: &'static str,
    pub account: String,
    /// Rises with every arrival.
    pub sequence: u64,
    /// `None` if the call named no message.
    pub identity: Option<Identity>,
    /// The platform's id if the message was accepted.
    pub external_id: Option<String>,
    pub overlaps: bool,
    pub receipts: Vec<NewReceipt>,
    pub receipts_lost: u64,
    /// The recipient as receipts show it, if that may be stored.
    pub address: Option<String>,
    pub opaque: Option<String>,
}

/// The version of the ledger, and the sequence number of the last call in it.
pub(crate) fn state(connection: &Connection) -> Result<(i64, u64), DbError> {
    let version =
        connection.query_row("SELECT version FROM schema_version", [], |row| row.get(0))?;
    let last = "SELECT COALESCE(MAX(last_sequence), 0) FROM totals";
    let last: i64 = connection.query_row(last, [], |row| row.get(0))?;
    Ok((version, u64::try_from(last).unwrap_or(0)))
}

/// Writes a call and the receipts it will cause.
pub(crate) fn record(tx: &Transaction<'_>, entry: &Entry) -> Result<(), DbError> {
    let mut is_new = false;
    if let Some(identity) = &entry.identity {
        let conversation = count_conversation(tx, entry, identity)?;
        let (message, accepted) = count_message(tx, entry, identity, conversation)?;
        is_new = entry.external_id.is_some() && accepted == 1;
        if let Some(external_id) = &entry.external_id {
            let insert = "INSERT INTO acceptances VALUES (?1, ?2, ?3)";
            let sequence = to_sql(entry.sequence);
            tx.prepare_cached(insert)?.execute(params![message, sequence, external_id])?;
            if accepted > 1 {
                let add = "UPDATE conversations SET duplicates = duplicates + 1 WHERE id = ?1";
                tx.prepare_cached(add)?.execute([conversation])?;
            }
            receipts::insert(tx, entry, external_id, identity)?;
        }
    }
    count_total(tx, entry, is_new)
}

fn count_conversation(
    tx: &Transaction<'_>,
    entry: &Entry,
    identity: &Identity,
) -> Result<i64, DbError> {
    let upsert = "
        INSERT INTO conversations
            (platform, account, conversation, attempts, accepted, duplicates, overlaps)
        VALUES (?1, ?2, ?3, 1, ?4, 0, ?5)
        ON CONFLICT (platform, account, conversation) DO UPDATE SET
            attempts = attempts + 1,
            accepted = accepted + excluded.accepted,
            overlaps = overlaps + excluded.overlaps
        RETURNING id";
    let accepted = entry.external_id.is_some();
    let values =
        params![entry.platform, entry.account, identity.conversation, accepted, entry.overlaps];
    Ok(tx.prepare_cached(upsert)?.query_row(values, |row| row.get(0))?)
}

/// The message's row, and how often it has been accepted now.
fn count_message(
    tx: &Transaction<'_>,
    entry: &Entry,
    identity: &Identity,
    conversation: i64,
) -> Result<(i64, i64), DbError> {
    // Calls are written in any order: the lowest number is the first.
    let upsert = "
        INSERT INTO messages (platform, scope, message, conversation, recipient, attempts,
            accepted, first_sequence, first_accepted)
        VALUES (:platform, :scope, :message, :conversation, :recipient, 1,
            :accepted, :sequence, CASE WHEN :accepted THEN :sequence END)
        ON CONFLICT (platform, scope, message) DO UPDATE SET
            attempts = attempts + 1,
            accepted = accepted + excluded.accepted,
            first_sequence = MIN(first_sequence, excluded.first_sequence),
            first_accepted = COALESCE(MIN(first_accepted, excluded.first_accepted),
                first_accepted, excluded.first_accepted)
        RETURNING id, accepted";
    let values = named_params! {
        ":platform": entry.platform,
        ":scope": if identity.global { 0 } else { conversation },
        ":message": identity.message,
        ":conversation": conversation,
        ":recipient": identity.recipient,
        ":accepted": entry.external_id.is_some(),
        ":sequence": to_sql(entry.sequence),
    };
    let row = tx.prepare_cached(upsert)?.query_row(values, |row| Ok((row.get(0)?, row.get(1)?)));
    Ok(row?)
}

fn count_total(tx: &Transaction<'_>, entry: &Entry, is_new: bool) -> Result<(), DbError> {
    let upsert = "
        INSERT INTO totals
            (platform, calls, accepted, messages, overlaps, last_sequence, receipts_lost)
        VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6)
        ON CONFLICT (platform) DO UPDATE SET
            calls = calls + 1,
            accepted = accepted + excluded.accepted,
            messages = messages + excluded.messages,
            overlaps = overlaps + excluded.overlaps,
            last_sequence = MAX(last_sequence, excluded.last_sequence),
            receipts_lost = receipts_lost + excluded.receipts_lost";
    let values = params![
        entry.platform,
        entry.external_id.is_some(),
        is_new,
        entry.overlaps,
        to_sql(entry.sequence),
        to_sql(entry.receipts_lost)
    ];
    tx.prepare_cached(upsert)?.execute(values)?;
    Ok(())
}

/// A number as SQLite holds it; ours never come near the limit.
pub(crate) fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
