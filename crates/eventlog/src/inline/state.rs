//! The records in memory, and those that wait for room.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chat4all_contracts::EpochMs;
use tokio::sync::oneshot;

use crate::consumer::TopicPartition;
use crate::group::Fetched;
use crate::producer::Admission;
use crate::record::{NewRecord, Position, Record};
use crate::room::Place;
use crate::spec::{check_cleanup, check_topic};
use crate::{Bounds, Cleanup, LogError, TopicSpec};

pub(super) struct State {
    topics: BTreeMap<Arc<str>, Topic>,
    bytes: usize,
    max_bytes: Option<usize>,
    floor_bytes: usize,
    /// By producer: records that must wait for room, in the order of the calls.
    held: BTreeMap<u64, VecDeque<Held>>,
    last_producer: u64,
}

struct Topic {
    retention: Duration,
    cleanup: Cleanup,
    partitions: Vec<Partition>,
}

#[derive(Default)]
struct Partition {
    start: u64,
    end: u64,
    /// In the order of their offsets, which have gaps after compaction.
    records: VecDeque<Record>,
}

impl Partition {
    /// Removes the expired records from its start; answers how many, and how many bytes.
    fn expire(&mut self, now: EpochMs, retention: Duration) -> (u64, usize) {
        let (mut removed, mut bytes) = (0, 0);
        while let Some(first) = self.records.front()
            && now.since(first.timestamp) > retention
        {
            bytes += size(first);
            self.start = first.offset + 1;
            self.records.pop_front();
            removed += 1;
        }
        (removed, bytes)
    }

    /// Removes what a newer record of the same key has replaced; answers as [`Partition::expire`].
    fn compact(&mut self) -> (u64, usize) {
        let mut newest = BTreeMap::new();
        for record in &self.records {
            newest.insert(record.key.clone(), record.offset);
        }
        let (mut removed, mut bytes) = (0, 0);
        self.records.retain(|record| {
            let stays = newest.get(&record.key) == Some(&record.offset);
            if !stays {
                bytes += size(record);
                removed += 1;
            }
            stays
        });
        (removed, bytes)
    }
}

/// A patient producer's record without room.
pub(super) struct Held {
    pub(super) record: NewRecord,
    pub(super) admission: Admission,
    pub(super) reply: oneshot::Sender<Position>,
    /// Kept while it is held, whether or not anyone waits for the answer.
    pub(super) _place: Place,
}

fn size(record: &Record) -> usize {
    let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    record.key.len() + record.value.len() + headers
}

impl State {
    pub(super) fn new(max_bytes: Option<usize>, floor_bytes: usize) -> Self {
        Self {
            topics: BTreeMap::new(),
            bytes: 0,
            max_bytes,
            floor_bytes,
            held: BTreeMap::new(),
            last_producer: 0,
        }
    }

    pub(super) fn new_producer(&mut self) -> u64 {
        self.last_producer += 1;
        self.last_producer
    }

    pub(super) fn ensure(&mut self, topics: Vec<TopicSpec>) -> Result<(), LogError> {
        for spec in &topics {
            check_topic(spec, self.partition_count(&spec.name))?;
            check_cleanup(spec, self.topics.get(&*spec.name).map(|topic| topic.cleanup))?;
        }
        for spec in topics {
            let (retention, cleanup) = (spec.retention, spec.cleanup);
            let new = || Topic { retention, cleanup, partitions: Vec::new() };
            let topic = self.topics.entry(spec.name.as_str().into()).or_insert_with(new);
            topic.retention = spec.retention;
            while topic.partitions.len() < spec.partitions as usize {
                topic.partitions.push(Partition::default());
            }
        }
        Ok(())
    }

    pub(super) fn partition_count(&self, topic: &str) -> Option<u32> {
        u32::try_from(self.topics.get(topic)?.partitions.len()).ok()
    }

    fn partition(&self, at: &TopicPartition) -> Option<&Partition> {
        self.topics.get(&at.topic)?.partitions.get(usize::try_from(at.partition).ok()?)
    }

    fn partition_mut(&mut self, at: &TopicPartition) -> Option<&mut Partition> {
        self.topics.get_mut(&at.topic)?.partitions.get_mut(usize::try_from(at.partition).ok()?)
    }

    pub(super) fn bounds(&self, at: &TopicPartition) -> Option<Bounds> {
        let partition = self.partition(at)?;
        Some(Bounds { start: partition.start, end: partition.end })
    }

    /// Whether a record of this size may be written.
    pub(super) fn has_room(&self, bytes: usize, admission: Admission) -> bool {
        let floor = match admission {
            Admission::NewWork => self.floor_bytes,
            Admission::Progress => 0,
        };
        let needed = self.bytes.saturating_add(bytes).saturating_add(floor);
        self.max_bytes.is_none_or(|max| needed <= max)
    }

    /// Appends without asking for room; `None` if there is no such partition.
    pub(super) fn append(&mut self, record: NewRecord) -> Option<Position> {
        let bytes = record.size();
        let NewRecord { to, key, value, headers, timestamp } = record;
        let partition = self.partition_mut(&to)?;
        let offset = partition.end;
        let (topic, number) = (to.topic, to.partition);
        let record = Record { topic, partition: number, offset, key, value, headers, timestamp };
        partition.records.push_back(record);
        partition.end += 1;
        self.bytes += bytes;
        Some(Position { partition: number, offset })
    }

    pub(super) fn read(
        &self,
        at: &TopicPartition,
        from: u64,
        max: usize,
        max_bytes: usize,
    ) -> Option<Fetched> {
        let partition = self.partition(at)?;
        let skip = partition.records.partition_point(|record| record.offset < from);
        let mut bytes = 0;
        let records = partition.records.iter().skip(skip).take(max).take_while(|record| {
            let goes_on = bytes < max_bytes;
            bytes += size(record);
            goes_on
        });
        Some(Fetched { start: partition.start, records: records.cloned().collect() })
    }

    pub(super) fn remove_expired(&mut self, now: EpochMs) -> u64 {
        let (mut removed, mut bytes) = (0, 0);
        for topic in self.topics.values_mut() {
            for partition in &mut topic.partitions {
                let (count, freed) = match topic.cleanup {
                    Cleanup::Delete => partition.expire(now, topic.retention),
                    Cleanup::Compact => partition.compact(),
                };
                removed += count;
                bytes += freed;
            }
        }
        self.bytes -= bytes;
        removed
    }

    pub(super) fn hold(&mut self, producer: u64, held: Held) {
        self.held.entry(producer).or_default().push_back(held);
    }

    pub(super) fn holds(&self, producer: u64) -> bool {
        self.held.contains_key(&producer)
    }

    /// Forgets the held records of a producer that is gone, as a process takes its memory along.
    pub(super) fn forget(&mut self, producer: u64) {
        self.held.remove(&producer);
    }

    /// Writes held records, each producer's in order, and says who is to hear of which.
    pub(super) fn flush_held(
        &mut self,
    ) -> (Vec<TopicPartition>, Vec<(oneshot::Sender<Position>, Position)>) {
        let (mut touched, mut replies) = (BTreeSet::new(), Vec::new());
        let mut still_held = BTreeMap::new();
        for (producer, mut queue) in std::mem::take(&mut self.held) {
            while let Some(held) = queue.pop_front() {
                if !self.has_room(held.record.size(), held.admission) {
                    queue.push_front(held);
                    break;
                }
                let at = held.record.to.clone();
                if let Some(position) = self.append(held.record) {
                    replies.push((held.reply, position));
                    touched.insert(at);
                }
            }
            if !queue.is_empty() {
                still_held.insert(producer, queue);
            }
        }
        self.held = still_held;
        (touched.into_iter().collect(), replies)
    }
}
