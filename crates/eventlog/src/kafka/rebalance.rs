//! What happens when the group shares its partitions anew. Runs inside the poll of the polling
//! thread, which nobody else uses: so it may wait for the owner, the brokers, and the deadline.
//!
//! While it runs, librdkafka fetches nothing for the partitions that stay, either.

use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use chat4all_process::metric::Metric;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::Instant;

use super::context::lag;
use super::membership::{Beginning, Membership, next_epoch};
use super::positions::{self, Start, number, place};
use super::queue::Queue;
use super::settings::StartAt;
use crate::consumer::{Assignment, TopicPartition};

/// The wait before the brokers are asked once more where a partition begins.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// How often whoever waits for the owner looks whether he leaves.
const LOOK: Duration = Duration::from_millis(50);

/// The context of a consumer.
pub(super) struct Rebalancing {
    pub(super) membership: Arc<Membership>,
    pub(super) topics: Vec<String>,
    pub(super) bootstrap: String,
    pub(super) start_at: Option<StartAt>,
    pub(super) revoke_deadline: Duration,
    /// The consumer that this is the context of; weak, because it owns this.
    pub(super) consumer: OnceLock<Weak<BaseConsumer<Rebalancing>>>,
}

impl ClientContext for Rebalancing {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.membership.reporter.log(level, facility, message);
    }

    fn stats(&self, statistics: Statistics) {
        self.membership.reporter.look_for_brokers(&statistics);
        let (service, group) = (self.membership.reporter.service, &self.membership.group);
        let lag = lag(&statistics);
        for topic in &self.topics {
            // None of its partitions is ours: somebody else reports them.
            let lag = lag.get(topic.as_str()).copied().unwrap_or(0);
            Metric::ConsumerLag.set(service, &[group, topic], lag as f64);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        ClientContext::error(&self.membership.reporter, error, reason);
        // A fatal one is what the owner's next call answers.
        self.membership.wake();
    }
}

impl ConsumerContext for Rebalancing {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let elements = partitions.elements();
        let named: Vec<TopicPartition> =
            elements.iter().map(|element| place(element.topic(), element.partition())).collect();
        match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, &named),
            _ => self.revoke(consumer, &named),
        }
    }
}

impl Rebalancing {
    fn this(&self) -> Option<Arc<BaseConsumer<Self>>> {
        self.consumer.get().and_then(Weak::upgrade)
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, partitions: &[TopicPartition]) {
        let starts = match self.this() {
            Some(this) if !partitions.is_empty() => self.starts(&this, partitions),
            _ => None,
        };
        let done = match starts {
            Some(starts) => self.begin(consumer, starts),
            // Also an empty assignment has to be answered, and one to a consumer that leaves.
            None => positions::list(partitions, Offset::End)
                .and_then(|list| consumer.incremental_assign(&list)),
        };
        self.report(consumer, done);
    }

    /// Asks until the brokers answer; `None` if we leave, or the assignment is lost meanwhile.
    fn starts(
        &self,
        consumer: &Arc<BaseConsumer<Self>>,
        partitions: &[TopicPartition],
    ) -> Option<Vec<Start>> {
        let remedy =
            |at: &TopicPartition| positions::remedy(&self.bootstrap, &self.membership.group, at);
        loop {
            match positions::starts(&**consumer, partitions, self.start_at, remedy) {
                Ok(starts) => return Some(starts),
                Err(error) => {
                    tracing::warn!(%error, "the brokers do not say yet where to begin");
                    // Nobody looks at statistics while this waits.
                    self.membership.reporter.name_brokers(consumer.client());
                    self.membership.wait_to_leave(ASK_AGAIN);
                }
            }
            if self.membership.is_leaving() || consumer.assignment_lost() {
                return None;
            }
        }
    }

    fn begin(&self, consumer: &BaseConsumer<Self>, starts: Vec<Start>) -> KafkaResult<()> {
        let this = self.this();
        let (mut list, mut silent) = (TopicPartitionList::new(), TopicPartitionList::new());
        let (mut new, mut beginnings) = (TopicPartitionList::new(), Vec::new());
        for Start { at, end, position, note, is_new } in starts {
            let (topic, partition) = (at.topic.clone(), number(&at));
            // Split before it is assigned: none of its records takes the common way.
            let queue =
                this.as_ref().and_then(|this| this.split_partition_queue(&topic, partition));
            let (Ok(position), Some(queue)) = (&position, queue) else {
                let why = position.err().unwrap_or_else(|| "its queue cannot be had".to_owned());
                // It stays assigned, so that it can be revoked, and is never read.
                list.add_partition_offset(&topic, partition, Offset::End)?;
                silent.add_partition(&topic, partition);
                beginnings.push(Beginning::Stopped(at, next_epoch(), why));
                continue;
            };
            let offset = Offset::Offset(i64::try_from(*position).unwrap_or(i64::MAX));
            list.add_partition_offset(&topic, partition, offset)?;
            if is_new {
                new.add_partition_offset(&topic, partition, offset)?;
            }
            let remedy = positions::remedy(&self.bootstrap, &self.membership.group, &at);
            let membership = self.membership.clone();
            let queue = Queue::new(queue, *position, remedy, move || membership.wake());
            let epoch = next_epoch();
            let assignment = Assignment { at, epoch, position: *position, note, end };
            beginnings.push(Beginning::At(assignment, queue));
        }
        consumer.incremental_assign(&list)?;
        if silent.count() > 0 {
            consumer.pause(&silent)?;
        }
        if new.count() > 0 {
            // A group that never gets a record would otherwise have no offset when the log has
            // lost its first ones.
            consumer.commit(&new, CommitMode::Async)?;
        }
        self.membership.begin(beginnings);
        Ok(())
    }

    /// Gives partitions away once their owner has let go, or at the deadline.
    fn revoke(&self, consumer: &BaseConsumer<Self>, partitions: &[TopicPartition]) {
        if consumer.assignment_lost() {
            self.membership.lose(partitions);
        } else {
            let (released, release) = sync_channel(1);
            let waits = self.membership.revoke(partitions, move || {
                // After the deadline nobody listens.
                let _late = released.try_send(());
            });
            if waits && !self.is_released(&release) {
                tracing::warn!("partitions were given away at the deadline, with work under way");
            }
            self.membership.forget(partitions);
        }
        self.report(consumer, self.unassign(consumer, partitions));
    }

    /// Waits until the owner has let go, or leaves: then everything is committed that will be.
    fn is_released(&self, release: &Receiver<()>) -> bool {
        let deadline = Instant::now() + self.revoke_deadline;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match release.recv_timeout(left.min(LOOK)) {
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) if self.membership.is_leaving() => return true,
                Err(RecvTimeoutError::Timeout) if left.is_zero() => return false,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// A list that names a partition which is not assigned would fail as a whole.
    fn unassign(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: &[TopicPartition],
    ) -> KafkaResult<()> {
        let assigned = consumer.assignment()?;
        let assigned: Vec<TopicPartition> = assigned
            .elements()
            .iter()
            .map(|element| place(element.topic(), element.partition()))
            .filter(|at| partitions.contains(at))
            .collect();
        consumer.incremental_unassign(&positions::list(&assigned, Offset::Invalid)?)
    }

    /// Begins partitions that we keep again at their last commit. On the polling thread.
    pub(super) fn restart(&self, partitions: &[TopicPartition]) {
        let Some(consumer) = self.this() else { return };
        let Some(starts) = self.starts(&consumer, partitions) else { return };
        let done =
            self.unassign(&consumer, partitions).and_then(|()| self.begin(&consumer, starts));
        self.report(&consumer, done);
    }

    fn report(&self, consumer: &BaseConsumer<Self>, done: KafkaResult<()>) {
        let Err(error) = done else { return };
        if self.membership.is_leaving() || consumer.assignment_lost() {
            // The client itself lets go of everything then.
            tracing::debug!(%error, "an assignment that is over anyway failed");
            return;
        }
        // The group and we would disagree about what is ours: begin anew.
        tracing::error!(%error, "an assignment failed");
        self.membership.reporter.failure.report(format!("an assignment failed: {error}"));
        self.membership.wake();
    }
}
