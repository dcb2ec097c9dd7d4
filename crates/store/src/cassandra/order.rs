//! Which of two writes to a cell counts, where the data itself does not say.
//!
//! Reports order themselves ([`Cell::write_timestamp`](chat4all_contracts::status::Cell)). Two
//! contents of one generation and two addresses of one place do not: there the writer's clock
//! decides. Ticks of one process strictly increase, so of its own calls the order is certain; of
//! two processes it is as good as their clocks. Everything stays below the present in microseconds,
//! because ScyllaDB refuses timestamps of the future.

use std::sync::atomic::{AtomicU64, Ordering};

use chat4all_process::Clock;

/// Ticks in a millisecond, as a power of two: 43 + 7 bits in all.
const TICK_BITS: u32 = 7;

/// Tells ticks of 1/128 ms since 1970, never the same one twice.
#[derive(Debug)]
pub(super) struct Ticks {
    clock: Clock,
    last: AtomicU64,
}

impl Ticks {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, last: AtomicU64::new(0) }
    }

    /// The present, or just after the last tick if the clock has not moved on.
    pub(super) fn next(&self) -> Tick {
        let now = self.clock.now().as_ms() << TICK_BITS;
        let after = |last: u64| now.max(last + 1);
        // Only the number itself is shared, so no other memory has to be ordered with it.
        let last = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |l| Some(after(l)));
        Tick(last.map_or(now, after))
    }
}

/// A moment of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tick(u64);

impl Tick {
    /// The write timestamp with which the last write stays.
    pub(super) fn last_wins(self) -> i64 {
        self.0 as i64
    }

    /// The write timestamp with which the first write stays.
    pub(super) fn first_wins(self) -> i64 {
        const LATEST: i64 = (1 << (43 + TICK_BITS)) - 1;
        LATEST - self.0 as i64
    }
}

#[cfg(test)]
mod tests {
    use chat4all_contracts::EpochMs;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ticks_increase_while_the_clock_stands_or_goes_back() {
        let clock = Clock::simulated(EpochMs::saturating(1_000));
        let ticks = Ticks::new(clock.clone());
        let (first, second) = (ticks.next(), ticks.next());
        assert_eq!((first.0, second.0), (128_000, 128_001));
        clock.set(EpochMs::saturating(10));
        let third = ticks.next();
        assert!(second < third);
        assert!(third.last_wins() > second.last_wins());
        assert!(third.first_wins() < second.first_wins());
    }

    #[test]
    fn timestamps_are_positive_and_in_the_past_until_2248() {
        for ms in [0, 1_767_225_600_000, EpochMs::MAX.as_ms()] {
            let tick = Tick((ms << TICK_BITS) | 127);
            assert!(tick.first_wins() >= 0 && tick.last_wins() >= 0, "{ms}");
        }
        let in_2026 = Tick(1_767_225_600_000 << TICK_BITS);
        let microseconds = 1_767_225_600_000 * 1_000;
        assert!(in_2026.first_wins() < microseconds && in_2026.last_wins() < microseconds);
    }
}
