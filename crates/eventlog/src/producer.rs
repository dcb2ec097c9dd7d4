//! The writing side of the port.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::record::{NewRecord, Position};

/// How long a producer tries to write a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Then the caller hears [`AppendError::Unavailable`] and must treat the record as in doubt.
    GiveUpAfter(Duration),
    /// Until it is written. A record that can wait must not be overtaken by the next one of its
    /// partition: a patient producer keeps the order of its calls through every failure.
    Forever,
}

/// Whether a record brings new work into the system or finishes work that is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Refused first when room gets scarce.
    NewWork,
    /// Written as long as there is any room.
    Progress,
}

/// A producer's policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerOptions {
    /// How long it tries.
    pub patience: Patience,
    /// What its records mean for the system.
    pub admission: Admission,
}

/// Why a record was not (known to be) written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AppendError {
    /// No room left, or less than the floor kept for finishing work. Not written.
    #[error("the log is full")]
    Full,
    /// Longer than the log allows. Not written.
    #[error("the record is {bytes} bytes long, at most {max} are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The topic or partition does not exist. Not written.
    #[error("no such partition")]
    UnknownPartition,
    /// Not acknowledged in time: the record may or may not be in the log.
    #[error("the log did not acknowledge the record: {0}")]
    Unavailable(String),
    /// The log is being closed; as [`AppendError::Unavailable`].
    #[error("the log is closed")]
    Closed,
}

impl AppendError {
    /// Whether the record may be in the log although nobody confirmed it.
    pub fn is_in_doubt(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Closed)
    }
}

/// Resolves when the record is durable, or when it is known not to become so.
pub type Ack = BoxFuture<'static, Result<Position, AppendError>>;

/// For adapters: an ack that gives up in time, whatever becomes of the record.
pub(crate) fn ack_within(
    patience: Patience,
    answer: oneshot::Receiver<Result<Position, AppendError>>,
) -> Ack {
    let answer = answer.map(|answer| answer.unwrap_or(Err(AppendError::Closed)));
    let deadline = match patience {
        Patience::Forever => None,
        Patience::GiveUpAfter(after) => Instant::now().checked_add(after),
    };
    match deadline {
        None => answer.boxed(),
        Some(deadline) => async move {
            timeout_at(deadline, answer)
                .await
                .unwrap_or_else(|_| Err(AppendError::Unavailable("not in time".to_owned())))
        }
        .boxed(),
    }
}

/// Writes records.
pub trait Producer: Send + Sync + 'static {
    /// Queues a record. Records of one partition are written in the order of the calls.
    ///
    /// The future may be dropped; the record is written all the same.
    ///
    /// # Errors
    /// The record itself, if the queue is full: wait for [`Producer::room`].
    fn enqueue(&self, record: NewRecord) -> Result<Ack, Box<NewRecord>>;

    /// Waits until the queue is likely to have room.
    fn room(&self) -> BoxFuture<'_, ()>;
}

/// Queues a record, waiting for room, and waits until it is durable.
///
/// # Errors
/// See [`AppendError`].
pub async fn append(producer: &dyn Producer, record: NewRecord) -> Result<Position, AppendError> {
    let mut record = Box::new(record);
    loop {
        match producer.enqueue(*record) {
            Ok(ack) => return ack.await,
            Err(refused) => record = refused,
        }
        producer.room().await;
    }
}
