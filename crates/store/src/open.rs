//! The open messages: accepted, and without an outcome. What is listed and in which order.
//!
//! An entry is addressed by when its message is due to be judged, so that "what should have an
//! outcome by now" is a bounded question. Entries are spread over [`SHARDS`] by the message's id,
//! so that whoever judges one partition of `status-updates` reads only its share. An entry is a
//! hint: whether the message is open is said by its row alone.

use std::time::Duration;

use chat4all_contracts::{EpochMs, Generation, MessageId, Status, partition};

use crate::StoredMessage;

/// How many parts the open messages of an hour have. Never changes: entries would be lost.
pub const SHARDS: u32 = 16;

/// How long after it was due an entry is kept at least: 9 days.
pub const OPEN_KEPT: Duration = Duration::from_secs(9 * 24 * 60 * 60);

/// Whether a message with this status is open.
pub fn is_open(status: Status) -> bool {
    matches!(status, Status::Accepted | Status::Unknown)
}

/// The shard of a message.
pub fn shard(id: &MessageId) -> u32 {
    partition::for_key(id.as_str().as_bytes(), SHARDS)
}

/// Some of the shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shards(u16);

impl Shards {
    /// All of them.
    pub const ALL: Shards = Shards(u16::MAX);

    /// Those in which the messages of one of `partitions` partitions by message id lie. Others lie
    /// there too unless `partitions` divides [`SHARDS`].
    pub fn of_partition(number: u32, partitions: u32) -> Self {
        // Both are the remainder of one hash, so they agree modulo the common divisor.
        let step = greatest_common_divisor(partitions.max(1), SHARDS);
        let agrees = |shard: &u32| shard % step == number % step;
        Self((0..SHARDS).filter(agrees).fold(0, |set, shard| set | 1 << shard))
    }

    /// Whether this is one of them.
    pub fn contains(self, shard: u32) -> bool {
        shard < SHARDS && self.0 >> shard & 1 == 1
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// A place in the order of the open messages: by hour, shard, due time, id and generation. An
/// adapter may order by less.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpenPlace {
    /// The hour since 1970 of the due time.
    pub hour: u32,
    /// The shard.
    pub shard: u32,
    /// When the message is due.
    pub due: EpochMs,
    /// The message; empty = before all of this time.
    pub message_id: Box<str>,
    /// The life of the message.
    pub generation: Generation,
}

impl OpenPlace {
    /// Before everything that is due at `due` or later. What was due earlier in its hour may follow
    /// too.
    pub fn before(due: EpochMs) -> Self {
        let generation = Generation::FIRST;
        Self { hour: hour(due), shard: 0, due, message_id: "".into(), generation }
    }
}

/// The hour since 1970. Fits, by the bound of [`EpochMs`].
pub fn hour(at: EpochMs) -> u32 {
    (at.as_ms() / 3_600_000) as u32
}

/// A part of the open messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenPage {
    /// Those that are open, in order. Fewer than asked for, or none, says nothing about the rest.
    pub messages: Vec<StoredMessage>,
    /// Where to go on; `None` at the end.
    pub next: Option<OpenPlace>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_of_a_partition_lies_in_its_shards() {
        for partitions in 1..40 {
            for n in 0..200 {
                let id = MessageId::new(&format!("m{n}")).unwrap();
                let number = partition::for_key(id.as_str().as_bytes(), partitions);
                assert!(Shards::of_partition(number, partitions).contains(shard(&id)));
            }
        }
    }

    #[test]
    fn shards_are_shared_only_where_the_partitions_do_not_divide_them() {
        assert_eq!(Shards::of_partition(0, 1), Shards::ALL);
        assert_eq!(Shards::of_partition(3, 16).0, 1 << 3);
        assert_eq!(Shards::of_partition(1, 2).0, 0b1010_1010_1010_1010);
        assert_eq!(Shards::of_partition(2, 3), Shards::ALL);
    }
}
