//! The part of a conversation that one partition holds: a month in UTC.
//!
//! A conversation can last for years; a partition must not. Which months a conversation has is a
//! table of its own, written with the content.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use chat4all_contracts::EpochMs;

/// A month as `year * 100 + month`: 202611 is November 2026.
pub(super) fn month(at: EpochMs) -> i32 {
    let (year, month) = at.year_and_month();
    (year * 100 + month) as i32
}

/// The most months that are remembered twice over: about 10 MB.
const REMEMBERED: usize = 20_000;

/// A conversation's month, whole: a digest could collide and hide a message.
pub(super) type MonthKey = (Box<str>, Box<str>, i32);

/// Months that are known to be in the table, so that a conversation's next message need not write
/// its month again. Never iterated; when full, the older half is forgotten and written again.
#[derive(Debug, Default)]
pub(super) struct KnownMonths(Mutex<Halves>);

#[derive(Debug, Default)]
struct Halves {
    recent: HashSet<MonthKey>,
    older: HashSet<MonthKey>,
}

impl KnownMonths {
    pub(super) fn has(&self, key: &MonthKey) -> bool {
        let halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        halves.recent.contains(key) || halves.older.contains(key)
    }

    /// Only once the write is acknowledged.
    pub(super) fn add(&self, key: MonthKey) {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if halves.recent.len() >= REMEMBERED {
            halves.older = std::mem::take(&mut halves.recent);
        }
        halves.recent.insert(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_ends_with_its_last_millisecond() {
        let at = |ms| month(EpochMs::saturating(ms));
        assert_eq!(at(0), 197_001);
        assert_eq!((at(951_868_799_999), at(951_868_800_000)), (200_002, 200_003));
        assert_eq!((at(1_767_225_599_999), at(1_767_225_600_000)), (202_512, 202_601));
        assert_eq!(month(EpochMs::MAX), 224_809);
    }

    #[test]
    fn remembered_months_are_bounded_and_the_recent_ones_stay() {
        let known = KnownMonths::default();
        let key = |n: usize| -> MonthKey { ("t".into(), format!("c{n}").into(), 202_601) };
        for n in 0..3 * REMEMBERED {
            known.add(key(n));
        }
        assert!(known.has(&key(3 * REMEMBERED - 1)) && known.has(&key(2 * REMEMBERED)));
        assert!(!known.has(&key(0)));
        let halves = known.0.lock().unwrap();
        assert!(halves.recent.len() + halves.older.len() <= 2 * REMEMBERED);
    }
}
