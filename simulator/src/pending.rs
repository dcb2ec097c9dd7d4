//! What only memory knows of receipts that are still to be sent: the plain recipient, and the call
//! that waits for an early receipt. A restarted simulator sends them without either.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::platform::Stage;

/// The most messages that are remembered; the receipts of further ones show no phone number.
const MAX_MESSAGES: usize = 100_000;

/// What is known of one accepted message.
pub(crate) struct Known {
    /// The recipient as receipts show it.
    pub address: String,
    /// Receipts still to be sent.
    pub left: usize,
    /// Who waits for the answer to which receipt; told by dropping the sender.
    pub early: Option<(Stage, oneshot::Sender<()>)>,
}

/// By external id. Holds recipients: no Debug.
#[derive(Default)]
pub(crate) struct Pending(Mutex<BTreeMap<String, Known>>);

impl Pending {
    /// Remembers a message until its receipts are finished. Without room, or without receipts,
    /// whoever waits for an early one is told at once.
    pub(crate) fn remember(&self, external_id: &str, known: Known) {
        let mut messages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.left > 0 && messages.len() < MAX_MESSAGES {
            messages.insert(external_id.to_owned(), known);
        }
    }

    /// The recipient as receipts show it.
    pub(crate) fn address(&self, external_id: &str) -> Option<String> {
        let messages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        messages.get(external_id).map(|known| known.address.clone())
    }

    /// A receipt was answered, or given up.
    pub(crate) fn finished(&self, external_id: &str, stage: Stage) {
        let mut messages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = messages.get_mut(external_id) else { return };
        known.left = known.left.saturating_sub(1);
        if known.early.as_ref().is_some_and(|(waited_for, _)| *waited_for == stage) {
            known.early = None;
        }
        if known.left == 0 {
            messages.remove(external_id);
        }
    }

    /// The message was not recorded after all.
    pub(crate) fn forget(&self, external_id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(external_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_is_forgotten_with_its_last_receipt() {
        let pending = Pending::default();
        let (told, waiting) = oneshot::channel();
        let early = Some((Stage::Delivered, told));
        pending.remember("a", Known { address: "551".to_owned(), left: 2, early });
        pending.finished("a", Stage::Sent);
        assert_eq!(pending.address("a").as_deref(), Some("551"));
        pending.finished("a", Stage::Delivered);
        assert!(waiting.await.is_err(), "told by dropping the sender");
        assert_eq!(pending.address("a"), None);
    }
}
