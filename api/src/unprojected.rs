//! The messages that were accepted and that the store did not take (yet).
//!
//! A client that was told 202 must not be told 404. Bounded (I7): beyond the bound the oldest is
//! forgotten. Never holds content.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chat4all_contracts::MessageId;

/// A bounded set of message ids that forgets the oldest first.
pub(crate) struct Unprojected {
    max: usize,
    ids: Mutex<Ids>,
}

#[derive(Default)]
struct Ids {
    next: u64,
    by_id: BTreeMap<MessageId, u64>,
    by_age: BTreeMap<u64, MessageId>,
}

impl Unprojected {
    /// An empty set of at most `max` ids.
    pub fn new(max: usize) -> Self {
        Self { max, ids: Mutex::default() }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Ids) -> T) -> T {
        // No code under this lock can leave the maps half changed by a panic of its own.
        work(&mut self.ids.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The store did not take this message.
    pub fn remember(&self, id: &MessageId) {
        self.with(|ids| {
            let age = ids.next;
            ids.next += 1;
            if let Some(before) = ids.by_id.insert(id.clone(), age) {
                ids.by_age.remove(&before);
            }
            ids.by_age.insert(age, id.clone());
            if ids.by_age.len() > self.max
                && let Some((_, oldest)) = ids.by_age.pop_first()
            {
                ids.by_id.remove(&oldest);
            }
        });
    }

    /// The store has this message.
    pub fn forget(&self, id: &MessageId) {
        self.with(|ids| {
            if let Some(age) = ids.by_id.remove(id) {
                ids.by_age.remove(&age);
            }
        });
    }

    /// Whether the message was accepted and is not known to be in the store.
    pub fn contains(&self, id: &MessageId) -> bool {
        self.with(|ids| ids.by_id.contains_key(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_bound_the_oldest_is_forgotten() {
        let id = |n: u32| MessageId::new(&format!("m{n}")).unwrap();
        let set = Unprojected::new(2);
        set.remember(&id(1));
        set.remember(&id(2));
        set.remember(&id(1));
        set.remember(&id(3));
        assert!(set.contains(&id(1)) && set.contains(&id(3)) && !set.contains(&id(2)));
        set.forget(&id(3));
        set.remember(&id(4));
        assert!(set.contains(&id(1)) && set.contains(&id(4)) && !set.contains(&id(3)));
    }
}
