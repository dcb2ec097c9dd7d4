//! The pace of one account: a token bucket, and pauses that the platform asks for.

use std::time::Duration;

use tokio::time::Instant;

/// Lets `per_second` calls through, evenly; after a quiet time up to a tenth of a second's worth
/// at once. A new pacer begins with an empty bucket, because a predecessor may just have used it.
#[derive(Debug)]
pub struct Pacer {
    /// The time between two calls.
    interval: Duration,
    /// How far the schedule may lie in the past: what a quiet time saves up.
    burst: Duration,
    /// When the next call is due (the virtual schedule of a leaky bucket).
    next: Instant,
}

impl Pacer {
    /// At least one call a second.
    pub fn new(per_second: u32, now: Instant) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self { interval, burst: interval.max(Duration::from_millis(100)), next: now }
    }

    /// Takes the next place in the schedule.
    ///
    /// # Errors
    /// When it is due, if that is later than `now`.
    pub fn take(&mut self, now: Instant) -> Result<(), Instant> {
        if now < self.next {
            return Err(self.next);
        }
        let earliest = now.checked_sub(self.burst).unwrap_or(now);
        self.next = self.next.max(earliest) + self.interval;
        Ok(())
    }

    /// No call before `until`: the platform said so.
    pub fn pause_until(&mut self, until: Instant) {
        self.next = self.next.max(until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(pacer: &mut Pacer, now: Instant) -> usize {
        (0..10_000).take_while(|_| pacer.take(now).is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_lets_through_what_a_second_may() {
        let start = Instant::now();
        let mut pacer = Pacer::new(80, start);
        let ms = |ms| start + Duration::from_millis(ms);
        let total: usize = (0..1000).map(|at| taken(&mut pacer, ms(at))).sum();
        assert_eq!(total, 80);
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_time_saves_up_a_tenth_of_a_second() {
        let start = Instant::now();
        let mut pacer = Pacer::new(80, start);
        assert_eq!(taken(&mut pacer, start + Duration::from_secs(60)), 9);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_and_says_until_when() {
        let start = Instant::now();
        let mut pacer = Pacer::new(80, start);
        let until = start + Duration::from_secs(30);
        pacer.pause_until(until);
        assert_eq!(pacer.take(start + Duration::from_secs(29)), Err(until));
        assert_eq!(pacer.take(until), Ok(()));
    }
}
