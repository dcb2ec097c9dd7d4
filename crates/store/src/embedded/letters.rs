//! Dead letters, and the port's methods for them. Each function is one job of the database.

use std::time::Duration;

use chat4all_contracts::{AccountName, ConversationId, EpochMs, LetterId, PlatformName};
use chat4all_sqlite::rusqlite::types::ValueRef;
use chat4all_sqlite::rusqlite::{Connection, OptionalExtension, Row, params};

use super::row::{Failure, any_text, ms, optional, required, text, time};
use super::{EmbeddedStore, audit};
use crate::Tenant;
use crate::letters::{
    AuditPlace, AuditRecord, Letter, LetterPlace, LetterSpan, LetterStore, Mark, StoredLetter,
    Verdict,
};
use crate::port::Answer;

impl LetterStore for EmbeddedStore {
    fn put_letter<'a>(
        &'a self,
        tenant: &'a Tenant,
        letter: &'a Letter,
        raw: Option<&'a [u8]>,
        now: EpochMs,
        keep: Duration,
    ) -> Answer<'a, ()> {
        let (tenant, letter, raw) = (tenant.clone(), letter.clone(), raw.map(<[u8]>::to_vec));
        self.write(move |db| put(db, &tenant.0, &letter, raw.as_deref(), now.plus(keep)))
    }

    fn letter<'a>(
        &'a self,
        tenant: &'a Tenant,
        id: &'a LetterId,
    ) -> Answer<'a, Option<StoredLetter>> {
        let (tenant, id) = (tenant.clone(), id.to_string());
        self.read(move |db| by_id(db, &tenant.0, &id))
    }

    fn letter_raw<'a>(
        &'a self,
        tenant: &'a Tenant,
        id: &'a LetterId,
    ) -> Answer<'a, Option<Vec<u8>>> {
        let (tenant, id) = (tenant.clone(), id.to_string());
        self.read(move |db| raw(db, &tenant.0, &id))
    }

    fn letters_in_order<'a>(
        &'a self,
        tenant: &'a Tenant,
        span: LetterSpan,
        after: Option<&'a LetterPlace>,
        limit: usize,
    ) -> Answer<'a, Vec<StoredLetter>> {
        let (tenant, after) = (tenant.clone(), after.cloned());
        self.read(move |db| in_order(db, &tenant.0, span, after.as_ref(), limit))
    }

    fn mark_letter<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a LetterPlace,
        verdict: Verdict,
        mark_it: &'a Mark,
        _: Duration,
    ) -> Answer<'a, ()> {
        let (tenant, id, mark_it) = (tenant.clone(), at.id.to_string(), mark_it.clone());
        self.write(move |db| mark(db, &tenant.0, &id, verdict, &mark_it))
    }

    fn put_audit<'a>(
        &'a self,
        tenant: &'a Tenant,
        record: &'a AuditRecord,
        keep: Duration,
    ) -> Answer<'a, ()> {
        let (tenant, record) = (tenant.clone(), record.clone());
        self.write(move |db| audit::put(db, &tenant.0, &record, keep))
    }

    fn audit<'a>(
        &'a self,
        tenant: &'a Tenant,
        before: &'a AuditPlace,
        limit: usize,
    ) -> Answer<'a, Vec<AuditRecord>> {
        let (tenant, before) = (tenant.clone(), before.clone());
        self.read(move |db| audit::before(db, &tenant.0, &before, limit))
    }
}

/// Of two letters of one id the one that was given up earlier stays, with its marks either way.
const PUT: &str = "
    INSERT INTO letters (tenant, letter_id, accepted_at, topic, at_partition, at_offset, reason,
        detail, platform, account, conversation_id, given_up_at, attempts, raw, kept_until)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
    ON CONFLICT (tenant, letter_id) DO UPDATE SET
        accepted_at = excluded.accepted_at, topic = excluded.topic,
        at_partition = excluded.at_partition, at_offset = excluded.at_offset,
        reason = excluded.reason, detail = excluded.detail, platform = excluded.platform,
        account = excluded.account, conversation_id = excluded.conversation_id,
        given_up_at = excluded.given_up_at, attempts = excluded.attempts, raw = excluded.raw,
        kept_until = excluded.kept_until
    WHERE given_up_at > excluded.given_up_at";

fn put(
    db: &Connection,
    tenant: &str,
    letter: &Letter,
    raw: Option<&[u8]>,
    kept_until: EpochMs,
) -> Result<(), Failure> {
    db.prepare_cached(PUT)?.execute(params![
        tenant,
        letter.id.to_string(),
        ms(letter.accepted_at),
        letter.topic,
        letter.partition,
        // A log's offsets fit a signed number; what does not is none of ours.
        i64::try_from(letter.offset).unwrap_or(i64::MAX),
        letter.reason,
        letter.detail,
        letter.platform.as_ref().map(PlatformName::as_str),
        letter.account.as_ref().map(AccountName::as_str),
        letter.conversation_id.as_ref().map(ConversationId::as_str),
        ms(letter.given_up_at),
        letter.attempts,
        raw,
        ms(kept_until),
    ])?;
    Ok(())
}

/// The columns that [`stored`] reads.
macro_rules! letter_columns {
    () => {
        "letter_id, accepted_at, topic, at_partition, at_offset, reason, detail, platform, \
         account, conversation_id, given_up_at, attempts, discarded_at, discarded_by, \
         discarded_why, discarded_audit, redriven_at, redriven_by, redriven_why, redriven_audit"
    };
}

fn number<T: TryFrom<i64>>(value: ValueRef<'_>) -> Option<T> {
    T::try_from(value.as_i64().ok()?).ok()
}

fn stored(row: &Row<'_>) -> Result<StoredLetter, Failure> {
    let letter = Letter {
        id: required(row, "letter_id", text(LetterId::parse))?,
        topic: required(row, "topic", any_text)?,
        partition: required(row, "at_partition", number)?,
        offset: required(row, "at_offset", number)?,
        reason: required(row, "reason", any_text)?,
        detail: required(row, "detail", any_text)?,
        platform: optional(row, "platform", text(PlatformName::new))?,
        account: optional(row, "account", text(AccountName::new))?,
        conversation_id: optional(row, "conversation_id", text(ConversationId::new))?,
        accepted_at: required(row, "accepted_at", time)?,
        given_up_at: required(row, "given_up_at", time)?,
        attempts: optional(row, "attempts", number)?,
    };
    let discarded = ["discarded_at", "discarded_by", "discarded_why", "discarded_audit"];
    let redriven = ["redriven_at", "redriven_by", "redriven_why", "redriven_audit"];
    Ok(StoredLetter {
        letter,
        discarded: marked(row, discarded)?,
        redriven: marked(row, redriven)?,
    })
}

fn marked(
    row: &Row<'_>,
    [at, by, why, audit_id]: [&'static str; 4],
) -> Result<Option<Mark>, Failure> {
    let Some(at) = optional(row, at, time)? else { return Ok(None) };
    Ok(Some(Mark {
        at,
        by: required(row, by, any_text)?,
        why: optional(row, why, any_text)?,
        audit_id: required(row, audit_id, any_text)?,
    }))
}

const ONE: &str =
    concat!("SELECT ", letter_columns!(), " FROM letters WHERE tenant = ?1 AND letter_id = ?2");

fn by_id(db: &Connection, tenant: &str, id: &str) -> Result<Option<StoredLetter>, Failure> {
    db.prepare_cached(ONE)?.query_and_then(params![tenant, id], stored)?.next().transpose()
}

const RAW: &str = "SELECT raw FROM letters WHERE tenant = ?1 AND letter_id = ?2";

fn raw(db: &Connection, tenant: &str, id: &str) -> Result<Option<Vec<u8>>, Failure> {
    let mut statement = db.prepare_cached(RAW)?;
    let found: Option<Option<Vec<u8>>> =
        statement.query_row(params![tenant, id], |row| row.get(0)).optional()?;
    Ok(found.flatten())
}

/// One range of one index, as a page of a conversation.
const IN_ORDER: &str = concat!(
    "SELECT ",
    letter_columns!(),
    " FROM letters INDEXED BY letters_in_order",
    " WHERE tenant = ?1 AND (accepted_at, letter_id) > (?2, ?3) AND accepted_at < ?4",
    " ORDER BY accepted_at, letter_id LIMIT ?5"
);

fn in_order(
    db: &Connection,
    tenant: &str,
    span: LetterSpan,
    after: Option<&LetterPlace>,
    limit: usize,
) -> Result<Vec<StoredLetter>, Failure> {
    // Every letter's id is greater than the empty text.
    let behind = after
        .filter(|place| place.accepted_at >= span.from)
        .map_or((ms(span.from), String::new()), |at| (ms(at.accepted_at), at.id.to_string()));
    let rows = i64::try_from(limit).unwrap_or(i64::MAX);
    let range = params![tenant, behind.0, behind.1, ms(span.before), rows];
    db.prepare_cached(IN_ORDER)?.query_and_then(range, stored)?.collect()
}

/// The `WHERE` lets the first one stay.
macro_rules! mark_as {
    ($verdict:literal) => {
        concat!(
            "UPDATE letters SET ",
            $verdict,
            "_at = ?3, ",
            $verdict,
            "_by = ?4, ",
            $verdict,
            "_why = ?5, ",
            $verdict,
            "_audit = ?6 WHERE tenant = ?1 AND letter_id = ?2 AND ",
            $verdict,
            "_at IS NULL"
        )
    };
}

fn mark(
    db: &Connection,
    tenant: &str,
    id: &str,
    verdict: Verdict,
    mark: &Mark,
) -> Result<(), Failure> {
    let update = match verdict {
        Verdict::Discarded => mark_as!("discarded"),
        Verdict::Redriven => mark_as!("redriven"),
    };
    let values = params![tenant, id, ms(mark.at), mark.by, mark.why, mark.audit_id];
    db.prepare_cached(update)?.execute(values)?;
    Ok(())
}

const FORGET: &str = "
    DELETE FROM letters WHERE (tenant, letter_id) IN (
        SELECT tenant, letter_id FROM letters INDEXED BY letters_end
        WHERE kept_until <= ?1 LIMIT ?2)";

/// Forgets up to `rows` letters past their end; how many it were.
pub(super) fn sweep(db: &Connection, now: EpochMs, rows: usize) -> Result<usize, Failure> {
    Ok(db.prepare_cached(FORGET)?.execute(params![ms(now), rows as i64])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_reads_one_range_of_its_index_and_sorts_nothing() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(super::super::schema::SCHEMA).unwrap();
        let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {IN_ORDER}")).unwrap();
        let steps = statement.query_map(params!["t", 1, "m", 2, 1], |row| row.get(3)).unwrap();
        let plan: Vec<String> = steps.map(Result::unwrap).collect();
        assert_eq!(plan.len(), 1, "{plan:?}");
        assert!(plan[0].starts_with("SEARCH letters USING INDEX letters_in_order"), "{plan:?}");
    }
}
