//! What connectors and the router say became of a message.

use chat4all_contracts::{DeadLetter, Reason, Status, StatusUpdate, topic};
use chat4all_eventlog::{NewRecord, TopicPartition};

use super::{State, Watch};

impl Watch {
    /// An append was acknowledged to a process.
    pub fn appended(&self, process: u64, record: &NewRecord) {
        let topic = &*record.to.topic;
        if topic == topic::STATUS_UPDATES {
            let Ok(update) = StatusUpdate::parse(&record.value) else { return };
            self.state().reported(process, &update);
        } else if topic.ends_with("-dead-letters") {
            let Ok(letter) = DeadLetter::parse(&record.value) else { return };
            let at = TopicPartition::new(&letter.topic, letter.partition);
            self.state().letters.insert((at, letter.offset));
        }
    }
}

impl State {
    fn reported(&mut self, process: u64, update: &StatusUpdate) {
        self.refresh();
        let id = &update.message_id;
        // A receipt names no attempt: it says nothing of what a connector has finished.
        let by_connector = update.attempt.is_some();
        let why = update.reason.map_or(String::new(), |reason| format!(" ({reason})"));
        let by = if by_connector { "acknowledged" } else { "reported" };
        self.tell(Some(id), format!("{}{why} {by}", update.status));
        if !by_connector {
            if update.status == Status::Failed {
                self.ended_by_router.insert(id.clone());
            }
            return;
        }
        // A doubt that is told is no end: the message is called again.
        if update.status == Status::Unknown && update.reason == Some(Reason::PossibleDuplicate) {
            return;
        }
        let now = self.now();
        let Some(known) = self.messages.get_mut(id) else { return };
        known.settled = Some((now, process));
        known.ended_without_call =
            matches!(update.reason, Some(Reason::Expired | Reason::UnknownAccount));
        if update.status == Status::Failed {
            self.check_failure(update);
        }
    }

    /// A failure has the reason that it names.
    fn check_failure(&mut self, update: &StatusUpdate) {
        let id = &update.message_id;
        let known = &self.messages[id];
        let (countable, needed) = (known.countable, self.policy.max_attempts);
        let had = |outcome| known.outcomes.contains(outcome);
        let wrong = match update.reason {
            Some(Reason::Exhausted) if countable < needed => {
                Some(format!("exhausted after {countable} attempts, {needed} are allowed"))
            }
            Some(Reason::Expired) if update.timestamp < known.message.expires_at => {
                Some(format!("expired at {:?}, too early", update.timestamp))
            }
            Some(Reason::InDoubt) if !had("in_doubt") && !had("cut off") => {
                Some("in doubt, and no call was".to_owned())
            }
            Some(Reason::RecipientUnreachable) if !had("permanent") => {
                Some("unreachable, and the platform did not say so".to_owned())
            }
            None => Some("no reason".to_owned()),
            _ => None,
        };
        if let Some(text) = wrong
            && !self.is_jumping()
        {
            self.object("a failure has its reason", Some(id), text);
        }
    }
}
