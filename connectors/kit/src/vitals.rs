//! Whether the tree is alive: for /health, which may fail only if a restart would help.
//!
//! Every actor that has something to do is heard of often: Intake at every tick, a gateway with
//! parked messages every second, a worker at every tick. One that is not heard of for minutes is
//! stuck. A closed platform, an open breaker, a paused account and a log that is away silence
//! nobody.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Longer than anything that an actor may wait for in the middle of its work: the longest is a
/// commit to a log that is away.
const STUCK: Duration = Duration::from_secs(180);

/// Cheap to clone; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Vitals(Arc<Mutex<BTreeMap<String, Instant>>>);

impl Vitals {
    fn heard(&self) -> MutexGuard<'_, BTreeMap<String, Instant>> {
        // Every change is a single insertion or removal.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `actor` is alive, and will be heard of again soon.
    pub fn beat(&self, actor: &str) {
        let now = Instant::now();
        let mut heard = self.heard();
        match heard.get_mut(actor) {
            Some(last) => *last = now,
            None => {
                heard.insert(actor.to_owned(), now);
            }
        }
    }

    /// `actor` has nothing to do, or is gone: its silence means nothing.
    pub fn rest(&self, actor: &str) {
        self.heard().remove(actor);
    }

    /// Nobody is expected to be heard of any more: the tree is being stopped.
    pub fn rest_all(&self) {
        self.heard().clear();
    }

    /// Whether everybody who should has been heard of.
    ///
    /// # Errors
    /// Who has not, and for how long.
    pub fn check(&self) -> Result<(), String> {
        let now = Instant::now();
        let silent = |last: &Instant| now.saturating_duration_since(*last);
        let heard = self.heard();
        match heard.iter().find(|(_, last)| silent(last) >= STUCK) {
            None => Ok(()),
            Some((actor, last)) => {
                Err(format!("{actor} has not been heard of for {} s", silent(last).as_secs()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_should_be_heard_of_and_is_not_is_stuck() {
        let vitals = Vitals::default();
        assert_eq!(vitals.check(), Ok(()), "nobody has begun");
        vitals.beat("intake");
        vitals.beat("gateway");
        tokio::time::advance(STUCK - Duration::from_secs(1)).await;
        vitals.beat("gateway");
        assert_eq!(vitals.check(), Ok(()));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(vitals.check(), Err("intake has not been heard of for 180 s".to_owned()));
        vitals.rest("intake");
        assert_eq!(vitals.check(), Ok(()), "it has nothing to do");
    }
}
