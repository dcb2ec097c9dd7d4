//! The failure rate of an account's calls: catches a platform that fails half of the time, which
//! consecutive failures alone would never do.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// When a rate opens a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RatePolicy {
    /// The failures of 100 calls that are too many; over 100 = never.
    pub percent: u32,
    /// Fewer calls than this say nothing.
    pub least_calls: u32,
    /// The calls of this long count.
    pub window: Duration,
}

/// The window moves in this many steps: the memory of it is bounded, whatever the pace.
const STEPS: u32 = 10;

/// Calls and failures of the last [`RatePolicy::window`].
#[derive(Debug)]
pub struct FailureRate {
    policy: RatePolicy,
    /// The oldest first; at most [`STEPS`].
    steps: VecDeque<Step>,
}

#[derive(Debug)]
struct Step {
    begins: Instant,
    calls: u32,
    failures: u32,
}

impl FailureRate {
    /// No calls yet.
    pub fn new(policy: RatePolicy) -> Self {
        Self { policy, steps: VecDeque::new() }
    }

    /// Counts a call that ended now; `true` if too many have failed.
    pub fn record(&mut self, failed: bool, now: Instant) -> bool {
        let RatePolicy { percent, least_calls, window } = self.policy;
        while self.steps.front().is_some_and(|step| now.duration_since(step.begins) >= window) {
            self.steps.pop_front();
        }
        let length = window / STEPS;
        match self.steps.back_mut() {
            Some(step) if now.duration_since(step.begins) < length => step.count(failed),
            _ => {
                let mut step = Step { begins: now, calls: 0, failures: 0 };
                step.count(failed);
                self.steps.push_back(step);
            }
        }
        let sum = |part: fn(&Step) -> u32| self.steps.iter().map(part).map(u64::from).sum::<u64>();
        let (calls, failures) = (sum(|step| step.calls), sum(|step| step.failures));
        calls >= u64::from(least_calls) && failures * 100 >= calls * u64::from(percent)
    }

    /// Forgets everything: after an outage a new time begins.
    pub fn reset(&mut self) {
        self.steps.clear();
    }
}

impl Step {
    fn count(&mut self, failed: bool) {
        self.calls = self.calls.saturating_add(1);
        self.failures = self.failures.saturating_add(u32::from(failed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rate() -> FailureRate {
        FailureRate::new(RatePolicy { percent: 50, least_calls: 20, window: 30 * SECOND })
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_the_calls_is_too_many_and_less_is_not() {
        let (now, mut half, mut third) = (Instant::now(), rate(), rate());
        let half = (0..20).map(|n| half.record(n % 2 == 0, now)).filter(|open| *open).count();
        assert_eq!(half, 1, "only the twentieth call says enough");
        assert!((0..300).all(|n| !third.record(n % 3 == 0, now)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_older_than_the_window_does_not_count() {
        let (now, mut rate) = (Instant::now(), rate());
        for _ in 0..19 {
            assert!(!rate.record(true, now));
        }
        assert!(!rate.record(true, now + 30 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn its_memory_is_bounded() {
        let (now, mut rate) = (Instant::now(), rate());
        for n in 0..10_000 {
            rate.record(false, now + n * Duration::from_millis(100));
            assert!(rate.steps.len() <= STEPS as usize + 1);
        }
    }
}
