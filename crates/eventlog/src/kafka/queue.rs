//! The queue of one partition: what librdkafka has fetched of it. Back-pressure is not reading it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chat4all_contracts::EpochMs;
use rdkafka::Message;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers};

use super::rebalance::Rebalancing;
use crate::consumer::TopicPartition;
use crate::record::{Header, Record};

/// The bytes after which a batch takes no further record.
const BATCH_BYTES: usize = 4 << 20;

/// See the module.
pub(super) struct Queue {
    fetched: PartitionQueue<Rebalancing>,
    /// Set by librdkafka when the queue is no longer empty.
    filled: Arc<AtomicBool>,
    /// What to do if the next record is no longer in the log.
    remedy: String,
    position: u64,
    /// The client has said, once, that the record at `position` is no longer there.
    gone: bool,
}

/// What a queue had.
pub(super) enum Taken {
    Records(Vec<Record>),
    /// The next record is no longer in the log.
    Gone(String),
    Nothing,
}

impl Queue {
    /// `wake` is called whenever the queue is no longer empty.
    pub(super) fn new(
        mut fetched: PartitionQueue<Rebalancing>,
        position: u64,
        remedy: String,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let filled = Arc::new(AtomicBool::new(true));
        let seen = filled.clone();
        fetched.set_nonempty_callback(move || {
            seen.store(true, Ordering::SeqCst);
            wake();
        });
        Self { fetched, filled, remedy, position, gone: false }
    }

    /// Takes what is there, without waiting.
    pub(super) fn take(&mut self, at: &TopicPartition, max: usize) -> Taken {
        // Before looking: what comes afterwards sets it again.
        if !self.filled.swap(false, Ordering::SeqCst) {
            return Taken::Nothing;
        }
        if self.gone {
            return Taken::Gone(self.why_gone());
        }
        let (mut records, mut bytes) = (Vec::new(), 0);
        while records.len() < max && bytes < BATCH_BYTES {
            match self.fetched.poll(Duration::ZERO) {
                None => return taken(records),
                Some(Ok(message)) => {
                    let record = record(at, &message);
                    // A rewind inside the client would hand out twice what was handed out.
                    if record.offset >= self.position {
                        self.position = record.offset + 1;
                        bytes += message.payload_len() + message.key_len();
                        records.push(record);
                    }
                }
                Some(Err(error)) if is_gone(&error) => {
                    if records.is_empty() {
                        return Taken::Gone(self.why_gone());
                    }
                    // First the records before the gap.
                    self.gone = true;
                    self.filled.store(true, Ordering::SeqCst);
                    return taken(records);
                }
                // Reported by the context; the client goes on by itself.
                Some(Err(_)) => {}
            }
        }
        self.filled.store(true, Ordering::SeqCst);
        taken(records)
    }

    fn why_gone(&self) -> String {
        let Self { position, remedy, .. } = self;
        format!("the records from {position} on are gone (retention): {remedy}")
    }
}

fn taken(records: Vec<Record>) -> Taken {
    if records.is_empty() { Taken::Nothing } else { Taken::Records(records) }
}

fn is_gone(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)
    )
}

/// Copies a record out of the client's memory.
pub(super) fn record(at: &TopicPartition, message: &BorrowedMessage<'_>) -> Record {
    let bytes = |bytes: Option<&[u8]>| bytes.map(Bytes::copy_from_slice).unwrap_or_default();
    let headers = message.headers().and_then(|headers| {
        let header = |header: rdkafka::message::Header<'_, &[u8]>| -> Header {
            (header.key.to_owned(), bytes(header.value))
        };
        // The client panics on a name that is no UTF-8. None of ours is one, so such a foreign
        // record is taken without its headers.
        catch_unwind(AssertUnwindSafe(|| headers.iter().map(header).collect())).ok()
    });
    Record {
        topic: at.topic.clone(),
        partition: at.partition,
        // Never negative for a record that was fetched.
        offset: u64::try_from(message.offset()).unwrap_or_default(),
        key: bytes(message.key()),
        value: bytes(message.payload()),
        headers: headers.unwrap_or_default(),
        timestamp: timestamp(message),
    }
}

fn timestamp(message: &BorrowedMessage<'_>) -> EpochMs {
    let ms = message.timestamp().to_millis().and_then(|ms| u64::try_from(ms).ok());
    EpochMs::saturating(ms.unwrap_or_default())
}
