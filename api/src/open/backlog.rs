//! The messages that a group has not handled yet: read from the log, behind the group's commit.

use std::collections::BTreeSet;

use chat4all_contracts::{Generation, Message, MessageId};
use chat4all_eventlog::{EventLog, LogError, TopicPartition, note};

/// The most records that one look reads. A longer backlog is not told apart any further.
const MOST_RECORDS: usize = 1_000;

/// The unhandled messages of one partition.
pub(super) struct Backlog {
    unhandled: BTreeSet<(MessageId, Generation)>,
    /// Whether those are all.
    is_whole: bool,
}

impl Backlog {
    /// Reads what lies behind a group's commit, but for what its note says is handled.
    pub(super) async fn read(
        log: &dyn EventLog,
        group: &str,
        at: &TopicPartition,
    ) -> Result<Self, LogError> {
        let committed = log.committed(group, std::slice::from_ref(at)).await?.pop().flatten();
        let bounds = log.bounds(at).await?;
        let position = committed.as_ref().map_or(bounds.start, |committed| committed.offset);
        if position >= bounds.end {
            return Ok(Self { unhandled: BTreeSet::new(), is_whole: true });
        }
        let note = committed.as_ref().map_or("", |committed| committed.note.as_str());
        let handled = note::decode(note, position, bounds.end).unwrap_or_default();
        let records = log.read(at, position, MOST_RECORDS).await?;
        let is_whole = records.len() < MOST_RECORDS;
        let unhandled = records
            .iter()
            .filter(|record| !handled.contains(record.offset))
            .filter_map(|record| Message::parse(&record.value, record.timestamp).ok())
            .map(|message| (message.message_id, message.generation))
            .collect();
        Ok(Self { unhandled, is_whole })
    }

    /// Whether a message waits here. One of a backlog that is too long to read is taken to.
    pub(super) fn holds(&self, message: &Message) -> bool {
        let life = (message.message_id.clone(), message.generation);
        !self.is_whole || self.unhandled.contains(&life)
    }
}
