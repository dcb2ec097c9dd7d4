//! Meeting places: the row's side, the reports' side, and the look at both.

use std::time::Duration;

use chat4all_contracts::{ConversationId, EpochMs, MessageId, StatusState};
use chat4all_sqlite::rusqlite::{Connection, Row, params};

use super::row::{
    Failure, ms, optional, replace_state, state, state_columns, state_values, text, time,
};
use crate::{Meeting, MeetingPlace, RowAddress};

/// The key of a place. `''` is no platform's name, so the two kinds cannot collide.
pub(super) struct Place<'a> {
    platform: &'a str,
    account: &'a str,
    id: &'a str,
}

impl<'a> Place<'a> {
    pub(super) fn of(place: &'a MeetingPlace) -> Self {
        match place {
            MeetingPlace::Message(id) => Self::of_message(id),
            MeetingPlace::External(platform, account, id) => {
                Self { platform: platform.as_str(), account: account.as_str(), id: id.as_str() }
            }
        }
    }

    pub(super) fn of_message(id: &'a MessageId) -> Self {
        Self { platform: "", account: "", id: id.as_str() }
    }
}

const ARRIVE_ROW: &str = "
    INSERT INTO meetings (tenant, platform, account, id, conversation_id, accepted_at, message_id)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (tenant, platform, account, id) DO UPDATE SET
        conversation_id = excluded.conversation_id, accepted_at = excluded.accepted_at,
        message_id = excluded.message_id
    WHERE conversation_id IS NOT excluded.conversation_id
        OR accepted_at IS NOT excluded.accepted_at OR message_id IS NOT excluded.message_id";

pub(super) fn arrive_row(
    db: &Connection,
    tenant: &str,
    place: &Place<'_>,
    row: &RowAddress,
) -> Result<(), Failure> {
    db.prepare_cached(ARRIVE_ROW)?.execute(params![
        tenant,
        place.platform,
        place.account,
        place.id,
        row.conversation_id.as_str(),
        ms(row.accepted_at),
        row.message_id.as_str(),
    ])?;
    Ok(())
}

const LOOK: &str = concat!(
    "SELECT conversation_id, accepted_at, message_id, early_end, ",
    state_columns!(),
    " FROM meetings WHERE tenant = ?1 AND platform = ?2 AND account = ?3 AND id = ?4"
);

/// What a place holds, past its end or not.
#[derive(Default)]
struct Held {
    address: Option<RowAddress>,
    early: Option<(EpochMs, StatusState)>,
}

fn held(row: &Row<'_>) -> Result<Held, Failure> {
    let conversation_id = optional(row, "conversation_id", text(ConversationId::new))?;
    let accepted_at = optional(row, "accepted_at", time)?;
    let message_id = optional(row, "message_id", text(MessageId::new))?;
    let address = match (conversation_id, accepted_at, message_id) {
        (Some(conversation_id), Some(accepted_at), Some(message_id)) => {
            Some(RowAddress { conversation_id, accepted_at, message_id })
        }
        (None, None, None) => None,
        _ => return Err(Failure::Unreadable("half a row's address")),
    };
    let early = match optional(row, "early_end", time)? {
        Some(end) => Some((end, state(row)?)),
        None => None,
    };
    Ok(Held { address, early })
}

fn find(db: &Connection, tenant: &str, place: &Place<'_>) -> Result<Held, Failure> {
    let key = params![tenant, place.platform, place.account, place.id];
    let found = db.prepare_cached(LOOK)?.query_and_then(key, held)?.next().transpose()?;
    Ok(found.unwrap_or_default())
}

pub(super) fn look(
    db: &Connection,
    tenant: &str,
    place: &Place<'_>,
    now: EpochMs,
) -> Result<Meeting, Failure> {
    let Held { address, early } = find(db, tenant, place)?;
    let early = early.filter(|(end, _)| *end > now).map(|(_, reports)| reports);
    Ok(Meeting { address, early })
}

const ARRIVE_REPORT: &str = concat!(
    "INSERT INTO meetings (tenant, platform, account, id, early_end, ",
    state_columns!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    " ON CONFLICT (tenant, platform, account, id) DO UPDATE SET early_end = excluded.early_end, ",
    replace_state!()
);

pub(super) fn arrive_report(
    db: &Connection,
    tenant: &str,
    place: &Place<'_>,
    reports: &StatusState,
    now: EpochMs,
    keep: Duration,
) -> Result<(), Failure> {
    // Reports past their end are gone, swept or not: they do not come back with a later one.
    let kept = find(db, tenant, place)?.early.filter(|(end, _)| *end > now);
    let mut end = now.plus(keep);
    let mut merged = reports.clone();
    if let Some((earlier_end, earlier)) = &kept {
        end = end.max(*earlier_end);
        merged.merge(earlier);
    }
    let [generation, delivered_at, read_at, sent, failed, rejected, unknown] =
        state_values(&merged);
    db.prepare_cached(ARRIVE_REPORT)?.execute(params![
        tenant,
        place.platform,
        place.account,
        place.id,
        ms(end),
        generation,
        delivered_at,
        read_at,
        sent,
        failed,
        rejected,
        unknown
    ])?;
    Ok(())
}

/// Reports past their end that have met their row: the row's side stays. Parameters: now, rows.
const FORGET_MET: &str = "
    UPDATE meetings SET early_end = NULL, generation = NULL, delivered_at = NULL,
        read_at = NULL, sent = NULL, failed = NULL, rejected = NULL, unknown = NULL
    WHERE (tenant, platform, account, id) IN (
        SELECT tenant, platform, account, id FROM meetings INDEXED BY meetings_early
        WHERE early_end <= ?1 AND message_id IS NOT NULL LIMIT ?2)";

/// Reports past their end whose row never came.
const FORGET_UNMET: &str = "
    DELETE FROM meetings WHERE (tenant, platform, account, id) IN (
        SELECT tenant, platform, account, id FROM meetings INDEXED BY meetings_early
        WHERE early_end <= ?1 AND message_id IS NULL LIMIT ?2)";

/// Forgets up to `rows` reports past their end; how many it were.
pub(super) fn sweep(db: &Connection, now: EpochMs, rows: usize) -> Result<usize, Failure> {
    let met = db.prepare_cached(FORGET_MET)?.execute(params![ms(now), rows as i64])?;
    if met == rows {
        return Ok(met);
    }
    let unmet = db.prepare_cached(FORGET_UNMET)?.execute(params![ms(now), (rows - met) as i64])?;
    Ok(met + unmet)
}
