//! What operators did. Each function is one job of the database.

use std::time::Duration;

use chat4all_contracts::EpochMs;
use chat4all_sqlite::rusqlite::types::ValueRef;
use chat4all_sqlite::rusqlite::{Connection, Row, params};

use super::row::{Failure, any_text, ms, optional, required, time};
use crate::letters::{AuditPlace, AuditRecord};

const PUT: &str = "
    INSERT OR REPLACE INTO audit (tenant, at, id, by, action, why, selection, selected, done,
        kept_until)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

pub(super) fn put(
    db: &Connection,
    tenant: &str,
    record: &AuditRecord,
    keep: Duration,
) -> Result<(), Failure> {
    db.prepare_cached(PUT)?.execute(params![
        tenant,
        ms(record.at),
        record.id,
        record.by,
        record.action,
        record.why,
        record.selection,
        record.selected,
        record.done,
        ms(record.at.plus(keep)),
    ])?;
    Ok(())
}

fn count(value: ValueRef<'_>) -> Option<u32> {
    u32::try_from(value.as_i64().ok()?).ok()
}

fn record(row: &Row<'_>) -> Result<AuditRecord, Failure> {
    Ok(AuditRecord {
        at: required(row, "at", time)?,
        id: required(row, "id", any_text)?,
        by: required(row, "by", any_text)?,
        action: required(row, "action", any_text)?,
        why: optional(row, "why", any_text)?,
        selection: required(row, "selection", any_text)?,
        selected: required(row, "selected", count)?,
        done: optional(row, "done", count)?,
    })
}

const BEFORE: &str = "
    SELECT at, id, by, action, why, selection, selected, done FROM audit
    WHERE tenant = ?1 AND (at, id) < (?2, ?3) ORDER BY at DESC, id DESC LIMIT ?4";

pub(super) fn before(
    db: &Connection,
    tenant: &str,
    place: &AuditPlace,
    limit: usize,
) -> Result<Vec<AuditRecord>, Failure> {
    let rows = i64::try_from(limit).unwrap_or(i64::MAX);
    let range = params![tenant, ms(place.at), place.id, rows];
    db.prepare_cached(BEFORE)?.query_and_then(range, record)?.collect()
}

const FORGET: &str = "
    DELETE FROM audit WHERE (tenant, at, id) IN (
        SELECT tenant, at, id FROM audit INDEXED BY audit_end WHERE kept_until <= ?1 LIMIT ?2)";

/// Forgets up to `rows` commands past their end; how many it were.
pub(super) fn sweep(db: &Connection, now: EpochMs, rows: usize) -> Result<usize, Failure> {
    Ok(db.prepare_cached(FORGET)?.execute(params![ms(now), rows as i64])?)
}
