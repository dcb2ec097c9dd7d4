//! How long one request may still take. All waiting for the log and the store goes through here,
//! so that a client hears an answer within 5 s (I7).

use std::future::Future;
use std::time::Duration;

use chat4all_store::StoreError;
use tokio::time::Instant;

/// The moment at which a request must be answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    /// `after` this moment.
    pub fn after(after: Duration) -> Self {
        Self(Instant::now() + after)
    }

    /// Whether nothing more may be begun.
    pub fn is_over(self) -> bool {
        Instant::now() >= self.0
    }

    /// The end of a step that may take `step`, and no longer than the request.
    pub fn end_of(self, step: Duration) -> Instant {
        self.0.min(Instant::now() + step)
    }

    /// Waits for the store, for at most `step`.
    pub async fn ask<T>(
        self,
        step: Duration,
        question: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        tokio::time::timeout_at(self.end_of(step), question)
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("no answer in time".to_owned())))
    }
}
