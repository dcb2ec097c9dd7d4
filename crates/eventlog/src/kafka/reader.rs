//! Reading without a group, and questions about what there is. Blocks.

use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use rdkafka::{Message, Offset};

use super::context::{Reporter, STATISTICS_MS};
use super::positions;
use super::queue::record;
use super::settings::KafkaSettings;
use crate::consumer::{Committed, TopicPartition};
use crate::record::Record;
use crate::{Bounds, LogError};

/// How long the brokers may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How long a broker may take to show that it is there: as long as a probe waits.
const CHECK: Duration = Duration::from_secs(2);
/// How long a read waits for records that are there.
const READ: Duration = Duration::from_secs(10);
/// How many records a follower's client fetches ahead.
const PREFETCHED: usize = 1_000;
/// The group that a reader names and never joins.
const GROUP: &str = "chat4all-reader";

impl ConsumerContext for Reporter {}

/// Asks; belongs to no group.
pub(super) struct Reader {
    client: BaseConsumer<Reporter>,
}

impl Reader {
    pub(super) fn new(settings: &KafkaSettings, reporter: Reporter) -> Result<Self, KafkaError> {
        let config = settings.client(reporter.service);
        let client = BaseConsumer::from_config_and_context(&config, reporter)?;
        Ok(Self { client })
    }

    /// Serves what the client wants to report: nobody else polls it.
    fn serve(&self) {
        while self.client.poll(Duration::ZERO).is_some() {}
    }

    /// Whether a broker answers.
    pub(super) fn check(&self) -> Result<(), LogError> {
        self.metadata(None, CHECK).map(drop)
    }

    /// Asks, and names the brokers to begin with again when there is no answer: the client may have no
    /// other one left.
    fn metadata(&self, topic: Option<&str>, limit: Duration) -> Result<Metadata, LogError> {
        self.serve();
        self.client.fetch_metadata(topic, limit).map_err(|error| {
            self.client.context().name_brokers(self.client.client());
            unavailable(error)
        })
    }

    pub(super) fn partitions(&self, topic: &str) -> Result<u32, LogError> {
        let unknown = || LogError::UnknownPartition(TopicPartition::new(topic, 0));
        let metadata = self.metadata(Some(topic), ANSWER)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let found = found.ok_or_else(unknown)?;
        match found.error().map(RDKafkaErrorCode::from) {
            None => u32::try_from(found.partitions().len()).map_err(|_| unknown()),
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                Err(unknown())
            }
            Some(code) => Err(LogError::Unavailable(code.to_string())),
        }
    }

    pub(super) fn require(&self, at: &TopicPartition) -> Result<(), LogError> {
        if at.partition < self.partitions(&at.topic)? {
            return Ok(());
        }
        Err(LogError::UnknownPartition(at.clone()))
    }

    pub(super) fn bounds(&self, at: &TopicPartition) -> Result<Bounds, LogError> {
        self.require(at)?;
        let bounds = positions::bounds(&self.client, std::slice::from_ref(at));
        let bounds = bounds.map_err(unavailable)?;
        bounds.get(at).copied().ok_or_else(|| LogError::UnknownPartition(at.clone()))
    }

    /// What a group has committed. Names the group without joining it, which every broker allows.
    pub(super) fn committed(
        &self,
        settings: &KafkaSettings,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Option<Committed>>, LogError> {
        partitions.iter().try_for_each(|at| self.require(at))?;
        let reporter = self.client.context().as_ref().clone();
        let mut config = settings.client(reporter.service);
        config.set("group.id", group).set("enable.auto.commit", "false");
        let client: BaseConsumer<Reporter> =
            BaseConsumer::from_config_and_context(&config, reporter).map_err(unavailable)?;
        let mut found = positions::committed(&client, partitions).map_err(unavailable)?;
        let committed = partitions.iter().map(|at| {
            let (offset, note) = found.remove(at).unwrap_or_default();
            offset.map(|offset| Committed { offset, note: note.unwrap_or_default() })
        });
        Ok(committed.collect())
    }

    /// Reads as [`EventLog::read`](crate::EventLog::read) promises.
    pub(super) fn read(
        &self,
        settings: &KafkaSettings,
        at: &TopicPartition,
        from: u64,
        max: usize,
    ) -> Result<Vec<Record>, LogError> {
        let bounds = self.bounds(at)?;
        let from = from.max(bounds.start);
        if from >= bounds.end || max == 0 {
            return Ok(Vec::new());
        }
        let reporter = self.client.context().as_ref().clone();
        let reader = open(settings, reporter, at, from, max)?;
        let mut records = Vec::new();
        loop {
            match reader.poll(READ) {
                Some(Ok(message)) => {
                    let offset = u64::try_from(message.offset()).unwrap_or_default();
                    records.push(record(at, &message));
                    if records.len() >= max || offset + 1 >= bounds.end {
                        return Ok(records);
                    }
                }
                // What follows the last record may be no record (a marker).
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(records),
                Some(Err(error)) if is_final(&error) => return Err(unavailable(error)),
                // Reported by the context; the client goes on by itself.
                Some(Err(_)) => {}
                None => {
                    return Err(LogError::Unavailable(format!("{at} could not be read in time")));
                }
            }
        }
    }
}

pub(super) fn is_final(error: &KafkaError) -> bool {
    matches!(error, KafkaError::MessageConsumptionFatal(_))
        || matches!(
            error.rdkafka_error_code(),
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)
        )
}

/// A client that reads one partition, to its end.
fn open(
    settings: &KafkaSettings,
    reporter: Reporter,
    at: &TopicPartition,
    from: u64,
    max: usize,
) -> Result<BaseConsumer<Reporter>, LogError> {
    let offset = Offset::Offset(i64::try_from(from).unwrap_or(i64::MAX));
    // No more is fetched than will be read.
    assigned(settings, reporter, at, offset, max.clamp(1, 100_000))
}

/// A client that reads one partition from its start on.
pub(super) fn open_at_start(
    settings: &KafkaSettings,
    reporter: Reporter,
    at: &TopicPartition,
) -> Result<BaseConsumer<Reporter>, LogError> {
    assigned(settings, reporter, at, Offset::Beginning, PREFETCHED)
}

fn assigned(
    settings: &KafkaSettings,
    reporter: Reporter,
    at: &TopicPartition,
    offset: Offset,
    prefetched: usize,
) -> Result<BaseConsumer<Reporter>, LogError> {
    let mut config = settings.client(reporter.service);
    config
        .set("group.id", GROUP)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("statistics.interval.ms", STATISTICS_MS)
        .set("queued.min.messages", prefetched.to_string())
        .set("enable.partition.eof", "true");
    let client = BaseConsumer::from_config_and_context(&config, reporter).map_err(unavailable)?;
    let list = positions::list(std::slice::from_ref(at), offset).map_err(unavailable)?;
    client.assign(&list).map_err(unavailable)?;
    Ok(client)
}

pub(super) fn unavailable(error: KafkaError) -> LogError {
    LogError::Unavailable(error.to_string())
}
