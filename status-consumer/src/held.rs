//! Which partitions are ours, how far each is projected, and what time it is in the log: shared
//! between whoever projects and whoever judges.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chat4all_contracts::EpochMs;
use chat4all_eventlog::TopicPartition;
use tokio::time::Instant;

/// See the module. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Held(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    positions: BTreeMap<TopicPartition, u64>,
    /// The time in the log at a moment.
    log_time: (EpochMs, Instant),
}

impl Held {
    /// Holds nothing; the time in the log begins with that of this machine.
    pub(crate) fn new(now: EpochMs) -> Self {
        let log_time = (now, Instant::now());
        Self(Arc::new(Mutex::new(State { positions: BTreeMap::new(), log_time })))
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        // Every change is complete before anything that could panic.
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A partition is projected up to a position, or no longer ours.
    pub(crate) fn set(&self, at: &TopicPartition, position: Option<u64>) {
        self.with(|state| match position {
            Some(position) => drop(state.positions.insert(at.clone(), position)),
            None => drop(state.positions.remove(at)),
        });
    }

    /// How far a partition is projected; `None` if it is not ours.
    pub(crate) fn position(&self, at: &TopicPartition) -> Option<u64> {
        self.with(|state| state.positions.get(at).copied())
    }

    /// Our partitions of a topic.
    pub(crate) fn partitions(&self, topic: &str) -> Vec<u32> {
        self.with(|state| {
            let of_topic = state.positions.keys().filter(|at| &*at.topic == topic);
            of_topic.map(|at| at.partition).collect()
        })
    }

    /// A record of the log carries this time.
    pub(crate) fn saw(&self, written: EpochMs) {
        let now = Instant::now();
        self.with(|state| {
            if written > running(state.log_time, now) {
                state.log_time = (written, now);
            }
        });
    }

    /// The time in the log: the latest time that a record carried, or that of the beginning, and as
    /// long as has passed since by a clock that cannot jump.
    pub(crate) fn log_time(&self) -> EpochMs {
        let now = Instant::now();
        self.with(|state| running(state.log_time, now))
    }
}

fn running((shown, seen): (EpochMs, Instant), now: Instant) -> EpochMs {
    shown.plus(now.saturating_duration_since(seen))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_time_in_the_log_runs_on_and_never_goes_back() {
        let at = EpochMs::saturating;
        let held = Held::new(at(1_000));
        held.saw(at(500));
        assert_eq!(held.log_time(), at(1_000));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(held.log_time(), at(3_000));
        held.saw(at(2_999));
        assert_eq!(held.log_time(), at(3_000));
        held.saw(at(9_000));
        assert_eq!(held.log_time(), at(9_000));
    }
}
