//! A follower that goes on whatever happens: if following ends, it begins again, from the start, and
//! says so. For readers that hold what a compacted topic says now.

use std::sync::Arc;
use std::time::Duration;

use chat4all_process::Random;
use chat4all_process::backoff::{Backoff, BackoffPolicy};
use tokio::time::{Instant, sleep_until};

use crate::consumer::TopicPartition;
use crate::follower::{Followed, Follower};
use crate::record::Record;
use crate::{EventLog, LogError};

/// How long a log that cannot be followed is waited for.
const RETRY: BackoffPolicy = BackoffPolicy::new(Duration::from_millis(100), Duration::from_secs(5));

/// What a feed brings next.
#[derive(Debug)]
pub enum Fed {
    /// The records from the start on follow: whoever holds what was said begins anew, and goes by
    /// what he has until he has caught up.
    Began,
    /// The next records.
    Records(Vec<Record>),
    /// Everything that was there has been handed out.
    CaughtUp,
}

/// See the module.
pub struct Feed {
    log: Arc<dyn EventLog>,
    at: TopicPartition,
    follower: Option<Box<dyn Follower>>,
    retry_at: Option<Instant>,
    backoff: Backoff,
}

impl Feed {
    /// A feed of `at`; it begins when it is first asked.
    pub fn new(log: Arc<dyn EventLog>, at: TopicPartition, random: Random) -> Self {
        let backoff = Backoff::new(RETRY, random);
        Self { log, at, follower: None, retry_at: None, backoff }
    }

    /// What comes next. May be cancelled without losing anything.
    pub async fn next(&mut self) -> Fed {
        loop {
            if let Some(at) = self.retry_at {
                sleep_until(at).await;
                self.retry_at = None;
            }
            let failed = match &mut self.follower {
                None => match self.log.follow(&self.at).await {
                    Ok(follower) => {
                        self.follower = Some(follower);
                        return Fed::Began;
                    }
                    Err(error) => error,
                },
                Some(follower) => match follower.next().await {
                    Ok(Followed::Records(records)) => return Fed::Records(records),
                    Ok(Followed::CaughtUp) => {
                        self.backoff.reset();
                        return Fed::CaughtUp;
                    }
                    Err(error) => error,
                },
            };
            self.retry(&failed);
        }
    }

    fn retry(&mut self, error: &LogError) {
        tracing::warn!(partition = %self.at, %error, "cannot be followed yet");
        self.follower = None;
        self.retry_at = Some(Instant::now() + self.backoff.next_half_jittered());
    }
}
