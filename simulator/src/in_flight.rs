//! The calls that were not yet answered, by conversation: how overlaps are seen.
//!
//! A call whose client has gone away can never be answered and does not count any more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// (platform, account, conversation).
type Key = (&'static str, String, String);

/// Cheap to clone. At most one entry per open connection.
#[derive(Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<BTreeMap<Key, u32>>>);

/// One call under way; dropped with its answer.
pub(crate) struct Call {
    calls: InFlight,
    key: Key,
    /// Whether an earlier call of the conversation was under way.
    pub overlaps: bool,
}

impl InFlight {
    pub(crate) fn enter(&self, platform: &'static str, account: &str, conversation: &str) -> Call {
        let key = (platform, account.to_owned(), conversation.to_owned());
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = calls.entry(key.clone()).or_insert(0);
        *count += 1;
        Call { calls: self.clone(), key, overlaps: *count > 1 }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut calls = self.calls.0.lock().unwrap_or_else(PoisonError::into_inner);
        match calls.get_mut(&self.key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(calls.remove(&self.key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_call_beside_another_of_its_conversation_overlaps() {
        let calls = InFlight::default();
        let first = calls.enter("p", "1", "a");
        assert!(!first.overlaps);
        assert!(!calls.enter("p", "1", "b").overlaps && !calls.enter("p", "2", "a").overlaps);
        let second = calls.enter("p", "1", "a");
        assert!(second.overlaps);
        drop(first);
        assert!(calls.enter("p", "1", "a").overlaps);
        drop(second);
        assert!(!calls.enter("p", "1", "a").overlaps);
        assert!(calls.0.lock().unwrap().is_empty());
    }
}
