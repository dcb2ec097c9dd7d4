//! Records that kill their worker. A worker that dies is replaced, and its successor reads the same
//! records again: one that kills every time would be a restart loop. So each worker shows what it
//! is dealing with, and a partition whose workers died several times on the same record stops
//! before it, while everything before it is still delivered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chat4all_eventlog::TopicPartition;

/// So many deaths on the same record are no accident.
const DEATHS: u32 = 3;

/// No record.
const NONE: u64 = u64::MAX;

/// What a worker is dealing with. Shared by the worker and Intake.
#[derive(Clone, Debug)]
pub struct Suspect(Arc<AtomicU64>);

impl Default for Suspect {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(NONE)))
    }
}

impl Suspect {
    /// The worker deals with the record at `offset` from now on; `None` = with none.
    pub fn is(&self, offset: Option<u64>) {
        self.0.store(offset.unwrap_or(NONE), Ordering::Relaxed);
    }

    /// The record that the worker was dealing with last.
    pub fn offset(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|offset| *offset != NONE)
    }
}

/// Intake's memory of deaths: at most one record of each partition.
#[derive(Debug, Default)]
pub struct PoisonWatch(BTreeMap<TopicPartition, (u64, u32)>);

impl PoisonWatch {
    /// A worker of `at` died while it dealt with this record.
    pub fn died(&mut self, at: &TopicPartition, offset: u64) {
        let deaths = self.0.entry(at.clone()).or_insert((offset, 0));
        if deaths.0 != offset {
            *deaths = (offset, 0);
        }
        deaths.1 = deaths.1.saturating_add(1);
    }

    /// The record before which the next worker of `at` must stop.
    pub fn stop_before(&self, at: &TopicPartition) -> Option<u64> {
        self.0.get(at).filter(|(_, deaths)| *deaths >= DEATHS).map(|(offset, _)| *offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_deaths_on_the_same_record_make_it_poison() {
        let (mut watch, at) = (PoisonWatch::default(), TopicPartition::new("t", 0));
        for offset in [7, 7, 8, 7, 7] {
            watch.died(&at, offset);
            assert_eq!(watch.stop_before(&at), None);
        }
        watch.died(&at, 7);
        assert_eq!(watch.stop_before(&at), Some(7));
        assert_eq!(watch.stop_before(&TopicPartition::new("t", 1)), None);
    }

    #[test]
    fn a_worker_shows_what_it_deals_with() {
        let (suspect, seen) = (Suspect::default(), Suspect::default());
        let shared = suspect.clone();
        suspect.is(Some(3));
        assert_eq!((shared.offset(), seen.offset()), (Some(3), None));
        suspect.is(None);
        assert_eq!(shared.offset(), None);
    }
}
