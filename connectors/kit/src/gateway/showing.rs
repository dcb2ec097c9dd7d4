//! How an account is, for the operator: what its gateway does with it, and why.

use chat4all_contracts::{AccountCondition, EpochMs};
use tokio::time::Instant;

use super::{GatewayState, Verdict};
use crate::steering::{Sign, Snapshot};

/// What a gateway remembers only in order to show it.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Calls in a row that showed a failing platform.
    failures: u64,
    /// What the platform said when it last refused the account; `None` once it takes calls again.
    refusal: Option<String>,
    /// The end of the last pause that the platform asked for.
    pub(super) throttled_until: Option<Instant>,
}

impl History {
    pub(super) fn note(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Failing => self.failures += 1,
            Verdict::Refused(said) => self.refusal = Some(said.clone()),
            Verdict::Abandoned => {}
            _ => {
                self.failures = 0;
                self.refusal = None;
            }
        }
    }
}

impl GatewayState {
    /// An operator ends the time for which the breaker is open: the next call is the probe.
    pub(super) fn try_now(&mut self) {
        let transition = self.breaker.half_open_now();
        self.report(transition);
    }

    pub(super) fn sign(&self) -> Sign {
        let (condition, _) = self.condition();
        Sign { condition, parked: self.parked.len(), in_flight: self.in_flight }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let (_, until) = self.condition();
        Snapshot {
            sign: self.sign(),
            until: until.map(|until| self.time_of_day(until)),
            per_second: self.pacer.per_second(Instant::now()),
            failures: self.history.failures,
            oldest_parked_at: self.parked.iter().map(|job| job.message.accepted_at).min(),
            refusal: self.history.refusal.clone(),
        }
    }

    /// What the account does, and until when, if that is known.
    fn condition(&self) -> (AccountCondition, Option<Instant>) {
        let is_throttled = |until: &Instant| *until > Instant::now();
        if self.args.steering.is_paused(&self.args.account) {
            (AccountCondition::Paused, None)
        } else if let Some(until) = self.breaker.open_until() {
            let is_refused = self.history.refusal.is_some();
            let closed =
                if is_refused { AccountCondition::Refused } else { AccountCondition::Open };
            (closed, Some(until))
        } else if !self.breaker.is_closed() {
            (AccountCondition::HalfOpen, None)
        } else if let Some(until) = self.history.throttled_until.filter(is_throttled) {
            (AccountCondition::Throttled, Some(until))
        } else {
            (AccountCondition::Active, None)
        }
    }

    fn time_of_day(&self, at: Instant) -> EpochMs {
        self.args.clock.now().plus(at.saturating_duration_since(Instant::now()))
    }
}
