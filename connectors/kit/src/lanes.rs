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

/// See the module. Never iterated: a map's order would differ from run to run.
///
/// A queue has room for four entries from the first on, and most lanes have one: so boxes.
#[derive(Default)]
pub struct Lanes<T>(HashMap<LaneKey, VecDeque<Box<T>>>);

impl<T> Lanes<T> {
    /// No lanes.
    pub fn new() -> Self {
        Self(HashMap::new())
    }

    /// Adds an entry at the end of its lane; `true` if it is the first, and so may begin.
    pub fn push(&mut self, key: LaneKey, entry: T) -> bool {
        let lane = self.0.entry(key).or_default();
        lane.push_back(Box::new(entry));
        lane.len() == 1
    }

    /// The entry being handled.
    pub fn first_mut(&mut self, key: &LaneKey) -> Option<&mut T> {
        Some(self.0.get_mut(key)?.front_mut()?.as_mut())
    }

    /// Removes the entry being handled; the next one, if any, may begin.
    pub fn finish(&mut self, key: LaneKey) -> (Option<T>, Option<&T>) {
        match self.0.entry(key) {
            Entry::Vacant(_) => (None, None),
            Entry::Occupied(mut lane) => {
                let finished = lane.get_mut().pop_front().map(|entry| *entry);
                if lane.get().is_empty() {
                    lane.remove();
                    return (finished, None);
                }
                (finished, lane.into_mut().front().map(Box::as_ref))
            }
        }
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

    #[test]
    fn a_lane_hands_out_one_entry_at_a_time_in_order() {
        let mut lanes = Lanes::new();
        assert!(lanes.push(key("a"), 1));
        assert!(!lanes.push(key("a"), 2));
        assert!(lanes.push(key("b"), 3));
        assert_eq!(lanes.finish(key("a")), (Some(1), Some(&2)));
        assert_eq!(lanes.finish(key("a")), (Some(2), None));
        assert!(lanes.push(key("a"), 4));
    }
}
