//! Claims: who comes first decides for all.
//!
//! A claim is a lightweight transaction, which may end without an answer: then it was carried out,
//! or not, or will be. Every call therefore writes a number of its own (`attempt`) into the row. A
//! call in doubt repeats its transaction: the database first settles what was left open, and then
//! either this call's number is in the row, and this call is the one that took the key, or another
//! call's is. So among calls that are answered at most one hears `None`, also if its first answer
//! was lost.
//!
//! Calls of one process for one key wait for each other: proposals that compete for a key make each
//! other fail, and fifty of them cost seconds where one after the other costs a fraction.
//!
//! A call that ends [`StoreError::Unavailable`] may have taken the key. Whoever asks again under
//! the key then hears what that call fixed, also the same caller: it has to treat the claim as made
//! by a request that got no further, as after its own crash.

use std::time::Duration;

use chat4all_contracts::{AccountName, EpochMs, MessageId};
use chat4all_process::backoff::{Backoff, BackoffPolicy};
use scylla::errors::ExecutionError;
use scylla::response::query_result::QueryResult;
use scylla::value::{CqlValue, Row};
use tokio::sync::{Mutex, MutexGuard};

use super::CassandraStore;
use super::error::{away, is_in_doubt};
use super::meetings::time_to_live;
use super::parts::{self, ms};
use super::requests::unreadable;
use super::schema::{FNV_BASIS, fnv_1a};
use crate::{Claim, ClaimKey, StoreError};

/// Between two tries of a call in doubt; the call's time limit ends them.
const AGAIN: BackoffPolicy =
    BackoffPolicy::new(Duration::from_millis(20), Duration::from_millis(500));

/// Keys share these; more of them than requests under way, so that few wait without need.
const QUEUES: usize = 1_024;

/// Where the calls for one key wait for each other.
pub(super) struct Queues(Vec<Mutex<()>>);

impl Queues {
    pub(super) fn new() -> Self {
        Self((0..QUEUES).map(|_| Mutex::default()).collect())
    }

    /// Waits until no other call is at this key. Before the call's turn, which would be kept waiting.
    pub(super) async fn turn(&self, tenant: &str, key: &ClaimKey) -> Option<MutexGuard<'_, ()>> {
        let (kind, key) = words(key);
        let bytes = [tenant, kind, key].into_iter().flat_map(|part| part.bytes().chain([0]));
        let queue = self.0.get(fnv_1a(FNV_BASIS, bytes) as usize % QUEUES)?;
        Some(queue.lock().await)
    }
}

/// The columns of a key.
fn words(key: &ClaimKey) -> (&'static str, &str) {
    match key {
        ClaimKey::Message(id) => ("message", id.as_str()),
        ClaimKey::Idempotency(key) => ("idempotency", key.as_str()),
    }
}

/// Who has a key.
struct Holder {
    claim: Claim,
    kept_until: i64,
    attempt: i64,
}

/// Why a try has no result.
enum Failure {
    Driver(Box<ExecutionError>),
    Unreadable,
}

impl From<ExecutionError> for Failure {
    fn from(error: ExecutionError) -> Self {
        Failure::Driver(Box::new(error))
    }
}

/// What one call wants to write.
struct Wish<'a> {
    tenant: &'a str,
    kind: &'a str,
    key: &'a str,
    claim: &'a Claim,
    now: EpochMs,
    keep: Duration,
    attempt: i64,
}

impl CassandraStore {
    pub(super) async fn take(
        &self,
        tenant: &str,
        key: &ClaimKey,
        claim: &Claim,
        now: EpochMs,
        keep: Duration,
    ) -> Result<Option<Claim>, StoreError> {
        let (kind, key) = words(key);
        let attempt = self.random.next_u64() as i64;
        let wish = Wish { tenant, kind, key, claim, now, keep, attempt };
        let mut waits = Backoff::new(AGAIN, self.random.clone());
        let mut in_doubt = false;
        loop {
            match self.try_to_take(&wish).await {
                Ok(held) => return Ok(held),
                Err(Failure::Driver(error)) => {
                    in_doubt |= is_in_doubt(&error);
                    if !in_doubt {
                        return Err(away(&error));
                    }
                }
                Err(Failure::Unreadable) => return Err(unreadable("claims")),
            }
            tokio::time::sleep(waits.next_half_jittered()).await;
        }
    }

    /// Every round but the last finds that another call has just changed the row.
    async fn try_to_take(&self, wish: &Wish<'_>) -> Result<Option<Claim>, Failure> {
        loop {
            let Some(holder) = self.insert_claim(wish).await? else { return Ok(None) };
            if holder.attempt == wish.attempt {
                return Ok(None);
            }
            if holder.kept_until > ms(wish.now) {
                return Ok(Some(holder.claim));
            }
            if self.replace_claim(wish, holder.attempt).await? {
                return Ok(None);
            }
        }
    }

    /// `None` if nobody had the key and now we do.
    async fn insert_claim(&self, wish: &Wish<'_>) -> Result<Option<Holder>, Failure> {
        let Claim { message_id, accepted_at, expires_at, account, body_hash } = wish.claim;
        let values = (
            wish.tenant,
            wish.kind,
            wish.key,
            message_id.as_str(),
            ms(*accepted_at),
            ms(*expires_at),
            account.as_str(),
            &body_hash[..],
            ms(wish.now.plus(wish.keep)),
            wish.attempt,
            time_to_live(wish.keep),
        );
        let answer = self.requests.execute(&self.statements.claim, values).await?;
        let answer = Answered::of(answer).ok_or(Failure::Unreadable)?;
        if answer.is_applied {
            return Ok(None);
        }
        answer.holder().map(Some).ok_or(Failure::Unreadable)
    }

    /// Takes over a claim past its end; `false` if another call was faster.
    async fn replace_claim(&self, wish: &Wish<'_>, ended: i64) -> Result<bool, Failure> {
        let Claim { message_id, accepted_at, expires_at, account, body_hash } = wish.claim;
        let values = (
            time_to_live(wish.keep),
            message_id.as_str(),
            ms(*accepted_at),
            ms(*expires_at),
            account.as_str(),
            &body_hash[..],
            ms(wish.now.plus(wish.keep)),
            wish.attempt,
            wish.tenant,
            wish.kind,
            wish.key,
            ended,
        );
        let answer = self.requests.execute(&self.statements.replace_claim, values).await?;
        let answer = Answered::of(answer).ok_or(Failure::Unreadable)?;
        Ok(answer.is_applied)
    }
}

/// The answer to a lightweight transaction. Cassandra and ScyllaDB differ in which columns come
/// with it, and in their order.
struct Answered {
    is_applied: bool,
    columns: Vec<(String, CqlValue)>,
}

impl Answered {
    fn of(answer: QueryResult) -> Option<Self> {
        let rows = answer.into_rows_result().ok()?;
        let row = rows.first_row::<Row>().ok()?;
        let names = rows.column_specs().iter().map(|column| column.name().to_owned());
        let columns: Vec<_> =
            names.zip(row.columns).filter_map(|(name, value)| Some((name, value?))).collect();
        let mut answered = Self { is_applied: false, columns };
        answered.is_applied = answered.column("[applied]")?.as_boolean()?;
        Some(answered)
    }

    fn column(&self, name: &str) -> Option<&CqlValue> {
        self.columns.iter().find(|(found, _)| found == name).map(|(_, value)| value)
    }

    fn holder(&self) -> Option<Holder> {
        let number = |name: &str| self.column(name)?.as_bigint();
        let text = |name: &str| self.column(name)?.as_text();
        let claim = Claim {
            message_id: MessageId::new(text("message_id")?).ok()?,
            accepted_at: parts::time(number("accepted_at")?)?,
            expires_at: parts::time(number("expires_at")?)?,
            account: AccountName::new(text("account")?).ok()?,
            body_hash: self.column("body_hash")?.as_blob()?.as_slice().try_into().ok()?,
        };
        Some(Holder { claim, kept_until: number("kept_until")?, attempt: number("attempt")? })
    }
}
