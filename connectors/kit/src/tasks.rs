//! The tasks of one epoch of a partition: calls under way, statuses being published.
//!
//! They are no children of an actor: an actor that fails is reported before its state is dropped,
//! so a successor could run beside its old tasks. Whoever ends an epoch reaps its tasks first.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chat4all_process::metric::Metric;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct EpochTasks {
    service: &'static str,
    platform: Arc<str>,
    draining: CancellationToken,
    killed: CancellationToken,
    tracker: TaskTracker,
    unacknowledged: Arc<AtomicUsize>,
}

impl EpochTasks {
    /// No tasks. `service` and `platform` are those of metrics.
    pub fn new(service: &'static str, platform: &str) -> Self {
        Self {
            service,
            platform: platform.into(),
            draining: CancellationToken::new(),
            killed: CancellationToken::new(),
            tracker: TaskTracker::new(),
            unacknowledged: Arc::default(),
        }
    }

    /// An outcome is known, and being published.
    pub fn publishes(&self) {
        self.unacknowledged.fetch_add(1, Ordering::Relaxed);
    }

    /// The log has acknowledged so many outcomes.
    pub fn acknowledged(&self, outcomes: usize) {
        self.unacknowledged.fetch_sub(outcomes, Ordering::Relaxed);
    }

    /// How many outcomes are known, and not yet acknowledged.
    pub fn unacknowledged(&self) -> usize {
        self.unacknowledged.load(Ordering::Relaxed)
    }

    /// Runs `task` until it ends or the epoch is reaped.
    pub fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let killed = self.killed.clone();
        self.tracker.spawn(async move {
            // `None` = reaped: what was under way is found again in the log.
            let _reaped = killed.run_until_cancelled(task).await;
        });
    }

    /// As [`EpochTasks::spawn`], for a call or for what became of it. Cut off, the platform may
    /// hear of the message again: that is counted.
    pub fn spawn_call<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (killed, service, platform) =
            (self.killed.clone(), self.service, self.platform.clone());
        // A future that others hold is stored three times in them, and there are thousands.
        let task = Box::pin(task);
        self.tracker.spawn(async move {
            if killed.run_until_cancelled(task).await.is_none() {
                Metric::CallsOutlastedDrain.count(service, &[&platform]);
            }
        });
    }

    /// From now on nothing new may start.
    pub fn drain(&self) {
        self.draining.cancel();
    }

    /// Whether something new may start.
    pub fn may_start(&self) -> bool {
        !self.draining.is_cancelled() && !self.killed.is_cancelled()
    }

    /// Whether everything of the epoch has been ended.
    pub fn is_reaped(&self) -> bool {
        self.killed.is_cancelled()
    }

    /// Ends all tasks after this time, whatever their owner is waiting for then.
    pub fn reap_after(&self, wait: Duration) {
        let tasks = self.clone();
        drop(tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            tasks.reap().await;
        }));
    }

    /// Ends all tasks and waits until they are gone.
    pub async fn reap(&self) {
        self.draining.cancel();
        self.killed.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tasks_end_in_time_although_nobody_reaps_them() {
        let tasks = EpochTasks::new("test", "silent");
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        tasks.spawn(async move {
            std::future::pending::<()>().await;
            drop(sender);
        });
        let begun = tokio::time::Instant::now();
        tasks.reap_after(Duration::from_secs(1));
        assert!(tasks.may_start() && receiver.await.is_err());
        assert_eq!(begun.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test]
    async fn after_reaping_no_task_is_left() {
        let tasks = EpochTasks::new("test", "silent");
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        tasks.spawn(async move {
            std::future::pending::<()>().await;
            drop(sender);
        });
        assert!(tasks.may_start());
        tasks.reap().await;
        assert!(!tasks.may_start());
        assert!(receiver.await.is_err(), "the task's state is gone");
    }
}
