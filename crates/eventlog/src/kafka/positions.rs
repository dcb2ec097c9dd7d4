//! Where each partition of a new assignment begins. Asks the brokers, so it blocks.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{Offset, TopicPartitionList};

use super::settings::StartAt;
use crate::Bounds;
use crate::consumer::TopicPartition;
use crate::start;

/// How long the brokers may take to answer one question.
const ANSWER: Duration = Duration::from_secs(5);

/// Where a partition begins.
pub(super) struct Start {
    pub(super) at: TopicPartition,
    pub(super) end: u64,
    /// The offset of the first record to read, or why nothing can be read.
    pub(super) position: Result<u64, String>,
    /// The note of the last commit.
    pub(super) note: Option<String>,
    /// Whether the group had committed no offset.
    pub(super) is_new: bool,
}

/// How an operator mends a partition that is stopped.
pub(super) fn remedy(bootstrap: &str, group: &str, at: &TopicPartition) -> String {
    format!(
        "stop every process of the group, then choose: kafka-consumer-groups.sh \
         --bootstrap-server {bootstrap} --group {group} --topic {}:{} --reset-offsets \
         --to-earliest --execute (see docs/operations.md)",
        at.topic, at.partition
    )
}

/// A list of partitions, all at `offset`.
pub(super) fn list(
    partitions: &[TopicPartition],
    offset: Offset,
) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for at in partitions {
        list.add_partition_offset(&at.topic, number(at), offset)?;
    }
    Ok(list)
}

/// Kafka counts partitions with a sign.
pub(super) fn number(at: &TopicPartition) -> i32 {
    i32::try_from(at.partition).unwrap_or(i32::MAX)
}

/// Asks where `partitions` begin.
///
/// # Errors
/// If the brokers do not answer for every one of them.
pub(super) fn starts<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[TopicPartition],
    start_at: Option<StartAt>,
    remedy: impl Fn(&TopicPartition) -> String,
) -> Result<Vec<Start>, KafkaError> {
    let committed = committed(consumer, partitions)?;
    let bounds = bounds(consumer, partitions)?;
    let start = |at: &TopicPartition| {
        let (offset, note) = committed.get(at).cloned().unwrap_or_default();
        let bounds = bounds.get(at).copied().unwrap_or(Bounds { start: 0, end: 0 });
        let position = match (start::position(offset, bounds), offset, start_at) {
            (Ok(position), ..) => Ok(position),
            (Err(_), None, Some(StartAt::Earliest)) => Ok(bounds.start),
            (Err(_), None, Some(StartAt::Latest)) => Ok(bounds.end),
            (Err(missing), ..) => Err(format!("{missing}: {}", remedy(at))),
        };
        Start { at: at.clone(), end: bounds.end, position, note, is_new: offset.is_none() }
    };
    Ok(partitions.iter().map(start).collect())
}

/// An offset and its note.
type Found = (Option<u64>, Option<String>);

/// What the consumer's group has committed.
pub(super) fn committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[TopicPartition],
) -> Result<BTreeMap<TopicPartition, Found>, KafkaError> {
    let asked = list(partitions, Offset::Invalid)?;
    let answered = consumer.committed_offsets(asked, ANSWER)?;
    let mut committed = BTreeMap::new();
    for element in answered.elements() {
        element.error()?;
        let offset = match element.offset() {
            Offset::Offset(offset) => u64::try_from(offset).ok(),
            _ => None,
        };
        // The client panics on a note that is no UTF-8: somebody else's, and so no note of ours.
        let note = catch_unwind(AssertUnwindSafe(|| element.metadata().to_owned())).ok();
        let note = note.filter(|note| offset.is_some() && !note.is_empty());
        committed.insert(place(element.topic(), element.partition()), (offset, note));
    }
    Ok(committed)
}

/// The offsets that partitions hold, in two questions to each broker however many there are.
pub(super) fn bounds<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[TopicPartition],
) -> Result<BTreeMap<TopicPartition, Bounds>, KafkaError> {
    let starts = ends(consumer, partitions, Offset::Beginning)?;
    let mut ends = ends(consumer, partitions, Offset::End)?;
    let bounds = starts.into_iter().map(|(at, start)| {
        let end = ends.remove(&at).unwrap_or(start);
        (at, Bounds { start, end })
    });
    Ok(bounds.collect())
}

fn ends<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[TopicPartition],
    which: Offset,
) -> Result<BTreeMap<TopicPartition, u64>, KafkaError> {
    // In the protocol, the two ends of a log are special timestamps.
    let answered = consumer.offsets_for_times(list(partitions, which)?, ANSWER)?;
    let mut ends = BTreeMap::new();
    for element in answered.elements() {
        element.error()?;
        if let Offset::Offset(offset) = element.offset() {
            let at = place(element.topic(), element.partition());
            ends.insert(at, u64::try_from(offset).unwrap_or_default());
        }
    }
    Ok(ends)
}

pub(super) fn place(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition::new(topic, u32::try_from(partition).unwrap_or_default())
}
