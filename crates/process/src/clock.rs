//! The one place that reads the time of day (I9).
//!
//! Durations and deadlines use `tokio::time`, which follows the paused clock by itself. Only the
//! time of day needs a source: the system's, or, in simulation, a chosen start plus tokio's elapsed
//! time.

use std::sync::{Arc, Mutex, PoisonError};

use chat4all_contracts::EpochMs;
use tokio::time::Instant;

/// Tells the time of day. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Simulated(Arc<Mutex<Hands>>),
}

/// What a simulated clock showed at one moment.
#[derive(Clone, Copy, Debug)]
struct Hands {
    shown: EpochMs,
    at: Instant,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that shows `start` now and runs with tokio's (paused) clock.
    pub fn simulated(start: EpochMs) -> Self {
        Self(Source::Simulated(Arc::new(Mutex::new(Hands { shown: start, at: Instant::now() }))))
    }

    /// Sets a simulated clock: at the beginning of a new runtime, whose paused clock begins anew,
    /// or to make it jump. The system's clock stays as it is.
    pub fn set(&self, shown: EpochMs) {
        if let Source::Simulated(hands) = &self.0 {
            let mut hands = hands.lock().unwrap_or_else(PoisonError::into_inner);
            *hands = Hands { shown, at: Instant::now() };
        }
    }

    /// The time of day.
    pub fn now(&self) -> EpochMs {
        match &self.0 {
            Source::System => system_now(),
            Source::Simulated(hands) => {
                let Hands { shown, at } = *hands.lock().unwrap_or_else(PoisonError::into_inner);
                shown.plus(at.elapsed())
            }
        }
    }
}

#[allow(clippy::disallowed_methods)] // the one reader of the system's clock
fn system_now() -> EpochMs {
    let since_epoch = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        // A clock before 1970 is a broken machine; 0 keeps it visible and harmless.
        .unwrap_or_default();
    EpochMs::saturating(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_simulated_clock_follows_the_paused_clock() {
        let clock = Clock::simulated(EpochMs::saturating(1_000));
        tokio::time::advance(Duration::from_millis(250)).await;
        assert_eq!(clock.now(), EpochMs::saturating(1_250));
        clock.clone().set(EpochMs::saturating(5_000));
        assert_eq!(clock.now(), EpochMs::saturating(5_000));
    }
}
