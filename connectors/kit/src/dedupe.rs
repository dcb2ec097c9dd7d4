//! The dedupe window of a partition: the messages received last.
//!
//! A router that dies appends again what it had not committed. Those records are recognised here
//! and count as done without a call. The window is rebuilt at every assignment from the log itself.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use chat4all_contracts::mutant::{self, Mutant};
use chat4all_contracts::{Generation, Message, MessageId};

/// Remembers the last `capacity` messages by a 64-bit hash of (message, generation). Two different
/// messages among a million collide once in about 10^7 windows.
#[derive(Debug)]
pub struct DedupeWindow {
    capacity: usize,
    /// Never iterated: its order would differ from run to run.
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

fn hash(message_id: &MessageId, generation: Generation) -> u64 {
    // Fixed keys: the same in every run.
    let mut hasher = DefaultHasher::new();
    (message_id, generation).hash(&mut hasher);
    hasher.finish()
}

impl DedupeWindow {
    /// An empty window.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, known: HashSet::new(), order: VecDeque::new() }
    }

    /// Remembers a message; `false` if it is known already.
    pub fn insert(&mut self, message: &Message) -> bool {
        let hash = hash(&message.message_id, message.generation);
        if self.capacity == 0 || !self.known.insert(hash) {
            return self.capacity == 0 || mutant::is_on(Mutant::DedupeOff);
        }
        self.order.push_back(hash);
        if self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use chat4all_contracts::EpochMs;

    use super::*;

    fn message(id: &str, generation: u64) -> Message {
        let text = format!(
            r#"{{"message_id":"{id}","conversation_id":"c","sender_id":"s",
                "receiver_id":"p:r","content":"t","generation":{generation}}}"#
        );
        Message::parse(text.as_bytes(), EpochMs::saturating(0)).unwrap()
    }

    #[test]
    fn a_message_is_new_once_in_each_generation() {
        let mut window = DedupeWindow::new(10);
        assert!(window.insert(&message("a", 0)));
        assert!(!window.insert(&message("a", 0)));
        assert!(window.insert(&message("a", 1)));
    }

    #[test]
    fn the_window_is_bounded_and_forgets_the_oldest() {
        let mut window = DedupeWindow::new(2);
        assert!(["a", "b", "c"].iter().all(|id| window.insert(&message(id, 0))));
        assert!(!window.insert(&message("c", 0)) && !window.insert(&message("b", 0)));
        assert!(window.insert(&message("a", 0)));
        assert_eq!(window.known.len(), 2);
    }
}
