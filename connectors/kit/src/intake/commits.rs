//! Commits: what workers reported, and the renewal of the lease.

use chat4all_eventlog::{Commit, LogError};
use chat4all_process::metric::Metric;
use ractor::ActorProcessingErr;
use tokio::time::Instant;

use super::IntakeState;

impl IntakeState {
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
                // The others of this call are stored too; the next tick commits them once more.
                for error in refused {
                    Metric::Commits.count(service, &[&topic, "refused"]);
                    tracing::warn!(%error, "a commit was refused");
                }
            }
            Err(LogError::Closed) => return Err(LogError::Closed.into()),
            Err(error) => {
                Metric::Commits.count(service, &[&topic, "failed"]);
                tracing::warn!(%error, "a commit failed; the next tick tries again");
                return Ok(false);
            }
        }
        Ok(true)
    }
}
