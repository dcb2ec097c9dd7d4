//! What the log says about how far each stage is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chat4all_contracts::{PlatformName, group, partition, topic};
use chat4all_eventlog::{Committed, EventLog, LogError, TopicPartition};

use super::ticket::End;

/// Asks the log. Partition counts of topics by key never change, so they are asked for once.
pub(super) struct Stages {
    log: Arc<dyn EventLog>,
    counts: BTreeMap<&'static str, u32>,
}

/// What groups have committed.
pub(super) type Commits = BTreeMap<TopicPartition, Option<Committed>>;

impl Stages {
    pub(super) fn new(log: Arc<dyn EventLog>) -> Self {
        Self { log, counts: BTreeMap::new() }
    }

    async fn count(&mut self, topic: &'static str) -> Result<u32, LogError> {
        if let Some(count) = self.counts.get(topic) {
            return Ok(*count);
        }
        let count = self.log.partitions(topic).await?;
        self.counts.insert(topic, count);
        Ok(count)
    }

    /// The partition count of `status-updates`.
    pub(super) async fn status_partitions(&mut self) -> Result<u32, LogError> {
        self.count(topic::STATUS_UPDATES).await
    }

    /// The partition of `messages` on which a conversation's messages are.
    pub(super) async fn routed_at(
        &mut self,
        conversation: &str,
    ) -> Result<TopicPartition, LogError> {
        let count = self.count(topic::MESSAGES).await?;
        let number = partition::for_key(conversation.as_bytes(), count);
        Ok(TopicPartition::new(topic::MESSAGES, number))
    }

    /// Where the ends are now.
    pub(super) async fn ends(
        &self,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<Vec<End>, LogError> {
        let mut ends = Vec::new();
        for at in partitions {
            let end = self.log.bounds(&at).await?.end;
            ends.push((at, end));
        }
        Ok(ends)
    }

    /// The ends of a platform's outbound topic. None if there is no such topic: then nothing can
    /// have been routed there.
    pub(super) async fn outbound_ends(&self, platform: &str) -> Result<Vec<End>, LogError> {
        let Ok(platform) = PlatformName::new(platform) else { return Ok(Vec::new()) };
        let topic = topic::outbound(&platform);
        match self.log.partitions(&topic).await {
            Ok(count) => self.ends((0..count).map(|n| TopicPartition::new(&topic, n))).await,
            Err(LogError::UnknownPartition(_)) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// What the router has committed of these partitions.
    pub(super) async fn routed(
        &self,
        partitions: BTreeSet<TopicPartition>,
    ) -> Result<Commits, LogError> {
        self.committed(group::ROUTER, partitions).await
    }

    /// What a platform's connector has committed of these partitions.
    pub(super) async fn delivered(
        &self,
        platform: &str,
        partitions: BTreeSet<TopicPartition>,
    ) -> Result<Commits, LogError> {
        let Ok(platform) = PlatformName::new(platform) else { return Ok(Commits::new()) };
        self.committed(&group::connector(&platform), partitions).await
    }

    async fn committed(
        &self,
        group: &str,
        partitions: BTreeSet<TopicPartition>,
    ) -> Result<Commits, LogError> {
        if partitions.is_empty() {
            return Ok(Commits::new());
        }
        let partitions: Vec<_> = partitions.into_iter().collect();
        let committed = self.log.committed(group, &partitions).await?;
        Ok(partitions.into_iter().zip(committed).collect())
    }
}
