//! Which topics an installation has, and how a record for each of them is made.

use std::time::Duration;

use bytes::Bytes;
use chat4all_contracts::event::{SCHEMA_HEADER, SCHEMA_VERSION, encode};
use chat4all_contracts::{
    AccountCommand, AccountState, DeadLetter, EpochMs, Inbound, Message, Platforms, Receipt,
    StatusUpdate, partition, topic,
};
use serde::Serialize;

use crate::consumer::TopicPartition;
use crate::record::{Header, NewRecord, Record};
use crate::{Cleanup, EventLog, LogError, Placement, TopicSpec};

/// The W3C Trace Context header, carried from record to record unchanged.
pub const TRACE_HEADER: &str = "traceparent";

/// Partition counts and retention, the same in every process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topology {
    /// Partitions of `messages`.
    pub messages: u32,
    /// Partitions of `status-updates`.
    pub status_updates: u32,
    /// Partitions of `receipts`.
    pub receipts: u32,
    /// Partitions of `inbound`.
    pub inbound: u32,
    /// How long records are kept: at least three times the longest life of a message.
    pub retention: Duration,
}

impl Topology {
    /// Every topic of an installation with these platforms, with its dead letters.
    pub fn topics(&self, platforms: &Platforms) -> Vec<TopicSpec> {
        let fixed = [
            (topic::MESSAGES.to_owned(), self.messages),
            (topic::STATUS_UPDATES.to_owned(), self.status_updates),
            (topic::RECEIPTS.to_owned(), self.receipts),
            (topic::INBOUND.to_owned(), self.inbound),
        ];
        let outbound =
            platforms.0.iter().map(|(name, spec)| (topic::outbound(name), spec.partitions()));
        let with_dead_letters = |(name, partitions): (String, u32), placement| {
            let names = [topic::dead_letters(&name), name];
            let (retention, cleanup) = (self.retention, Cleanup::Delete);
            names.map(|name| TopicSpec { name, partitions, placement, retention, cleanup })
        };
        let fixed = fixed.into_iter().flat_map(|topic| with_dead_letters(topic, Placement::ByKey));
        // An account added later gets a partition of its own.
        let outbound = outbound.flat_map(|topic| with_dead_letters(topic, Placement::Named));
        fixed.chain(outbound).chain([self.accounts()]).collect()
    }

    /// The topic of commands and states. Whoever reads it passes over what it cannot read, so it has
    /// no dead letters.
    fn accounts(&self) -> TopicSpec {
        TopicSpec {
            name: topic::ACCOUNTS.to_owned(),
            partitions: 1,
            placement: Placement::ByKey,
            retention: self.retention,
            cleanup: Cleanup::Compact,
        }
    }

    /// Creates or checks every topic.
    ///
    /// # Errors
    /// If the log is away, or a topic has another partition count.
    pub async fn ensure(&self, log: &dyn EventLog, platforms: &Platforms) -> Result<(), LogError> {
        log.ensure_topics(self.topics(platforms)).await
    }

    /// A record for `messages`.
    pub fn message(&self, message: &Message, headers: Vec<Header>) -> NewRecord {
        let key = message.conversation_id.as_str();
        let at = by_key(topic::MESSAGES, key, self.messages);
        record(at, key, message, message.accepted_at, headers)
    }

    /// A record for `status-updates`.
    pub fn status_update(&self, update: &StatusUpdate, now: EpochMs) -> NewRecord {
        status_update(update, self.status_updates, now)
    }

    /// A record for `receipts`.
    pub fn receipt(&self, receipt: &Receipt, now: EpochMs) -> NewRecord {
        let key = receipt.external_id.as_str();
        let at = by_key(topic::RECEIPTS, key, self.receipts);
        record(at, key, receipt, now, schema_headers())
    }

    /// A record for `inbound`.
    pub fn inbound(&self, inbound: &Inbound, now: EpochMs) -> NewRecord {
        let key = inbound.key();
        let at = by_key(topic::INBOUND, &key, self.inbound);
        record(at, &key, inbound, now, schema_headers())
    }
}

/// The partition of `accounts`.
pub fn accounts() -> TopicPartition {
    TopicPartition::new(topic::ACCOUNTS, 0)
}

/// An operator's command, for `accounts`.
pub fn account_command(command: &AccountCommand) -> NewRecord {
    record(accounts(), &command.key(), command, command.at, schema_headers())
}

/// How an account is, for `accounts`.
pub fn account_state(state: &AccountState) -> NewRecord {
    record(accounts(), &state.key(), state, state.at, schema_headers())
}

/// A record for `status-updates`, which has so many partitions.
pub fn status_update(update: &StatusUpdate, partitions: u32, now: EpochMs) -> NewRecord {
    let key = update.message_id.as_str();
    let at = by_key(topic::STATUS_UPDATES, key, partitions);
    record(at, key, update, now, schema_headers())
}

/// A record for a platform's outbound topic, on its account's partition.
pub fn outbound(
    at: TopicPartition,
    message: &Message,
    headers: Vec<Header>,
    now: EpochMs,
) -> NewRecord {
    record(at, message.conversation_id.as_str(), message, now, headers)
}

/// A record for the dead letters of `origin`'s topic, on the same partition. It says when the
/// letter was written and, for an unreadable record, when that record was.
pub fn dead_letter(origin: &Record, letter: &DeadLetter, now: EpochMs) -> NewRecord {
    let at = TopicPartition::new(&topic::dead_letters(&origin.topic), origin.partition);
    let letter = letter.clone().dated(origin.timestamp, now);
    record(at, &letter.key(), &letter, now, carried_headers(origin))
}

/// The headers of a record that continues `origin`: our schema, its trace.
pub fn carried_headers(origin: &Record) -> Vec<Header> {
    let mut headers = schema_headers();
    headers.extend(origin.headers.iter().filter(|(name, _)| name == TRACE_HEADER).cloned());
    headers
}

/// The headers that every record of ours has.
pub fn schema_headers() -> Vec<Header> {
    vec![(SCHEMA_HEADER.to_owned(), Bytes::from_static(SCHEMA_VERSION.as_bytes()))]
}

fn by_key(topic: &str, key: &str, partitions: u32) -> TopicPartition {
    TopicPartition::new(topic, partition::for_key(key.as_bytes(), partitions))
}

fn record(
    to: TopicPartition,
    key: &str,
    event: &impl Serialize,
    timestamp: EpochMs,
    headers: Vec<Header>,
) -> NewRecord {
    let key = Bytes::copy_from_slice(key.as_bytes());
    NewRecord { to, key, value: encode(event).into(), headers, timestamp }
}
