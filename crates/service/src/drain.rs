//! From a service's first moment to its end: how it runs, what ends it, and how long that may take.

use std::time::Duration;

use chat4all_process::{Failure, Shutdown, exit};
use futures::future::BoxFuture;
use tokio::time::timeout;

use crate::prepared::Run;

/// What can end a service, and what its end means for others.
pub(crate) struct Ends {
    /// The order to stop.
    pub stop: Shutdown,
    /// Resolves when the log cannot be used any more.
    pub failed: BoxFuture<'static, String>,
    /// Triggered when the service begins to drain.
    pub stopping: Shutdown,
    /// How long draining may take. What is not committed then is done again by a successor.
    pub limit: Duration,
}

fn software(why: impl Into<String>) -> Failure {
    Failure::new(exit::SOFTWARE, why.into())
}

/// Runs a service until it is told to stop, the log fails, or it ends by itself; then drains it.
///
/// # Errors
/// Everything but a planned stop that was drained in time.
pub(crate) async fn run(run: Run, ends: Ends) -> Result<(), Failure> {
    let Ends { stop, failed, stopping, limit } = ends;
    let drain = Shutdown::new();
    let mut running = tokio::spawn(run(drain.clone()));
    let (failed, ended) = tokio::select! {
        biased;
        () = stop.wait() => (None, None),
        why = failed => (Some(why), None),
        ended = &mut running => (None, Some(ended)),
    };
    if let Some(why) = &failed {
        tracing::error!(why, "the log cannot be used any more; draining");
    }
    stopping.trigger();
    drain.trigger();
    let was_ordered = ended.is_none();
    let ended = match ended {
        Some(ended) => Ok(ended),
        None => timeout(limit, &mut running).await,
    };
    if ended.is_err() {
        tracing::error!(?limit, "draining takes too long; what is under way is done again");
        running.abort();
    }
    // It was not aborted before it ended, so an error to join is a panic.
    let ended = ended.map(|ended| ended.unwrap_or_else(|_| Err("it panicked".to_owned())));
    match (failed, ended) {
        (Some(why), _) => Err(software(why)),
        (None, Err(_)) => Err(software(format!("the service did not drain within {limit:?}"))),
        (None, Ok(Err(why))) => Err(software(format!("the service ended: {why}"))),
        (None, Ok(Ok(()))) if was_ordered => Ok(()),
        (None, Ok(Ok(()))) => Err(software("the service ended although nobody had asked")),
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures::FutureExt;
    use tokio::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn ends(stop: &Shutdown) -> Ends {
        let (stop, stopping) = (stop.clone(), Shutdown::new());
        Ends { stop, failed: pending().boxed(), stopping, limit: LIMIT }
    }

    /// Drains for a while once it is told to.
    fn drains(takes: Duration) -> Run {
        Box::new(move |shutdown: Shutdown| {
            async move {
                shutdown.wait().await;
                tokio::time::sleep(takes).await;
                Ok(())
            }
            .boxed()
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_planned_stop_waits_for_the_drain() {
        let stop = Shutdown::new();
        stop.trigger();
        let ends = ends(&stop);
        let (stopping, began) = (ends.stopping.clone(), Instant::now());
        assert_eq!(run(drains(LIMIT / 2), ends).await, Ok(()));
        assert!(stopping.is_triggered() && began.elapsed() >= LIMIT / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_without_an_end_is_cut_off() {
        let stop = Shutdown::new();
        stop.trigger();
        let began = Instant::now();
        let failure = run(drains(LIMIT * 9), ends(&stop)).await.unwrap_err();
        assert_eq!((failure.code, began.elapsed()), (exit::SOFTWARE, LIMIT));
        assert!(failure.text.contains("did not drain"), "{failure:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_that_fails_for_good_drains_the_service_and_is_the_reason() {
        let stop = Shutdown::new();
        let ends = Ends { failed: ready("fenced".to_owned()).boxed(), ..ends(&stop) };
        let began = Instant::now();
        let failure = run(drains(LIMIT / 2), ends).await.unwrap_err();
        assert_eq!((failure.code, failure.text.as_str()), (exit::SOFTWARE, "fenced"));
        assert!(began.elapsed() >= LIMIT / 2, "it was drained");
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_ends_by_itself_is_an_error() {
        let ended = async |service: Run| {
            let failure = run(service, ends(&Shutdown::new())).await.unwrap_err();
            assert_eq!(failure.code, exit::SOFTWARE);
            failure.text
        };
        let error = ended(Box::new(|_| async { Err("no group".to_owned()) }.boxed())).await;
        assert_eq!(error, "the service ended: no group");
        let panic = ended(Box::new(|_| async { panic!("a bug") }.boxed())).await;
        assert_eq!(panic, "the service ended: it panicked");
        let silent = ended(Box::new(|_| async { Ok(()) }.boxed())).await;
        assert!(silent.contains("nobody had asked"), "{silent}");
    }
}
