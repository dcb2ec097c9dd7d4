//! The lease of a connector: the right to start calls.
//!
//! A process that was frozen, or is cut off from the log, may have lost its partitions without
//! knowing it. So a call starts only while the last successful commit was sent so recently that no
//! other process can have taken over before that call ends: the group's silence limit less the
//! longest call. And never later than [`FRESH`]: what is completed while the log is away cannot be
//! written down, and may have to be done again. A commit is what proves the membership; it is
//! repeated, unchanged if need be.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chat4all_contracts::mutant::{self, Mutant};
use thiserror::Error;
use tokio::time::Instant;

/// The longest that calls start without a successful commit: bounds what a lost log can cost in
/// repetitions.
const FRESH: Duration = Duration::from_secs(3);

/// The longest time between two commits that renew.
const RENEW_EVERY: Duration = Duration::from_secs(1);

/// Cheap to clone; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Lease(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// `None` = no other process can take over.
    length: Option<Duration>,
    /// When the last commit that succeeded was sent.
    renewed: Option<Instant>,
}

/// The group would give partitions away while a call is still allowed to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a call may take {call:?}, and the log gives partitions away after a silence of {silence:?}: \
     lower the connector's call_timeout_ms, or raise the log's session_timeout_ms"
)]
pub struct TooShort {
    silence: Duration,
    call: Duration,
}

impl Lease {
    fn state(&self) -> MutexGuard<'_, State> {
        // Two independent values: no change can leave it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins for a new membership, which has proved nothing yet. `silence` is the consumer's
    /// [`lease`](chat4all_eventlog::Consumer::lease), `call` the longest call.
    ///
    /// # Errors
    /// [`TooShort`] if no call could ever start.
    pub fn begin(&self, silence: Option<Duration>, call: Duration) -> Result<(), TooShort> {
        let length = match silence {
            None => None,
            Some(silence) if silence > call => Some(FRESH.min(silence - call)),
            Some(silence) => return Err(TooShort { silence, call }),
        };
        *self.state() = State { length, renewed: None };
        Ok(())
    }

    /// A commit that was sent at this moment has succeeded.
    pub fn renew(&self, sent: Instant) {
        let mut state = self.state();
        state.renewed = state.renewed.max(Some(sent));
    }

    /// Whether a call may start.
    pub fn holds(&self, now: Instant) -> bool {
        let State { length, renewed } = *self.state();
        length.is_none_or(|length| renewed.is_some_and(|renewed| now < renewed + length))
            || mutant::is_on(Mutant::LeaseIgnored)
    }

    /// Whether the next commit must be sent although nothing has changed.
    pub fn is_due(&self, now: Instant) -> bool {
        let State { length, renewed } = *self.state();
        let every = |length: Duration| RENEW_EVERY.min(length / 3);
        length.is_some_and(|length| renewed.is_none_or(|renewed| now >= renewed + every(length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Option<Duration> = Some(Duration::from_secs(45));
    const CALL: Duration = Duration::from_secs(15);

    #[tokio::test(start_paused = true)]
    async fn a_frozen_owner_may_start_nothing_until_a_commit_has_succeeded() {
        let lease = Lease::default();
        lease.begin(SILENCE, CALL).unwrap();
        assert!(!lease.holds(Instant::now()), "a new member has proved nothing");
        let sent = Instant::now();
        lease.renew(sent);
        assert!(lease.holds(sent + Duration::from_millis(2_999)));
        assert!(!lease.holds(sent + FRESH));
        assert!(!lease.is_due(sent) && lease.is_due(sent + RENEW_EVERY));
        lease.renew(sent - Duration::from_secs(1));
        assert!(lease.holds(sent + Duration::from_millis(2_999)), "an older one changes nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_starts_ends_before_another_can_take_over() {
        let lease = Lease::default();
        lease.begin(Some(Duration::from_secs(17)), CALL).unwrap();
        let sent = Instant::now();
        lease.renew(sent);
        assert!(lease.holds(sent + Duration::from_millis(1_999)));
        assert!(!lease.holds(sent + Duration::from_secs(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_of_one_process_needs_no_lease() {
        let lease = Lease::default();
        lease.begin(None, CALL).unwrap();
        assert!(lease.holds(Instant::now()) && !lease.is_due(Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_membership_does_not_inherit_the_old_ones_lease() {
        let lease = Lease::default();
        lease.begin(SILENCE, CALL).unwrap();
        lease.renew(Instant::now());
        lease.begin(SILENCE, CALL).unwrap();
        assert!(!lease.holds(Instant::now()));
    }

    #[test]
    fn a_silence_that_no_call_fits_into_is_refused() {
        let error = Lease::default().begin(Some(CALL), CALL).unwrap_err();
        assert!(error.to_string().contains("session_timeout_ms"), "{error}");
    }
}
