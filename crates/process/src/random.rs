//! The one source of random numbers and ids (I9).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chat4all_contracts::{EpochMs, MessageId};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

/// A stream of random numbers, from the system or from a seed. Clones share the stream.
#[derive(Clone)]
pub struct Random(Arc<Mutex<StdRng>>);

impl Random {
    /// Seeded by the operating system.
    pub fn system() -> Self {
        Self::from_rng(StdRng::from_rng(&mut rand::rng()))
    }

    /// The same numbers for the same seed.
    pub fn seeded(seed: u64) -> Self {
        Self::from_rng(StdRng::seed_from_u64(seed))
    }

    fn from_rng(rng: StdRng) -> Self {
        Self(Arc::new(Mutex::new(rng)))
    }

    /// An independent stream, so that one part drawing more numbers does not disturb another.
    pub fn fork(&self) -> Self {
        Self::seeded(self.next_u64())
    }

    fn with<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        // A panic while drawing leaves the generator valid.
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Any 64-bit number.
    pub fn next_u64(&self) -> u64 {
        self.with(|rng| rng.next_u64())
    }

    /// A number of `low..=high`.
    pub fn between(&self, low: u64, high: u64) -> u64 {
        self.with(|rng| rng.random_range(low..=high.max(low)))
    }

    /// A duration of `low..=high`, in whole microseconds.
    pub fn duration_between(&self, low: Duration, high: Duration) -> Duration {
        let us = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.between(us(low), us(high)))
    }

    /// True `parts` times in `of`.
    pub fn chance(&self, parts: u64, of: u64) -> bool {
        self.between(1, of.max(1)) <= parts
    }

    /// A version 7 UUID (RFC 9562) for this moment.
    pub fn uuid_v7(&self, now: EpochMs) -> uuid::Uuid {
        let mut bytes = [0; 10];
        self.with(|rng| rng.fill_bytes(&mut bytes));
        uuid::Builder::from_unix_timestamp_millis(now.as_ms(), &bytes).into_uuid()
    }

    /// A fresh message id: a version 7 UUID.
    pub fn message_id(&self, now: EpochMs) -> MessageId {
        let text = self.uuid_v7(now).to_string();
        match MessageId::new(&text) {
            Ok(id) => id,
            Err(_) => unreachable!("a UUID is 36 printable bytes"),
        }
    }
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_ids() {
        let (a, b) = (Random::seeded(7), Random::seeded(7));
        let now = EpochMs::saturating(1_700_000_000_000);
        assert_eq!(a.message_id(now), b.message_id(now));
        assert_ne!(a.message_id(now), Random::seeded(8).message_id(now));
        assert!(a.message_id(now).as_str().starts_with("018bcfe5-6800-7"));
    }

    #[test]
    fn numbers_stay_within_their_bounds() {
        let random = Random::seeded(1);
        assert!((0..1000).all(|_| (3..=5).contains(&random.between(3, 5))));
        assert!(!random.chance(0, 10) && random.chance(10, 10));
    }
}
