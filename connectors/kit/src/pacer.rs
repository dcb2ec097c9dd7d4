//! The pace of one account: a token bucket, pauses that the platform asks for, and a rate that
//! gives way to throttles and recovers by itself.

use std::time::Duration;

use tokio::time::Instant;

/// Lets `per_second` calls through, evenly; after a quiet time up to a tenth of a second's worth
/// at once. A new pacer begins with an empty bucket, because a predecessor may just have used it.
///
/// A throttle halves the rate (once for all the calls that were under way when it came), and a
/// minute without another one restores it step by step: additive increase, multiplicative decrease
/// (Chiu and Jain, 1989), which finds what a platform really allows.
#[derive(Debug)]
pub struct Pacer {
    /// The configured rate, in calls a second.
    full: f64,
    /// The rate after the last throttle, and when that was.
    slowed: Option<(f64, Instant)>,
    /// When the next call is due (the virtual schedule of a leaky bucket).
    next: Instant,
}

/// How long it takes from nothing back to the full rate.
const RECOVERY: Duration = Duration::from_secs(60);

/// The lowest rate: one call in this time still finds out whether the platform takes more.
const SLOWEST: Duration = Duration::from_secs(10);

impl Pacer {
    /// At least one call a second.
    pub fn new(per_second: u32, now: Instant) -> Self {
        Self { full: f64::from(per_second.max(1)), slowed: None, next: now }
    }

    /// The rate in calls a second, at this moment.
    pub fn per_second(&self, now: Instant) -> f64 {
        let Some((rate, at)) = self.slowed else { return self.full };
        let regained = self.full * now.duration_since(at).as_secs_f64() / RECOVERY.as_secs_f64();
        (rate + regained).min(self.full)
    }

    /// When the next call is due.
    ///
    /// # Errors
    /// That moment, if it is later than `now`.
    pub fn check(&self, now: Instant) -> Result<(), Instant> {
        if now < self.next { Err(self.next) } else { Ok(()) }
    }

    /// Takes the next place in the schedule, which [`Pacer::check`] has found to be due.
    pub fn take(&mut self, now: Instant) {
        let interval = Duration::from_secs_f64(1.0 / self.per_second(now));
        // How far the schedule may lie in the past: what a quiet time saves up.
        let burst = interval.max(Duration::from_millis(100));
        let earliest = now.checked_sub(burst).unwrap_or(now);
        self.next = self.next.max(earliest) + interval;
    }

    /// The platform throttled a call that had begun at `began`: no call for `pause`, then slower.
    pub fn throttled(&mut self, began: Instant, pause: Duration, now: Instant) {
        self.next = self.next.max(now + pause);
        // One slowdown for everything that was under way when the platform first complained.
        if self.slowed.is_none_or(|(_, at)| began >= at) {
            let slowest = 1.0 / SLOWEST.as_secs_f64();
            self.slowed = Some(((self.per_second(now) / 2.0).max(slowest), now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(pacer: &mut Pacer, now: Instant) -> usize {
        (0..10_000)
            .take_while(|_| {
                let due = pacer.check(now).is_ok();
                if due {
                    pacer.take(now);
                }
                due
            })
            .count()
    }

    fn second_from(pacer: &mut Pacer, from: Instant) -> usize {
        (0..1000).map(|at| taken(pacer, from + Duration::from_millis(at))).sum()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_second_lets_through_what_a_second_may() {
        let start = Instant::now();
        assert_eq!(second_from(&mut Pacer::new(80, start), start), 80);
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_time_saves_up_a_tenth_of_a_second() {
        let start = Instant::now();
        let mut pacer = Pacer::new(80, start);
        assert_eq!(taken(&mut pacer, start + 60 * SECOND), 9);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_and_says_until_when() {
        let start = Instant::now();
        let mut pacer = Pacer::new(80, start);
        pacer.throttled(start, 30 * SECOND, start);
        assert_eq!(pacer.check(start + 29 * SECOND), Err(start + 30 * SECOND));
        assert_eq!(pacer.check(start + 30 * SECOND), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttle_halves_the_pace_and_a_minute_restores_it() {
        let start = Instant::now();
        let mut pacer = Pacer::new(80, start);
        pacer.throttled(start, Duration::ZERO, start);
        assert!((pacer.per_second(start) - 40.0).abs() < 1e-9);
        assert!((41..50).contains(&second_from(&mut pacer, start + SECOND)));
        assert_eq!(second_from(&mut pacer, start + 61 * SECOND), 80 + 8, "with what was saved up");
    }

    #[tokio::test(start_paused = true)]
    async fn all_the_calls_under_way_slow_it_down_once() {
        let start = Instant::now();
        let mut pacer = Pacer::new(80, start);
        for _ in 0..100 {
            pacer.throttled(start, SECOND, start + SECOND);
        }
        assert!((pacer.per_second(start + SECOND) - 40.0).abs() < 1e-9);
        pacer.throttled(start + 2 * SECOND, SECOND, start + 3 * SECOND);
        assert!(pacer.per_second(start + 3 * SECOND) < 22.0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_platform_that_throttles_everything_is_still_asked_now_and_then() {
        let mut now = Instant::now();
        let mut pacer = Pacer::new(1, now);
        for _ in 0..1_000 {
            pacer.throttled(now, Duration::ZERO, now);
            now += Duration::from_millis(1);
        }
        assert!(pacer.per_second(now) >= 0.1);
    }
}
