//! The ordered offset tracker (I3).
//!
//! Records of a partition finish in any order; a commit says "everything before this offset is
//! done". The tracker knows which received records are done and gives the contiguous prefix as the
//! position to commit. What is done beyond it goes into the commit's [`crate::note`], so that an
//! owner that dies costs few repetitions although one slow record holds the prefix back.
//!
//! A plain structure: no clock, no I/O.

use std::collections::VecDeque;

use chat4all_contracts::EpochMs;

use crate::note::{self, Finished, Unusable};

/// Received records of one assignment of a partition.
#[derive(Debug)]
pub struct OffsetTracker {
    /// Received and not yet passed by the prefix, in rising order.
    received: VecDeque<Slot>,
    /// Where the prefix ends if everything received is done.
    next: u64,
    /// What the last owner had finished beyond its commit.
    finished_before: Finished,
}

/// A received record.
#[derive(Clone, Copy, Debug)]
struct Slot {
    offset: u64,
    /// When its producer wrote it.
    written: EpochMs,
    done: bool,
}

/// What a newly received record means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It has to be handled.
    New,
    /// The last owner had finished it; it counts as done.
    AlreadyDone,
}

impl OffsetTracker {
    /// Begins at a committed position. `note` is that commit's; one that cannot be used is
    /// reported and ignored, which costs repetitions and loses nothing.
    pub fn resume(position: u64, note: Option<&str>, log_end: u64) -> (Self, Option<Unusable>) {
        let (finished_before, unusable) = match note {
            None | Some("") => (Finished::default(), None),
            Some(note) => match note::decode(note, position, log_end) {
                Ok(finished) => (finished, None),
                Err(why) => (Finished::default(), Some(why)),
            },
        };
        let received = VecDeque::new();
        (Self { received, next: position, finished_before }, unusable)
    }

    /// A record, written at that time, has been received. Offsets rise and may have gaps.
    pub fn receive(&mut self, offset: u64, written: EpochMs) -> Received {
        debug_assert!(offset >= self.next, "offsets rise within an assignment");
        let done = self.finished_before.contains(offset);
        self.next = offset + 1;
        self.received.push_back(Slot { offset, written, done });
        if done {
            self.advance();
            return Received::AlreadyDone;
        }
        Received::New
    }

    /// The record at `offset` is done: its effect is acknowledged. Repeating it changes nothing.
    pub fn complete(&mut self, offset: u64) {
        let found = self.received.binary_search_by_key(&offset, |slot| slot.offset);
        if let Ok(index) = found
            && !self.received[index].done
        {
            self.received[index].done = true;
            self.advance();
        }
    }

    fn advance(&mut self) {
        while self.received.front().is_some_and(|slot| slot.done) {
            self.received.pop_front();
        }
    }

    /// The offset to commit: every received record before it is done.
    pub fn position(&self) -> u64 {
        self.received.front().map_or(self.next, |slot| slot.offset)
    }

    /// Received records that the prefix has not passed: what the memory holds.
    pub fn in_hand(&self) -> usize {
        self.received.len()
    }

    /// When the first record that is not done was written; `None` if everything received is done.
    pub fn oldest(&self) -> Option<EpochMs> {
        self.received.front().map(|slot| slot.written)
    }

    /// Whether handling of the record at `offset` may begin: only while whatever finishes first
    /// can still be written into a note. Decided before, because afterwards it would be too late.
    pub fn may_start(&self, offset: u64) -> bool {
        offset.saturating_sub(self.position()) < note::MAX_SPAN
    }

    /// The note of a commit at [`OffsetTracker::position`]: what is done beyond it. Empty if
    /// nothing is.
    pub fn note(&self) -> String {
        // What the last owner had finished and we have not received again is still finished.
        let ours = self.received.iter().filter(|slot| slot.done).map(|slot| slot.offset);
        let base = self.position();
        let beyond = self.finished_before.iter().filter(|offset| *offset >= self.next);
        note::encode(base, ours.chain(beyond).filter(|o| o.saturating_sub(base) < note::MAX_SPAN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Receives a record whose time is its offset.
    fn receive(tracker: &mut OffsetTracker, offset: u64) -> Received {
        tracker.receive(offset, EpochMs::saturating(offset))
    }

    fn fresh(position: u64) -> OffsetTracker {
        OffsetTracker::resume(position, None, position).0
    }

    #[test]
    fn the_position_is_the_first_record_not_done() {
        let mut tracker = fresh(10);
        assert_eq!(tracker.position(), 10);
        for offset in [10, 11, 15, 16] {
            assert_eq!(receive(&mut tracker, offset), Received::New);
        }
        tracker.complete(11);
        tracker.complete(15);
        assert_eq!((tracker.position(), tracker.in_hand()), (10, 4));
        tracker.complete(10);
        assert_eq!(tracker.position(), 16);
        tracker.complete(16);
        assert_eq!((tracker.position(), tracker.in_hand()), (17, 0));
    }

    #[test]
    fn a_successor_skips_what_was_finished_beyond_the_position() {
        let mut tracker = fresh(0);
        assert!((0..8).all(|offset| receive(&mut tracker, offset) == Received::New));
        [1, 2, 5].into_iter().for_each(|offset| tracker.complete(offset));
        let (mut next, unusable) = OffsetTracker::resume(0, Some(&tracker.note()), 8);
        assert_eq!(unusable, None);
        let skipped: Vec<u64> =
            (0..8).filter(|o| receive(&mut next, *o) == Received::AlreadyDone).collect();
        assert_eq!(skipped, [1, 2, 5]);
        next.complete(0);
        assert_eq!(next.position(), 3);
    }

    #[test]
    fn a_note_survives_a_successor_that_received_little() {
        let mut tracker = fresh(0);
        assert!((0..8).all(|offset| receive(&mut tracker, offset) == Received::New));
        tracker.complete(7);
        let (mut second, _) = OffsetTracker::resume(0, Some(&tracker.note()), 8);
        receive(&mut second, 0);
        second.complete(0);
        let (mut third, unusable) = OffsetTracker::resume(1, Some(&second.note()), 8);
        assert_eq!(unusable, None);
        let skipped: Vec<u64> =
            (1..8).filter(|o| receive(&mut third, *o) == Received::AlreadyDone).collect();
        assert_eq!(skipped, [7]);
    }

    #[test]
    fn the_oldest_is_the_first_that_is_not_done() {
        let mut tracker = fresh(10);
        assert_eq!(tracker.oldest(), None);
        assert!((10..13).all(|offset| receive(&mut tracker, offset) == Received::New));
        tracker.complete(11);
        assert_eq!(tracker.oldest(), Some(EpochMs::saturating(10)));
        tracker.complete(10);
        assert_eq!(tracker.oldest(), Some(EpochMs::saturating(12)));
        tracker.complete(12);
        assert_eq!(tracker.oldest(), None);
    }

    #[test]
    fn nothing_starts_that_a_note_could_not_hold() {
        let mut tracker = fresh(0);
        receive(&mut tracker, 0);
        assert!(tracker.may_start(note::MAX_SPAN - 1));
        assert!(!tracker.may_start(note::MAX_SPAN));
        tracker.complete(0);
        assert!(tracker.may_start(note::MAX_SPAN));
    }
}
