//! Commits: what workers reported, and the renewal of the lease.
//!
//! Workers are asked at each tick. What is done and not committed is done again after a kill, beside
//! what was under way; so that it stays a small part of that, they are also asked as soon as many
//! records are done.

use chat4all_eventlog::{Commit, LogError};
use chat4all_process::metric::Metric;
use ractor::{ActorProcessingErr, ActorRef};
use tokio::time::Instant;

use super::{INTAKE, IntakeMsg, IntakeState};
use crate::partition_worker::WorkerMsg;

/// Workers are asked before the next tick when this part of the most calls at once is done,
const EARLY_PART: usize = 16;
/// but not for fewer records than this,
const EARLY_LEAST: usize = 64;
/// and, ticks apart, no sooner after the last commit than this part of the interval between ticks.
const LEAST_WAIT: u32 = 5;

impl IntakeState {
    /// Asks for new reports, which are committed once all are there; commits what came since if they
    /// never all came.
    pub(super) async fn tick(&mut self) -> Result<(), ActorProcessingErr> {
        // Ticks pile up while a commit takes its time: one of them is enough.
        let half = self.args.worker.settings.commit_interval_ms.ms() / 2;
        if self.ticked.is_some_and(|last| last.elapsed() < half) {
            return Ok(());
        }
        self.args.worker.vitals.beat(INTAKE);
        // Also renews the lease while there are no workers.
        if self.awaited > 0 || self.partitions.is_empty() {
            self.commit().await?;
        }
        self.ticked = Some(Instant::now());
        self.ask_for_reports();
        Ok(())
    }

    /// So many more records are done: if there are enough of them, they do not wait for the tick.
    pub(super) fn done(&mut self, more: usize, myself: &ActorRef<IntakeMsg>) {
        self.done_since += more;
        let settings = &self.args.worker.settings;
        let enough = EARLY_LEAST.max(settings.max_in_flight.count() / EARLY_PART);
        if self.done_since < enough || self.awaited > 0 || self.is_early {
            return;
        }
        self.is_early = true;
        let rest = settings.commit_interval_ms.ms() / LEAST_WAIT;
        let since = self.asked.map_or(rest, |asked| asked.elapsed());
        drop(myself.send_after(rest.saturating_sub(since), || IntakeMsg::Early));
    }

    /// If a tick has asked meanwhile, what is done since is looked at when all have reported.
    pub(super) fn early(&mut self) {
        self.is_early = false;
        if self.awaited == 0 {
            self.ask_for_reports();
        }
    }

    fn ask_for_reports(&mut self) {
        (self.asked, self.done_since) = (Some(Instant::now()), 0);
        let topic = &self.args.source.topic;
        let in_hand: usize = self.partitions.values().map(|partition| partition.in_hand).sum();
        Metric::RecordsInHand.set(self.args.worker.service, &[topic], in_hand as f64);
        let held = self.partitions.iter().map(|(at, partition)| (at, partition.oldest));
        self.gauges.report(self.args.worker.clock.now(), held);
        self.awaited = self.partitions.len();
        for partition in self.partitions.values() {
            let _failed = partition.worker.send_message(WorkerMsg::Report);
        }
    }

    /// Commits what was reported, and what is unchanged if the lease has to be renewed; `false` if
    /// that failed and is worth another try.
    pub(super) async fn commit(&mut self) -> Result<bool, ActorProcessingErr> {
        let sent = Instant::now();
        let renews = self.args.worker.lease.is_due(sent);
        let mut commits = Vec::new();
        for (at, partition) in &self.partitions {
            if renews || partition.reported != partition.committed {
                let (offset, note) = partition.reported.clone();
                commits.push(Commit { at: at.clone(), epoch: partition.epoch, offset, note });
            }
        }
        if commits.is_empty() {
            return Ok(true);
        }
        let (service, topic) = (self.args.worker.service, commits[0].at.topic.clone());
        match self.consumer.commit(commits.clone()).await {
            Ok(refused) if refused.is_empty() => {
                Metric::Commits.count(service, &[&topic, "ok"]);
                self.args.worker.lease.renew(sent);
                for Commit { at, offset, note, .. } in commits {
                    if let Some(partition) = self.partitions.get_mut(&at) {
                        partition.committed = (offset, note);
                    }
                }
            }
            Ok(refused) => {
                if refused.len() < commits.len() {
                    self.args.worker.lease.renew(sent);
                }
                // The others of this call are stored too; the next commit says them once more.
                for error in refused {
                    Metric::Commits.count(service, &[&topic, "refused"]);
                    tracing::warn!(%error, "a commit was refused");
                }
            }
            Err(LogError::Closed) => return Err(LogError::Closed.into()),
            Err(error) => {
                Metric::Commits.count(service, &[&topic, "failed"]);
                tracing::warn!(%error, "a commit failed; the next one says the same and more");
                return Ok(false);
            }
        }
        Ok(true)
    }
}
