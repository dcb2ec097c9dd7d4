//! The lanes of a partition (I2): one queue for each (account, conversation), whose first entry is
//! the only one being handled. Plain queues: thousands cost little.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use chat4all_contracts::{AccountName, ConversationId, Message};

/// What keeps its order.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct LaneKey {
    /// The sending account.
    pub account: AccountName,
    /// The conversation.
    pub conversation: ConversationId,
}

/// A conversation of a message's own; a mistake
/// ([`chat4all_contracts::mutant::Mutant::TwoInALane`]).
pub fn one_for(message: &Message) -> ConversationId {
    let own = ConversationId::new(message.message_id.as_str());
    own.unwrap_or_else(|_| message.conversation_id.clone())
}

/// See the module: what is handled is a `T`, what waits behind it a `W`. Never iterated: a map's order
/// would differ from run to run.
pub struct Lanes<T, W>(HashMap<LaneKey, Lane<T, W>>);

/// Most lanes have one entry, and a queue has room for four from the first on: so boxes.
struct Lane<T, W> {
    first: Box<T>,
    waiting: VecDeque<Box<W>>,
}

impl<T, W> Lanes<T, W> {
    /// No lanes.
    pub fn new() -> Self {
        Self(HashMap::new())
    }

    /// Adds an entry at the end of its lane; `true` if it is the first: `begin` has made of it what is
    /// handled, and it may start.
    pub fn push(&mut self, key: LaneKey, waiting: W, begin: impl FnOnce(W) -> T) -> bool {
        match self.0.entry(key) {
            Entry::Occupied(mut lane) => {
                lane.get_mut().waiting.push_back(Box::new(waiting));
                false
            }
            Entry::Vacant(lane) => {
                let first = Box::new(begin(waiting));
                lane.insert(Lane { first, waiting: VecDeque::new() });
                true
            }
        }
    }

    /// The entry being handled.
    pub fn first_mut(&mut self, key: &LaneKey) -> Option<&mut T> {
        self.0.get_mut(key).map(|lane| lane.first.as_mut())
    }

    /// Removes the entry being handled; `true` = the next one has taken its place, and may start.
    /// That is the first of those waiting of which `begin` makes something.
    pub fn finish(
        &mut self,
        key: LaneKey,
        mut begin: impl FnMut(W) -> Option<T>,
    ) -> (Option<T>, bool) {
        let Entry::Occupied(mut lane) = self.0.entry(key) else { return (None, false) };
        while let Some(next) = lane.get_mut().waiting.pop_front() {
            if let Some(next) = begin(*next) {
                let finished = std::mem::replace(lane.get_mut().first.as_mut(), next);
                return (Some(finished), true);
            }
        }
        (Some(*lane.remove().first), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(conversation: &str) -> LaneKey {
        LaneKey {
            account: AccountName::new("main").unwrap(),
            conversation: ConversationId::new(conversation).unwrap(),
        }
    }

    /// What is handled is ten times what waits; of 5 nothing can be made.
    fn begin(waiting: u32) -> Option<u32> {
        (waiting != 5).then_some(waiting * 10)
    }

    #[test]
    fn a_lane_hands_out_one_entry_at_a_time_in_order() {
        let mut lanes = Lanes::new();
        let push = |lanes: &mut Lanes<u32, u32>, lane, waiting| {
            lanes.push(key(lane), waiting, |waiting| waiting * 10)
        };
        assert!(push(&mut lanes, "a", 1));
        assert!(!push(&mut lanes, "a", 2));
        assert!(push(&mut lanes, "b", 3));
        assert_eq!(lanes.finish(key("a"), begin), (Some(10), true));
        assert_eq!(lanes.first_mut(&key("a")), Some(&mut 20));
        assert_eq!(lanes.finish(key("a"), begin), (Some(20), false));
        assert_eq!(lanes.finish(key("a"), begin), (None, false));
        assert!(push(&mut lanes, "a", 4));
        assert_eq!(lanes.first_mut(&key("b")), Some(&mut 30));
    }

    #[test]
    fn what_cannot_begin_is_passed_over() {
        let mut lanes = Lanes::new();
        for waiting in [1, 5, 5, 2, 5] {
            lanes.push(key("a"), waiting, |waiting| waiting * 10);
        }
        assert_eq!(lanes.finish(key("a"), begin), (Some(10), true));
        assert_eq!(lanes.finish(key("a"), begin), (Some(20), false));
        assert_eq!(lanes.first_mut(&key("a")), None);
    }
}
