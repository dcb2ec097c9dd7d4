//! The circuit breaker of one account.
//!
//! failsafe's clock-free policy decides when consecutive failures open it, and for how long; a rate
//! of failures opens it too. What neither does is ours: a half-open breaker admits ONE probe,
//! outcomes of calls that started before the last change of state are ignored, and after closing
//! the number of calls rises step by step.

use std::time::Duration;

use chat4all_contracts::mutant::{self, Mutant};
use chat4all_process::backoff::Backoff;
use failsafe::FailurePolicy;
use failsafe::failure_policy::{ConsecutiveFailures, consecutive_failures};
use tokio::time::Instant;

use crate::failure_rate::{FailureRate, RatePolicy};

/// When to open, and how long to stay open.
#[derive(Debug)]
pub struct BreakerPolicy {
    /// Consecutive failures that open it, at least 1.
    pub failures: u32,
    /// The rate of failures that opens it.
    pub rate: RatePolicy,
    /// The time it stays open grows with every failed probe.
    pub open_for: Backoff,
}

/// With this many calls at once the ramp after a close is over.
const RAMPED_UP: usize = 1024;

/// A sequence without end, as failsafe takes it.
#[derive(Clone, Debug)]
struct OpenTimes(Backoff);

impl Iterator for OpenTimes {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.0.next_half_jittered())
    }
}

/// See the module.
#[derive(Debug)]
pub struct Breaker {
    policy: ConsecutiveFailures<OpenTimes>,
    rate: FailureRate,
    state: State,
    /// Rises with every change of state; permits carry it.
    era: u64,
    /// The most calls at once while ramping up after a close.
    ramp: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Instant },
    HalfOpen { probing: bool },
}

/// The right to make one call. Give it back with the outcome.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that is not given back blocks a half-open breaker"]
pub struct Permit {
    era: u64,
}

/// Why no call may start now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Open; ask again at this moment.
    Until(Instant),
    /// The one probe is under way, or the ramp is used up; ask again after the next outcome.
    AfterAnOutcome,
}

/// A change of state, to be counted and logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// Calls stop.
    Opened,
    /// One probe is admitted.
    HalfOpened,
    /// Calls go on.
    Closed,
}

impl Transition {
    /// Every change.
    pub const ALL: [Self; 3] = [Self::Opened, Self::HalfOpened, Self::Closed];

    /// The word in metrics and logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Opened => "open",
            Self::HalfOpened => "half_open",
            Self::Closed => "closed",
        }
    }
}

impl Breaker {
    /// Closed.
    pub fn new(policy: BreakerPolicy) -> Self {
        Self {
            policy: consecutive_failures(policy.failures.max(1), OpenTimes(policy.open_for)),
            rate: FailureRate::new(policy.rate),
            state: State::Closed,
            era: 0,
            ramp: None,
        }
    }

    /// Whether calls go through without a limit of the breaker's.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// When the next probe may start, while it is open.
    pub fn open_until(&self) -> Option<Instant> {
        match self.state {
            State::Open { until } => Some(until),
            State::Closed | State::HalfOpen { .. } => None,
        }
    }

    fn change(&mut self, to: State) {
        self.state = to;
        self.era += 1;
    }

    /// Asks for a permit, with `in_flight` calls under way.
    ///
    /// # Errors
    /// When to ask again.
    pub fn permit(
        &mut self,
        now: Instant,
        in_flight: usize,
    ) -> (Result<Permit, Denied>, Option<Transition>) {
        let mut transition = None;
        if let State::Open { until } = self.state {
            if now < until {
                return (Err(Denied::Until(until)), None);
            }
            self.change(State::HalfOpen { probing: false });
            transition = Some(Transition::HalfOpened);
        }
        let result = match &mut self.state {
            State::HalfOpen { probing } if !*probing || mutant::is_on(Mutant::AdmitsTwoProbes) => {
                *probing = true;
                Ok(Permit { era: self.era })
            }
            State::HalfOpen { .. } => Err(Denied::AfterAnOutcome),
            _ if self.ramp.is_some_and(|ramp| in_flight >= ramp) => Err(Denied::AfterAnOutcome),
            _ => Ok(Permit { era: self.era }),
        };
        (result, transition)
    }

    /// The call showed a working platform.
    pub fn succeeded(&mut self, permit: Permit, now: Instant) -> Option<Transition> {
        if permit.era != self.era {
            return None;
        }
        self.policy.record_success();
        // A success never opens it, however many failures came before.
        let _still_too_many = self.rate.record(false, now);
        // One more for each success doubles them with every round of calls (TCP's slow start).
        self.ramp = self.ramp.map(|ramp| ramp + 1).filter(|ramp| *ramp < RAMPED_UP);
        if matches!(self.state, State::HalfOpen { .. }) {
            self.policy.revived();
            self.ramp = Some(2);
            self.change(State::Closed);
            return Some(Transition::Closed);
        }
        None
    }

    /// The call showed a failing platform.
    pub fn failed(&mut self, permit: Permit, now: Instant) -> Option<Transition> {
        if permit.era != self.era {
            return None;
        }
        let is_probe = matches!(self.state, State::HalfOpen { .. });
        let too_many = self.rate.record(true, now);
        let open_for = loop {
            match self.policy.mark_dead_on_failure() {
                Some(open_for) => break open_for,
                // Its policy counts consecutive failures only; a rate of them opens it as well,
                // and so does a failed probe, whatever had opened it before.
                None if is_probe || too_many => {}
                None => return None,
            }
        };
        self.rate.reset();
        self.change(State::Open { until: now + open_for });
        Some(Transition::Opened)
    }

    /// The call ended without showing anything: it was cut off by us.
    pub fn abandoned(&mut self, permit: Permit) {
        if let State::HalfOpen { probing } = &mut self.state
            && permit.era == self.era
        {
            *probing = false;
        }
    }

    /// Opens for a fixed time, whatever the policy says: the account itself is refused.
    pub fn open_for(
        &mut self,
        permit: Permit,
        now: Instant,
        open_for: Duration,
    ) -> Option<Transition> {
        if permit.era != self.era {
            return None;
        }
        self.change(State::Open { until: now + open_for });
        Some(Transition::Opened)
    }

    /// Ends an open time early: the next call is the probe. For an operator who knows more.
    pub fn half_open_now(&mut self) -> Option<Transition> {
        let State::Open { .. } = self.state else { return None };
        self.change(State::HalfOpen { probing: false });
        Some(Transition::HalfOpened)
    }
}

#[cfg(test)]
mod tests {
    use chat4all_process::Random;
    use chat4all_process::backoff::BackoffPolicy;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn breaker(failures: u32) -> Breaker {
        let open_for = BackoffPolicy::new(SECOND, 8 * SECOND);
        let open_for = Backoff::new(open_for, Random::seeded(1));
        let rate = RatePolicy { percent: 50, least_calls: 20, window: 30 * SECOND };
        Breaker::new(BreakerPolicy { failures, rate, open_for })
    }

    fn permit(breaker: &mut Breaker, now: Instant) -> Permit {
        breaker.permit(now, 0).0.unwrap()
    }

    fn open(breaker: &mut Breaker, now: Instant) -> Instant {
        while breaker.is_closed() {
            let permit = permit(breaker, now);
            breaker.failed(permit, now);
        }
        match breaker.permit(now, 0).0 {
            Err(Denied::Until(until)) => until,
            other => panic!("not open: {other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn consecutive_failures_open_it_and_a_success_between_does_not() {
        let (mut breaker, now) = (breaker(3), Instant::now());
        for _ in 0..2 {
            let p = permit(&mut breaker, now);
            assert_eq!(breaker.failed(p, now), None);
        }
        let p = permit(&mut breaker, now);
        breaker.succeeded(p, now);
        for expected in [None, None, Some(Transition::Opened)] {
            let p = permit(&mut breaker, now);
            assert_eq!(breaker.failed(p, now), expected);
        }
        assert!(matches!(breaker.permit(now, 0).0, Err(Denied::Until(until)) if until > now));
    }

    #[tokio::test(start_paused = true)]
    async fn a_half_open_breaker_admits_one_probe_of_a_thousand() {
        let (mut breaker, now) = (breaker(1), Instant::now());
        let until = open(&mut breaker, now);
        let admitted = (0..1000).filter(|_| breaker.permit(until, 0).0.is_ok()).count();
        assert_eq!(admitted, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_probe_opens_it_for_longer() {
        let (mut breaker, now) = (breaker(1), Instant::now());
        let first = open(&mut breaker, now) - now;
        let probe = permit(&mut breaker, now + first);
        assert_eq!(breaker.failed(probe, now + first), Some(Transition::Opened));
        let second = open(&mut breaker, now + first) - (now + first);
        assert!(SECOND / 2 <= first && first <= SECOND && SECOND <= second && second <= 2 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_probe_opens_it_again_whatever_opened_it_before() {
        let (mut breaker, now) = (breaker(5), Instant::now());
        let refused = permit(&mut breaker, now);
        assert_eq!(breaker.open_for(refused, now, 300 * SECOND), Some(Transition::Opened));
        let until = now + 300 * SECOND;
        let probe = permit(&mut breaker, until);
        assert_eq!(breaker.failed(probe, until), Some(Transition::Opened));
        assert!(matches!(breaker.permit(until, 0).0, Err(Denied::Until(again)) if again > until));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stale_outcome_changes_nothing() {
        let (mut breaker, now) = (breaker(1), Instant::now());
        let slow = permit(&mut breaker, now);
        let until = open(&mut breaker, now);
        let probe = permit(&mut breaker, until);
        assert_eq!(breaker.failed(slow, until), None);
        assert_eq!(breaker.succeeded(probe, until), Some(Transition::Closed));
        assert!(breaker.is_closed());
    }

    #[tokio::test(start_paused = true)]
    async fn after_closing_calls_ramp_up() {
        let (mut breaker, now) = (breaker(1), Instant::now());
        let until = open(&mut breaker, now);
        let probe = permit(&mut breaker, until);
        breaker.succeeded(probe, until);
        assert!(breaker.permit(until, 1).0.is_ok());
        assert_eq!(breaker.permit(until, 2).0, Err(Denied::AfterAnOutcome));
        let p = permit(&mut breaker, until);
        breaker.succeeded(p, until);
        assert!(breaker.permit(until, 2).0.is_ok());
        assert_eq!(breaker.permit(until, 3).0, Err(Denied::AfterAnOutcome));
        for _ in 0..RAMPED_UP {
            let p = permit(&mut breaker, until);
            breaker.succeeded(p, until);
        }
        assert!(breaker.permit(until, 100_000).0.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_abandoned_probe_lets_another_through() {
        let (mut breaker, now) = (breaker(1), Instant::now());
        let until = open(&mut breaker, now);
        let probe = permit(&mut breaker, until);
        breaker.abandoned(probe);
        assert!(breaker.permit(until, 0).0.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_of_failures_opens_it_although_none_follow_each_other() {
        let (mut breaker, now) = (breaker(1_000), Instant::now());
        for n in 0..20 {
            let p = permit(&mut breaker, now);
            let transition =
                if n % 2 == 0 { breaker.succeeded(p, now) } else { breaker.failed(p, now) };
            assert_eq!(transition, (n == 19).then_some(Transition::Opened), "call {n}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_operator_can_end_an_open_time_and_only_one_probe_follows() {
        let (mut breaker, now) = (breaker(1), Instant::now());
        assert_eq!(breaker.half_open_now(), None, "nothing to end");
        let until = open(&mut breaker, now);
        assert_eq!(breaker.open_until(), Some(until));
        assert_eq!(breaker.half_open_now(), Some(Transition::HalfOpened));
        let admitted = (0..1000).filter(|_| breaker.permit(now, 0).0.is_ok()).count();
        assert_eq!(admitted, 1);
    }
}
