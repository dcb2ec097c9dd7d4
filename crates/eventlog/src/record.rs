//! Records, as they go into the log and as they come out.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use chat4all_contracts::EpochMs;

use crate::consumer::TopicPartition;

/// A header: a short name and bytes.
pub type Header = (String, Bytes);

/// A record on its way into the log.
#[derive(Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// Where it goes. The partition is always named: clients' defaults differ.
    pub to: TopicPartition,
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// The headers, in order.
    pub headers: Vec<Header>,
    /// The time written into the record.
    pub timestamp: EpochMs,
}

impl NewRecord {
    /// What counts toward the size limit: key, value and headers.
    pub fn size(&self) -> usize {
        let headers: usize =
            self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.len() + self.value.len() + headers
    }
}

/// A record out of the log.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: u32,
    /// The offset: rises within a partition, not always by one.
    pub offset: u64,
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// The headers, in order.
    pub headers: Vec<Header>,
    /// The time that its producer wrote into it.
    pub timestamp: EpochMs,
}

impl Record {
    /// Where it lies.
    pub fn at(&self) -> TopicPartition {
        TopicPartition { topic: self.topic.clone(), partition: self.partition }
    }
}

/// Where a record was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The partition.
    pub partition: u32,
    /// The offset.
    pub offset: u64,
}

// Keys and values are personal data: only places and sizes are shown (I10).
impl fmt::Debug for NewRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewRecord({}, {} bytes)", self.to, self.size())
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Record({}/{}@{}, {} bytes)",
            self.topic,
            self.partition,
            self.offset,
            self.value.len()
        )
    }
}
