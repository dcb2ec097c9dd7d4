//! Which message a request means: the same for every retry of it.
//!
//! - No id and no key: a fresh version 7 UUID, whose millisecond is the time of acceptance.
//! - A version 7 UUID of the client: that UUID's millisecond, so no look-up is needed to find the
//!   same row again.
//! - Any other id, or an Idempotency-Key: what the first request under it fixed, kept by the store
//!   in a claim that is made before any append.

use std::time::Duration;

use chat4all_contracts::{AccountName, EpochMs, IdempotencyKey, MessageId};
use chat4all_store::{Claim, ClaimKey};

use crate::deadline::Deadline;
use crate::error_code::ErrorCode;
use crate::id_time::uuid_v7_ms;
use crate::problem::Problem;
use crate::send_request::SendRequest;
use crate::shared::Shared;

/// How long a claim is kept.
pub const CLAIM_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How far ahead of our clock the time in a client's id may lie.
const MAX_AHEAD: Duration = Duration::from_secs(5 * 60);

/// How far behind our clock the time in a client's id may lie.
const MAX_BEHIND: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What is the same for every retry of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The message.
    pub message_id: MessageId,
    /// When it was accepted.
    pub accepted_at: EpochMs,
    /// When its life ends.
    pub expires_at: EpochMs,
    /// The account it goes out from.
    pub account: AccountName,
}

/// What is known about whether the request was made before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It was not: its id has just been made.
    New,
    /// Unknown: the client named the id, and nothing holds the body that it stands for.
    Named,
    /// It was, with this same body: a claim says so.
    Repeated,
}

/// Reads the Idempotency-Key header: at most one, in the grammar of ids.
pub(crate) fn key_of(headers: &axum::http::HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    const NAME: &str = "Idempotency-Key";
    let mut values = headers.get_all(NAME).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let refuse = |rule: &str| Problem::field(ErrorCode::InvalidField, NAME, rule);
    if values.next().is_some() {
        return Err(refuse("must be sent once"));
    }
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| refuse("must be UTF-8"))?;
    IdempotencyKey::new(text).map(Some).map_err(|rule| refuse(&rule.to_string()))
}

impl Shared {
    /// Decides which message a request means.
    pub async fn identify(
        &self,
        request: &SendRequest,
        deadline: Deadline,
    ) -> Result<(Identity, Standing), Problem> {
        let now = self.clock.now();
        let minted = request.message_id.is_none();
        let message_id = match &request.message_id {
            Some(id) => id.clone(),
            None => self.random.message_id(now),
        };
        let in_id = uuid_v7_ms(&message_id);
        let accepted_at = match in_id {
            Some(ms) if !minted => time_in_bounds(ms, now)?,
            _ => now,
        };
        let identity = Identity {
            message_id,
            accepted_at,
            expires_at: accepted_at.plus(request.lifetime),
            account: request.account.clone(),
        };
        match &request.key {
            None if minted => Ok((identity, Standing::New)),
            None if in_id.is_some() => {
                // The id itself fixes the message's row, so it is sent even without a claim; the
                // claim only refuses another body under the same id.
                match self.claim_id(identity.clone(), request, now, deadline).await {
                    Err(problem) if problem.code() == ErrorCode::StoreUnavailable => {
                        Ok((identity, Standing::Named))
                    }
                    decided => decided,
                }
            }
            None => self.claim_id(identity, request, now, deadline).await,
            Some(key) => self.claim_key(key, identity, request, now, deadline).await,
        }
    }

    /// Claims an Idempotency-Key, and with it the id that it stands for.
    async fn claim_key(
        &self,
        key: &IdempotencyKey,
        identity: Identity,
        request: &SendRequest,
        now: EpochMs,
        deadline: Deadline,
    ) -> Result<(Identity, Standing), Problem> {
        let claim_key = ClaimKey::Idempotency(key.clone());
        let held = self.claim(&claim_key, &identity, request, now, deadline).await?;
        let taken_now = held.is_none();
        let identity = match held {
            None => identity,
            Some(claim) => {
                let named = request.message_id.as_ref();
                let same_id = named.is_none_or(|named| *named == claim.message_id);
                if claim.body_hash != request.hash() || !same_id {
                    let rule = "must be new for another body or another message_id";
                    return Err(Problem::field(ErrorCode::KeyConflict, "Idempotency-Key", rule));
                }
                identity_in(claim)
            }
        };
        // The id's own claim has the last word: the id may have been claimed without this key.
        let (identity, standing) = self.claim_id(identity, request, now, deadline).await?;
        let standing = match standing {
            _ if !taken_now => Standing::Repeated,
            Standing::Named if request.message_id.is_none() => Standing::New,
            standing => standing,
        };
        Ok((identity, standing))
    }

    async fn claim_id(
        &self,
        identity: Identity,
        request: &SendRequest,
        now: EpochMs,
        deadline: Deadline,
    ) -> Result<(Identity, Standing), Problem> {
        let claim_key = ClaimKey::Message(identity.message_id.clone());
        match self.claim(&claim_key, &identity, request, now, deadline).await? {
            None => Ok((identity, Standing::Named)),
            Some(claim) if claim.body_hash == request.hash() => {
                Ok((identity_in(claim), Standing::Repeated))
            }
            Some(_) => Err(id_conflict(&identity.message_id)),
        }
    }

    /// `None` = taken now; without an answer of the store nothing may be appended.
    async fn claim(
        &self,
        key: &ClaimKey,
        identity: &Identity,
        request: &SendRequest,
        now: EpochMs,
        deadline: Deadline,
    ) -> Result<Option<Claim>, Problem> {
        let claim = Claim {
            message_id: identity.message_id.clone(),
            accepted_at: identity.accepted_at,
            expires_at: identity.expires_at,
            account: identity.account.clone(),
            body_hash: request.hash(),
        };
        let question = self.store.claim(&self.tenant, key, &claim, now, CLAIM_LIFETIME);
        let answer = deadline.ask(self.settings.store_timeout_ms.ms(), question).await;
        answer.map_err(|error| {
            // Which id a key stands for is not known before its claim is answered.
            self.store_problem(&error, request.message_id.as_ref())
        })
    }
}

/// The id is taken by a message with another body.
pub(crate) fn id_conflict(id: &MessageId) -> Problem {
    let rule = "must be new for a message with another body";
    Problem::field(ErrorCode::IdConflict, "message_id", rule).about(id)
}

fn identity_in(claim: Claim) -> Identity {
    Identity {
        message_id: claim.message_id,
        accepted_at: claim.accepted_at,
        expires_at: claim.expires_at,
        account: claim.account,
    }
}

fn time_in_bounds(ms: u64, now: EpochMs) -> Result<EpochMs, Problem> {
    let time = EpochMs::saturating(ms);
    if time.since(now) <= MAX_AHEAD && now.since(time) <= MAX_BEHIND {
        Ok(time)
    } else {
        let rule = "must carry a time at most 5 minutes ahead and 7 days back";
        Err(Problem::field(ErrorCode::IdOutOfTime, "message_id", rule))
    }
}
