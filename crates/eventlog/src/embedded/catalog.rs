//! What the log holds, in memory: topics, partitions and their bounds, as of the last commit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chat4all_sqlite::rusqlite::Transaction;

use super::Inner;
use super::tables::{self, PartitionId, StoredPartition};
use crate::consumer::TopicPartition;
use crate::spec::{check_cleanup, check_topic};
use crate::{Bounds, Cleanup, LogError, TopicSpec};

#[derive(Default)]
pub(super) struct Catalog(Mutex<BTreeMap<Arc<str>, Topic>>);

struct Topic {
    retention: Duration,
    cleanup: Cleanup,
    /// Partition 0, 1, 2, …
    partitions: Vec<Partition>,
}

struct Partition {
    id: PartitionId,
    bounds: Bounds,
}

/// A partition whose old records may go.
pub(super) struct Retained {
    pub(super) at: TopicPartition,
    pub(super) id: PartitionId,
    pub(super) retention: Duration,
    pub(super) cleanup: Cleanup,
}

impl Catalog {
    fn with<T>(&self, f: impl FnOnce(&mut BTreeMap<Arc<str>, Topic>) -> T) -> T {
        // Every change is one assignment.
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn of<T>(&self, at: &TopicPartition, f: impl FnOnce(&mut Partition) -> T) -> Option<T> {
        let index = usize::try_from(at.partition).ok()?;
        self.with(|topics| topics.get_mut(&at.topic)?.partitions.get_mut(index).map(f))
    }

    /// Adds what is stored; what is known already keeps its bounds, which later commits have moved.
    pub(super) fn learn(&self, stored: Vec<StoredPartition>) {
        self.with(|topics| {
            for StoredPartition { topic, partition, id, bounds, retention_ms, cleanup } in stored {
                let retention = Duration::from_millis(retention_ms);
                let new = || Topic { retention, cleanup, partitions: Vec::new() };
                let topic = topics.entry(topic).or_insert_with(new);
                topic.retention = retention;
                if topic.partitions.len() == partition as usize {
                    topic.partitions.push(Partition { id, bounds });
                }
            }
        });
    }

    pub(super) fn partition_count(&self, topic: &str) -> Option<u32> {
        self.with(|topics| u32::try_from(topics.get(topic)?.partitions.len()).ok())
    }

    pub(super) fn id(&self, at: &TopicPartition) -> Option<PartitionId> {
        self.of(at, |partition| partition.id)
    }

    pub(super) fn bounds(&self, at: &TopicPartition) -> Option<Bounds> {
        self.of(at, |partition| partition.bounds)
    }

    pub(super) fn set_end(&self, at: &TopicPartition, end: u64) {
        self.of(at, |partition| partition.bounds.end = end);
    }

    pub(super) fn set_start(&self, at: &TopicPartition, start: u64) {
        self.of(at, |partition| partition.bounds.start = start);
    }

    pub(super) fn retained(&self) -> Vec<Retained> {
        self.with(|topics| {
            let partitions = topics.iter().flat_map(|(name, topic)| {
                (0u32..).zip(&topic.partitions).map(|(number, partition)| Retained {
                    at: TopicPartition { topic: name.clone(), partition: number },
                    id: partition.id,
                    retention: topic.retention,
                    cleanup: topic.cleanup,
                })
            });
            partitions.collect()
        })
    }
}

/// Creates what is missing, unless anything that exists differs.
pub(super) async fn ensure(log: &Arc<Inner>, topics: Vec<TopicSpec>) -> Result<(), LogError> {
    let job = move |transaction: &Transaction<'_>| {
        for spec in &topics {
            let present = tables::partition_count(transaction, &spec.name)?;
            let cleanup = tables::cleanup(transaction, &spec.name)?;
            let cleanup = present.map(|_| cleanup);
            if let Err(mismatch) = check_topic(spec, present).and(check_cleanup(spec, cleanup)) {
                return Ok(Err(mismatch));
            }
        }
        for spec in &topics {
            tables::put_topic(transaction, spec)?;
        }
        tables::partitions(transaction).map(Ok)
    };
    let effect = |log: &Inner, stored: Result<Vec<StoredPartition>, LogError>| {
        log.catalog.learn(stored?);
        Ok(())
    };
    log.write(job, effect).await
}
