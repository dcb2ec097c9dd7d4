//! What services have reported of each message: `status-updates`, read while it is written, without
//! joining a group.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chat4all_contracts::{Reason, Status, StatusUpdate, topic};
use chat4all_eventlog::kafka::{KafkaLog, KafkaSettings};
use chat4all_eventlog::{EventLog, Followed, Record, TopicPartition};
use tokio::task::JoinSet;
use tokio::time::Duration;

/// How long a reader waits that was told of a log that is away.
const AGAIN: Duration = Duration::from_millis(500);

/// What was reported of one message. Reports only add up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reports {
    /// It was accepted by the platform.
    pub sent: bool,
    /// It has arrived, or nobody will ever say more of it.
    pub delivered: bool,
    /// It was read.
    pub read: bool,
    /// A call's outcome is not known, and no other follows.
    pub unknown: bool,
    /// A call's outcome was not known, and the message was to be called again.
    pub doubted: bool,
    /// It has failed, for this reason.
    pub failed: Option<Reason>,
}

/// How many messages are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Accepted by a platform, or further.
    pub arrived: u64,
    /// Failed.
    pub failed: u64,
    /// Failed as lost.
    pub lost: u64,
    /// Not known.
    pub unknown: u64,
}

/// All of them, by message.
#[derive(Default)]
pub struct Reported(Mutex<BTreeMap<String, Reports>>);

impl Reports {
    /// Whether the message's way has an end.
    pub fn is_ended(&self) -> bool {
        self.has_arrived() || self.failed.is_some()
    }

    /// Whether a platform has accepted it.
    pub fn has_arrived(&self) -> bool {
        self.sent || self.delivered || self.read
    }

    /// The status that a client must see, or a higher one.
    pub fn status(&self) -> Status {
        match self {
            Self { read: true, .. } => Status::Read,
            Self { delivered: true, .. } => Status::Delivered,
            Self { failed: Some(Reason::Rejected), .. } => Status::Failed,
            Self { sent: true, .. } => Status::Sent,
            Self { failed: Some(_), .. } => Status::Failed,
            Self { unknown: true, .. } | Self { doubted: true, .. } => Status::Unknown,
            _ => Status::Accepted,
        }
    }

    fn add(&mut self, update: &StatusUpdate) {
        match update.status {
            Status::Accepted => {}
            Status::Unknown if update.reason == Some(Reason::PossibleDuplicate) => {
                self.doubted = true;
            }
            Status::Unknown => self.unknown = true,
            Status::Failed => self.failed = Some(update.reason.unwrap_or(Reason::Unspecified)),
            Status::Sent => self.sent = true,
            Status::Delivered => self.delivered = true,
            Status::Read => self.read = true,
        }
    }
}

impl Reported {
    /// Follows every partition for as long as the answer lives.
    pub fn follow(self: &Arc<Self>, kafka: &str) -> JoinSet<()> {
        let mut readers = JoinSet::new();
        let settings = KafkaSettings { bootstrap_servers: kafka.to_owned(), ..Default::default() };
        let reported = Arc::clone(self);
        readers.spawn(async move {
            // A second look at what was read already changes nothing.
            loop {
                if let Ok(log) = KafkaLog::new(&settings, "torture", 1 << 20) {
                    reported.read(&log).await;
                }
                tokio::time::sleep(AGAIN).await;
            }
        });
        readers
    }

    /// Until one partition cannot be read any more.
    async fn read(self: &Arc<Self>, log: &Arc<KafkaLog>) {
        let Ok(partitions) = log.partitions(topic::STATUS_UPDATES).await else { return };
        let mut readers = JoinSet::new();
        for partition in 0..partitions {
            let (log, reported) = (Arc::clone(log), Arc::clone(self));
            readers.spawn(async move {
                let at = TopicPartition::new(topic::STATUS_UPDATES, partition);
                let Ok(mut follower) = log.follow(&at).await else { return };
                while let Ok(next) = follower.next().await {
                    if let Followed::Records(records) = next {
                        reported.add(&records);
                    }
                }
            });
        }
        // The first end is an end of all: they begin again together.
        let _first = readers.join_next().await;
    }

    fn add(&self, records: &[Record]) {
        let updates = records.iter().filter_map(|record| StatusUpdate::parse(&record.value).ok());
        updates.for_each(|update| self.take(&update));
    }

    /// One more report.
    pub fn take(&self, update: &StatusUpdate) {
        let mut all = self.lock();
        all.entry(update.message_id.as_str().to_owned()).or_default().add(update);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Reports>> {
        // A reader that panicked left whole reports.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of one message.
    pub fn of(&self, id: &str) -> Reports {
        self.lock().get(id).cloned().unwrap_or_default()
    }

    /// Of all of them.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for reports in self.lock().values() {
            match reports.status() {
                Status::Accepted => {}
                Status::Unknown => tally.unknown += 1,
                Status::Failed => tally.failed += 1,
                Status::Sent | Status::Delivered | Status::Read => tally.arrived += 1,
            }
            tally.lost += u64::from(reports.failed == Some(Reason::Lost));
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_of_an_arrival_wins_over_a_failure() {
        let mut reports = Reports { failed: Some(Reason::InDoubt), ..Reports::default() };
        assert_eq!((reports.status(), reports.is_ended()), (Status::Failed, true));
        reports.delivered = true;
        assert_eq!((reports.status(), reports.has_arrived()), (Status::Delivered, true));
    }

    #[test]
    fn what_is_unknown_has_no_end() {
        let reports = Reports { unknown: true, ..Reports::default() };
        assert_eq!((reports.status(), reports.is_ended()), (Status::Unknown, false));
    }
}
