//! Places in a producer's queue: a bound on records and on bytes.
//!
//! Not a semaphore: waiting for room takes no place, so waiters can never hand a last free place
//! round among themselves without anyone using it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// How much a producer's queue may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueBounds {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

/// A queue's places. Clones share them.
#[derive(Clone)]
pub(crate) struct Room(Arc<Shared>);

struct Shared {
    bounds: QueueBounds,
    used: Mutex<Used>,
    freed: watch::Sender<()>,
}

#[derive(Clone, Copy, Default)]
struct Used {
    records: usize,
    bytes: usize,
    /// How many places were ever given back.
    freed: u64,
    /// `freed` at the last refusal.
    refused_at: u64,
}

/// One record's place, free again when dropped.
pub(crate) struct Place {
    room: Room,
    bytes: usize,
}

impl Room {
    pub(crate) fn new(bounds: QueueBounds) -> Self {
        let shared = Shared { bounds, used: Mutex::default(), freed: watch::Sender::new(()) };
        Self(Arc::new(shared))
    }

    fn used<T>(&self, f: impl FnOnce(&mut Used) -> T) -> T {
        // Counters are valid after every statement.
        f(&mut self.0.used.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A record that is larger than the whole queue still fits into an empty one.
    fn fits(&self, used: Used, bytes: usize) -> bool {
        let bounds = self.0.bounds;
        used.records == 0
            || (used.records < bounds.records && used.bytes.saturating_add(bytes) <= bounds.bytes)
    }

    /// A place for a record of this size, if there is one.
    pub(crate) fn take(&self, bytes: usize) -> Option<Place> {
        let taken = self.used(|used| {
            let fits = self.fits(*used, bytes);
            if fits {
                used.records += 1;
                used.bytes += bytes;
            } else {
                used.refused_at = used.freed;
            }
            fits
        });
        taken.then(|| Place { room: self.clone(), bytes })
    }

    /// Waits until a place was given back since the last refusal, or all are free. Never returns
    /// twice without one of the two in between, so that trying again is no busy loop.
    pub(crate) async fn wait(&self) {
        let mut freed = self.0.freed.subscribe();
        while !self.used(|used| used.records == 0 || used.freed > used.refused_at) {
            if freed.changed().await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.used(|used| {
            used.records -= 1;
            used.bytes -= self.bytes;
            used.freed += 1;
        });
        if self.room.0.freed.receiver_count() > 0 {
            self.room.0.freed.send_replace(());
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_waiter_is_woken_by_a_place_freed_before_it_waited() {
        let room = Room::new(QueueBounds { records: 1, bytes: 10 });
        let place = room.take(1).unwrap();
        assert!(room.take(1).is_none());
        assert!(room.wait().now_or_never().is_none());
        drop(place);
        room.wait().await;
        assert!(room.take(1).is_some());
    }

    #[tokio::test]
    async fn a_record_refused_for_its_size_waits_without_spinning() {
        let room = Room::new(QueueBounds { records: 10, bytes: 10 });
        let first = room.take(6).unwrap();
        assert!(room.take(6).is_none());
        assert!(room.wait().now_or_never().is_none());
        drop(first);
        room.wait().await;
        assert!(room.take(100).is_some(), "an empty queue takes a record of any size");
    }

    #[tokio::test]
    async fn two_waiters_share_one_place_in_turn() {
        let room = Room::new(QueueBounds { records: 1, bytes: 10 });
        let held = room.take(1).unwrap();
        let turns = |room: Room| async move {
            for _ in 0..100 {
                let place = loop {
                    match room.take(1) {
                        Some(place) => break place,
                        None => room.wait().await,
                    }
                };
                tokio::task::yield_now().await;
                drop(place);
            }
        };
        let both =
            async { tokio::join!(turns(room.clone()), turns(room.clone()), async { drop(held) }) };
        tokio::time::timeout(std::time::Duration::from_secs(30), both).await.unwrap();
    }
}
