//! The receipts that are still to be sent, as rows.

use chat4all_sqlite::rusqlite::{Connection, Row, Transaction, named_params, params};
use chat4all_sqlite::{DbError, rusqlite};

use crate::identity::Identity;
use crate::ledger::{Entry, to_sql};
use crate::platform::Stage;

/// A receipt of a call that is just being recorded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewReceipt {
    pub stage: Stage,
    /// When it happens, milliseconds since 1970.
    pub at_ms: u64,
    /// When it is sent first.
    pub due_ms: u64,
}

/// A receipt to send. Holds recipients: no Debug.
pub(crate) struct Receipt {
    pub id: i64,
    pub account: String,
    pub external_id: String,
    pub stage: Stage,
    /// The hash.
    pub recipient: String,
    pub address: Option<String>,
    pub opaque: Option<String>,
    pub at_ms: u64,
    /// How often it was sent in vain.
    pub attempts: u64,
}

/// The receipts that are due, and when the next one after them will be.
pub(crate) struct Due {
    pub receipts: Vec<Receipt>,
    pub next_ms: Option<u64>,
}

pub(crate) fn insert(
    tx: &Transaction<'_>,
    entry: &Entry,
    external_id: &str,
    identity: &Identity,
) -> Result<(), DbError> {
    let insert = "
        INSERT INTO receipts
            (platform, account, external_id, stage, recipient, address, opaque, at_ms, due_ms)
        VALUES (:platform, :account, :external_id, :stage, :recipient, :address, :opaque, :at, :due)";
    let mut insert = tx.prepare_cached(insert)?;
    for receipt in &entry.receipts {
        insert.execute(named_params! {
            ":platform": entry.platform,
            ":account": entry.account,
            ":external_id": external_id,
            ":stage": receipt.stage as i64,
            ":recipient": identity.recipient,
            ":address": entry.address,
            ":opaque": entry.opaque,
            ":at": to_sql(receipt.at_ms),
            ":due": to_sql(receipt.due_ms),
        })?;
    }
    Ok(())
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

fn read(row: &Row<'_>) -> rusqlite::Result<Receipt> {
    let stage = usize::from(row.get::<_, u8>(3)?);
    Ok(Receipt {
        id: row.get(0)?,
        account: row.get(1)?,
        external_id: row.get(2)?,
        stage: Stage::ALL.get(stage).copied().unwrap_or(Stage::Read),
        recipient: row.get(4)?,
        address: row.get(5)?,
        opaque: row.get(6)?,
        at_ms: unsigned(row, 7)?,
        attempts: unsigned(row, 8)?,
    })
}

/// At most `limit` receipts that are due at `now_ms`, the longest due first.
pub(crate) fn due(
    connection: &Connection,
    platform: &str,
    now_ms: u64,
    limit: usize,
) -> Result<Due, DbError> {
    let select = "
        SELECT id, account, external_id, stage, recipient, address, opaque, at_ms, attempts
        FROM receipts WHERE platform = ?1 AND due_ms <= ?2 ORDER BY due_ms, id LIMIT ?3";
    let mut statement = connection.prepare_cached(select)?;
    let limit = to_sql(u64::try_from(limit).unwrap_or(u64::MAX));
    let rows = statement.query_map(params![platform, to_sql(now_ms), limit], read)?;
    let receipts = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let next = "SELECT MIN(due_ms) FROM receipts WHERE platform = ?1 AND due_ms > ?2";
    let mut next = connection.prepare_cached(next)?;
    let next: Option<i64> = next.query_row(params![platform, to_sql(now_ms)], |row| row.get(0))?;
    Ok(Due { receipts, next_ms: next.and_then(|ms| u64::try_from(ms).ok()) })
}

/// Ends a receipt: answered, or given up.
pub(crate) fn finish(
    tx: &Transaction<'_>,
    platform: &str,
    id: i64,
    answered: bool,
) -> Result<(), DbError> {
    tx.prepare_cached("DELETE FROM receipts WHERE id = ?1")?.execute([id])?;
    let count = "
        UPDATE totals SET receipts_answered = receipts_answered + ?2,
            receipts_expired = receipts_expired + (1 - ?2)
        WHERE platform = ?1";
    tx.prepare_cached(count)?.execute(params![platform, answered])?;
    Ok(())
}

/// Puts a receipt off after a vain attempt.
pub(crate) fn put_off(tx: &Transaction<'_>, id: i64, due_ms: u64) -> Result<(), DbError> {
    let update = "UPDATE receipts SET attempts = attempts + 1, due_ms = ?2 WHERE id = ?1";
    tx.prepare_cached(update)?.execute(params![id, to_sql(due_ms)])?;
    Ok(())
}
