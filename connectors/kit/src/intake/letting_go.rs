//! Letting go of partitions: drain, cut off what outlasts the deadline, commit, forget.

use std::time::Duration;

use chat4all_eventlog::{Epoch, Revoked, TopicPartition};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use ractor::rpc::CallResult;
use ractor::{ActorProcessingErr, ActorRef};

use super::{IntakeMsg, IntakeState, Progress, Revoking, worker_name};
use crate::partition_worker::WorkerMsg;

/// Which part of the time for letting go a worker's last word may take.
const LAST_REPORT_PART: u32 = 4;
/// How much later than at once we may hear that partitions go away, without a call being cut off for
/// that: a commit on busy brokers takes seconds.
const HEARD_LATE: Duration = Duration::from_secs(5);

/// How long the group waits for us to let go when calls may run for so long: as long again is for the
/// last commit. Only a commit that is late makes it wait so long, and without that commit everything
/// since the one before would be done again.
pub(super) fn patience_of_group(for_calls: Duration) -> Duration {
    HEARD_LATE + for_calls * 2
}

impl IntakeState {
    pub(super) async fn revoke(
        &mut self,
        revoked: Revoked,
        myself: &ActorRef<IntakeMsg>,
    ) -> Result<(), ActorProcessingErr> {
        let Revoked { partitions, ack, since, lost } = revoked;
        self.revocations += 1;
        let number = self.revocations;
        let for_calls = self.args.worker.settings.revoke_deadline_ms.ms();
        // We may have heard of it late: the group does not wait longer for that.
        let left = patience_of_group(for_calls).saturating_sub(since.elapsed());
        let deadline = for_calls.min(left.saturating_sub(for_calls));
        for (at, _) in &partitions {
            self.drain(at);
            if let Some(partition) = self.partitions.get(at) {
                // Not by our own message: when the time is over we may be waiting for a commit.
                partition.tasks.reap_after(deadline);
            }
        }
        self.revoking.push(Revoking { number, partitions, ack });
        let done = self.revoking.last().is_some_and(|r| self.is_drained(&r.partitions));
        if lost || done {
            return self.finish_revocation(number).await;
        }
        drop(myself.send_after(deadline, move || IntakeMsg::RevokeDeadline(number)));
        Ok(())
    }

    pub(super) fn is_drained(&self, partitions: &[(TopicPartition, Epoch)]) -> bool {
        partitions.iter().all(|(at, epoch)| {
            self.partitions.get(at).is_none_or(|p| p.epoch != *epoch || p.drained)
        })
    }

    fn drain(&self, at: &TopicPartition) {
        if let Some(partition) = self.partitions.get(at) {
            partition.tasks.drain();
            let _failed = partition.worker.send_message(WorkerMsg::Drain);
        }
    }

    /// Commits and lets go. What is still under way is ended before: the next owner does it again.
    pub(super) async fn finish_revocation(
        &mut self,
        number: u64,
    ) -> Result<(), ActorProcessingErr> {
        let Some(index) = self.revoking.iter().position(|r| r.number == number) else {
            return Ok(());
        };
        let Revoking { partitions, ack, .. } = self.revoking.remove(index);
        let names: Vec<_> = partitions.iter().map(|(at, _)| at.clone()).collect();
        self.cut_off(&names).await;
        self.commit().await?;
        for (at, epoch) in partitions {
            self.gauges.not_stopped(&at);
            self.args.worker.steering.disown(at.partition);
            if self.partitions.get(&at).is_some_and(|partition| partition.epoch == epoch) {
                self.forget(&at).await;
            }
        }
        ack.done();
        Ok(())
    }

    /// Ends what is still under way in these partitions, then takes the last word of their workers:
    /// what a call has achieved until then is not done again, and what is lost is counted.
    pub(super) async fn cut_off(&mut self, partitions: &[TopicPartition]) {
        let patience = self.args.worker.settings.revoke_deadline_ms.ms() / LAST_REPORT_PART;
        let mut reports = FuturesUnordered::new();
        for at in partitions {
            let Some(partition) = self.partitions.get(at).filter(|p| !p.drained) else { continue };
            partition.tasks.reap().await;
            let worker = partition.worker.clone();
            reports
                .push(async move { worker.call(WorkerMsg::LastReport, Some(patience)).await.ok() });
        }
        while let Some(report) = reports.next().await {
            // A worker that is gone, or reads back still: its last report of its own stands.
            let Some(CallResult::Success(Progress { at, epoch, position, note, .. })) = report
            else {
                continue;
            };
            if let Some(partition) = self.partitions.get_mut(&at).filter(|p| p.epoch == epoch) {
                partition.reported = (position, note);
            }
        }
    }

    /// Ends a partition's worker and everything it had started.
    pub(super) async fn forget(&mut self, at: &TopicPartition) {
        if let Some(partition) = self.partitions.remove(at) {
            self.args.worker.vitals.rest(&worker_name(at));
            if !partition.drained {
                tracing::warn!(partition = %at, "ended with work under way; it is done again");
            }
            partition.worker.stop(None);
            partition.tasks.reap().await;
        }
    }

    pub(super) async fn restart(&mut self, at: &TopicPartition, epoch: Epoch) {
        let lost = self.partitions.get(at).filter(|partition| partition.epoch == epoch);
        if let Some(partition) = lost {
            if let Some(offset) = partition.suspect.offset() {
                self.poison.died(at, offset);
            }
            self.forget(at).await;
            if !self.stopping {
                self.consumer.restart(at);
            }
        }
    }
}
