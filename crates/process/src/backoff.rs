//! How long to wait before the next attempt: exponential, with full jitter.
//!
//! The `backoff` crate supplies the sequence. Its own jitter cannot be seeded and comes after the
//! upper bound, so it is switched off; ours is drawn from [`Random`] and stays within the bound.
//! Full jitter (a uniform draw from zero to the current step) spreads a crowd best: Brooker,
//! "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

use std::time::Duration;

use ::backoff::backoff::Backoff as _;
use ::backoff::exponential::ExponentialBackoff;

use crate::random::Random;

/// Tokio's clock, so that a paused clock governs the crate too.
#[derive(Clone, Copy, Debug, Default)]
struct TokioClock;

impl ::backoff::Clock for TokioClock {
    fn now(&self) -> std::time::Instant {
        tokio::time::Instant::now().into_std()
    }
}

/// Where a sequence of waits begins and where it levels off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackoffPolicy {
    first: Duration,
    longest: Duration,
}

impl BackoffPolicy {
    /// Steps double from `first` until `longest`, which is at least `first`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        let longest = if longest.as_nanos() < first.as_nanos() { first } else { longest };
        Self { first, longest }
    }
}

/// One sequence of waits.
#[derive(Clone, Debug)]
pub struct Backoff {
    steps: ExponentialBackoff<TokioClock>,
    policy: BackoffPolicy,
    random: Random,
}

impl Backoff {
    /// A sequence at its beginning.
    pub fn new(policy: BackoffPolicy, random: Random) -> Self {
        let steps = ExponentialBackoff {
            current_interval: policy.first,
            initial_interval: policy.first,
            randomization_factor: 0.0,
            multiplier: 2.0,
            max_interval: policy.longest,
            start_time: tokio::time::Instant::now().into_std(),
            max_elapsed_time: None,
            clock: TokioClock,
        };
        Self { steps, policy, random }
    }

    /// The next wait: between zero and the current step, never over the longest.
    pub fn next_wait(&mut self) -> Duration {
        let step = self.next_step();
        self.random.duration_between(Duration::ZERO, step)
    }

    /// A wait between half the current step and the step: for a pause that must not be cut to
    /// nothing, but whose ends should not coincide.
    pub fn next_half_jittered(&mut self) -> Duration {
        let step = self.next_step();
        self.random.duration_between(step / 2, step)
    }

    /// The step that the next wait is drawn from, without jitter.
    pub fn next_step(&mut self) -> Duration {
        self.steps.next_backoff().unwrap_or(self.policy.longest).min(self.policy.longest)
    }

    /// Begins again after a success.
    pub fn reset(&mut self) {
        self.steps.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn steps_double_up_to_the_longest_and_begin_again() {
        let mut backoff = Backoff::new(BackoffPolicy::new(MS(100), MS(500)), Random::seeded(1));
        let steps: Vec<Duration> = (0..5).map(|_| backoff.next_step()).collect();
        assert_eq!(steps, [MS(100), MS(200), MS(400), MS(500), MS(500)]);
        backoff.reset();
        assert_eq!(backoff.next_step(), MS(100));
    }

    #[test]
    fn waits_never_leave_their_step() {
        let mut backoff = Backoff::new(BackoffPolicy::new(MS(100), MS(2_000)), Random::seeded(2));
        let limits = [100, 200, 400, 800, 1_600, 2_000, 2_000];
        assert!(limits.into_iter().all(|limit| backoff.next_wait() <= MS(limit)));
    }

    #[test]
    fn the_same_seed_gives_the_same_waits() {
        let waits = |seed| {
            let policy = BackoffPolicy::new(MS(100), MS(2_000));
            let mut backoff = Backoff::new(policy, Random::seeded(seed));
            (0..10).map(move |_| backoff.next_wait()).collect::<Vec<_>>()
        };
        assert_eq!(waits(3), waits(3));
        assert_ne!(waits(3), waits(4));
    }
}
