//! Claims. The one writer makes reading and taking one step (nobody comes between).

use std::time::Duration;

use chat4all_contracts::{AccountName, EpochMs, MessageId};
use chat4all_sqlite::rusqlite::{Connection, Row, params};

use super::row::{Failure, ms, required, text, time};
use crate::{Claim, ClaimKey};

const HOLDER: &str = "
    SELECT message_id, accepted_at, expires_at, account, body_hash FROM claims
    WHERE tenant = ?1 AND kind = ?2 AND key = ?3 AND kept_until > ?4";

/// Replaces a claim past its end that was not swept yet.
const TAKE: &str = "
    INSERT OR REPLACE INTO claims (tenant, kind, key, message_id, accepted_at, expires_at, account,
        body_hash, kept_until)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

fn holder(row: &Row<'_>) -> Result<Claim, Failure> {
    Ok(Claim {
        message_id: required(row, "message_id", text(MessageId::new))?,
        accepted_at: required(row, "accepted_at", time)?,
        expires_at: required(row, "expires_at", time)?,
        account: required(row, "account", text(AccountName::new))?,
        body_hash: required(row, "body_hash", |hash| hash.as_blob().ok()?.try_into().ok())?,
    })
}

pub(super) fn claim(
    db: &Connection,
    tenant: &str,
    key: &ClaimKey,
    claim: &Claim,
    now: EpochMs,
    keep: Duration,
) -> Result<Option<Claim>, Failure> {
    let (kind, key) = match key {
        ClaimKey::Message(id) => ("message", id.as_str()),
        ClaimKey::Idempotency(key) => ("idempotency", key.as_str()),
    };
    let held = db
        .prepare_cached(HOLDER)?
        .query_and_then(params![tenant, kind, key, ms(now)], holder)?
        .next()
        .transpose()?;
    if held.is_some() {
        return Ok(held);
    }
    db.prepare_cached(TAKE)?.execute(params![
        tenant,
        kind,
        key,
        claim.message_id.as_str(),
        ms(claim.accepted_at),
        ms(claim.expires_at),
        claim.account.as_str(),
        claim.body_hash,
        ms(now.plus(keep)),
    ])?;
    Ok(None)
}

const FORGET: &str = "
    DELETE FROM claims WHERE (tenant, kind, key) IN (
        SELECT tenant, kind, key FROM claims INDEXED BY claims_end
        WHERE kept_until <= ?1 LIMIT ?2)";

/// Forgets up to `rows` claims past their end; how many it were.
pub(super) fn sweep(db: &Connection, now: EpochMs, rows: usize) -> Result<usize, Failure> {
    Ok(db.prepare_cached(FORGET)?.execute(params![ms(now), rows as i64])?)
}
