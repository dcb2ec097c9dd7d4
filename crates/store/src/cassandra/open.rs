//! Open messages: a partition for each shard of an hour.
//!
//! Nothing is deleted: what has an outcome is marked as settled where that is known, and goes by
//! its TTL. So most of an hour's rows cost one read of many rows together, and only those that are
//! not marked cost a look at the message's row.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chat4all_contracts::{ConversationId, EpochMs, Generation, Message, MessageId};
use futures::{StreamExt, TryStreamExt, stream};

use super::CassandraStore;
use super::parts::{self, ms};
use super::requests::unreadable;
use crate::open::{OPEN_KEPT, OpenPage, OpenPlace, SHARDS, Shards, hour, is_open, shard};
use crate::{RowAddress, StoreError, StoredMessage};

/// The most partitions that one call reads: most of them are empty or settled.
const MOST_PARTS: usize = 256;

/// The most entries of one call.
const MOST_ROWS: usize = 1_000;

/// The most partitions, and then rows of messages, read at once.
const AT_ONCE: usize = 16;

/// The columns of [`super::statements`]' `open`.
type Row<'a> = (i64, &'a str, i32, Option<&'a str>, Option<i64>, Option<bool>);

/// An entry of the index.
struct Entry {
    place: OpenPlace,
    /// Where its message is, unless it is known to be settled.
    unsettled: Option<RowAddress>,
}

/// What one partition holds of a range: up to so many entries, and whether that is all.
struct Part {
    at: (u32, u32),
    entries: Vec<Entry>,
    is_whole: bool,
}

/// What is asked for, and when.
struct Range<'a> {
    after: &'a OpenPlace,
    until: EpochMs,
    now: EpochMs,
}

/// Takes as many entries as there is room for; answers where to go on if there is none left.
fn take(entries: &mut Vec<Entry>, part: Part, limit: usize) -> Option<OpenPlace> {
    let room = limit - entries.len();
    let is_whole = part.is_whole && part.entries.len() <= room;
    entries.extend(part.entries.into_iter().take(room));
    if is_whole && entries.len() < limit {
        return None;
    }
    let last = entries.last().filter(|last| (last.place.hour, last.place.shard) == part.at);
    Some(last.map_or_else(|| beginning(part.at), |last| last.place.clone()))
}

impl CassandraStore {
    pub(super) async fn put_open(
        &self,
        tenant: &str,
        message: &Message,
        due: EpochMs,
        now: EpochMs,
    ) -> Result<(), StoreError> {
        let (hour, shard) = (hour(due), shard(&message.message_id));
        self.settled_parts.forget(tenant, (hour, shard));
        let values = (
            tenant,
            hour as i32,
            shard as i32,
            ms(due),
            message.message_id.as_str(),
            message.generation.as_u32() as i32,
            message.conversation_id.as_str(),
            ms(message.accepted_at),
            ttl(due, now),
        );
        self.requests.write(&self.statements.note_open, values).await
    }

    pub(super) async fn put_settled(
        &self,
        tenant: &str,
        (due, id, generation): (EpochMs, &MessageId, Generation),
        now: EpochMs,
    ) -> Result<(), StoreError> {
        let values = (
            ttl(due, now),
            tenant,
            hour(due) as i32,
            shard(id) as i32,
            ms(due),
            id.as_str(),
            generation.as_u32() as i32,
        );
        self.requests.write(&self.statements.note_settled, values).await
    }

    pub(super) async fn open_of(
        &self,
        tenant: &str,
        shards: Shards,
        after: &OpenPlace,
        until: EpochMs,
        limit: usize,
    ) -> Result<OpenPage, StoreError> {
        let range = Range { after, until, now: self.clock.now() };
        let limit = limit.clamp(1, MOST_ROWS);
        let (entries, next) = self.walk(tenant, shards, &range, limit).await?;
        let messages = stream::iter(entries)
            .map(|entry| self.look_at_open(tenant, entry))
            .buffered(AT_ONCE)
            .try_filter_map(async |found| Ok(found))
            .try_collect()
            .await?;
        Ok(OpenPage { messages, next })
    }

    /// From partition to partition, by hour and shard.
    async fn walk(
        &self,
        tenant: &str,
        shards: Shards,
        range: &Range<'_>,
        limit: usize,
    ) -> Result<(Vec<Entry>, Option<OpenPlace>), StoreError> {
        let begin = (range.after.hour, range.after.shard);
        let mut places = places(begin, range.until, shards).peekable();
        let mut entries = Vec::new();
        // One partition first: where it is full, the next ones would be read in vain.
        let (mut width, mut read) = (1, 0);
        while places.peek().is_some() {
            if read >= MOST_PARTS {
                return Ok((entries, places.next().map(beginning)));
            }
            let chosen: Vec<_> = places.by_ref().take(width).collect();
            read += chosen.len();
            let rows = limit - entries.len();
            let parts: Vec<Part> = stream::iter(chosen)
                .map(|at| self.part(tenant, at, range, rows))
                .buffered(AT_ONCE)
                .try_collect()
                .await?;
            for part in parts {
                if let Some(next) = take(&mut entries, part, limit) {
                    return Ok((entries, Some(next)));
                }
            }
            width = (width * 4).min(AT_ONCE);
        }
        Ok((entries, None))
    }

    /// Up to `rows` entries of one partition.
    async fn part(
        &self,
        tenant: &str,
        at: (u32, u32),
        range: &Range<'_>,
        rows: usize,
    ) -> Result<Part, StoreError> {
        if self.settled_parts.has(tenant, at, range.now) {
            return Ok(Part { at, entries: Vec::new(), is_whole: true });
        }
        let goes_on = at == (range.after.hour, range.after.shard);
        let from = if goes_on { range.after.clone() } else { beginning(at) };
        // A place without an id is before every generation, too.
        let is_between = !from.message_id.is_empty();
        let life = if is_between { from.generation.as_u32() as i32 } else { -1 };
        let (hour, shard) = (at.0 as i32, at.1 as i32);
        let values = (tenant, hour, shard, ms(from.due), &*from.message_id, life, rows as i32);
        let answer = self.requests.read(&self.statements.open, values).await?;
        let mut is_whole = answer.rows_num() < rows;
        let read = answer.rows::<Row<'_>>().map_err(|_| unreadable("open_messages"))?;
        let mut entries = Vec::new();
        for row in read {
            let row = row.map_err(|_| unreadable("open_messages"))?;
            entries.push(entry(at, row).ok_or_else(|| unreadable("open_messages"))?);
        }
        let is_settled = is_whole && entries.iter().all(|entry| entry.unsettled.is_none());
        if is_settled && from == beginning(at) {
            self.settled_parts.add(tenant, at, range.now);
        }
        if let Some(end) = entries.iter().position(|entry| entry.place.due >= range.until) {
            entries.truncate(end);
            is_whole = true;
        }
        Ok(Part { at, entries, is_whole })
    }

    /// The message, if it is open in the life that the entry speaks of.
    async fn look_at_open(
        &self,
        tenant: &str,
        entry: Entry,
    ) -> Result<Option<StoredMessage>, StoreError> {
        let Some(at) = entry.unsettled else { return Ok(None) };
        let found = self.row(tenant, &at).await?;
        Ok(found.filter(|stored| {
            is_open(stored.state.status()) && stored.state.generation == entry.place.generation
        }))
    }
}

/// A thousand days, in seconds: many times the longest life that the API gives.
const LONGEST_TTL: i32 = 1_000 * 24 * 60 * 60;

/// Until it goes, in seconds.
fn ttl(due: EpochMs, now: EpochMs) -> i32 {
    let kept = due.since(now).saturating_add(OPEN_KEPT).as_secs();
    // Cassandra refuses what would end after January 2038, which a record of another producer with
    // a life of decades would: its entry goes sooner, rather than be tried again for ever.
    i32::try_from(kept).unwrap_or(i32::MAX).min(LONGEST_TTL)
}

/// The partitions from one on, as far as something due before `until` can lie in them.
fn places(
    (hour, shard): (u32, u32),
    until: EpochMs,
    shards: Shards,
) -> impl Iterator<Item = (u32, u32)> {
    let last = self::hour(until);
    let all = (hour..=last).flat_map(|hour| (0..SHARDS).map(move |shard| (hour, shard)));
    all.filter(move |at| *at >= (hour, shard) && shards.contains(at.1))
}

/// Before everything in a partition.
fn beginning((hour, shard): (u32, u32)) -> OpenPlace {
    let due = EpochMs::saturating(u64::from(hour) * 3_600_000);
    OpenPlace { hour, shard, ..OpenPlace::before(due) }
}

/// `None` if the row cannot be read. A row that only a hint has reached counts as settled.
fn entry((hour, shard): (u32, u32), row: Row<'_>) -> Option<Entry> {
    let (due, message_id, generation, conversation_id, accepted_at, settled) = row;
    let place = OpenPlace {
        hour,
        shard,
        due: parts::time(due)?,
        message_id: message_id.into(),
        generation: parts::generation(generation)?,
    };
    let unsettled = match (conversation_id, accepted_at) {
        (Some(conversation_id), Some(accepted_at)) if settled != Some(true) => Some(RowAddress {
            conversation_id: ConversationId::new(conversation_id).ok()?,
            accepted_at: parts::time(accepted_at)?,
            message_id: MessageId::new(message_id).ok()?,
        }),
        _ => None,
    };
    Some(Entry { place, unsettled })
}

/// How long after its hour a partition still gets rows of a slow writer or a slow clock.
const LATE: Duration = Duration::from_secs(60 * 60);

/// How long it is believed that a partition is settled: if a clock was wrong, not for ever.
const BELIEVED: Duration = Duration::from_secs(6 * 60 * 60);

/// The most partitions that are remembered: twice those of [`OPEN_KEPT`].
const REMEMBERED: usize = 2 * 9 * 24 * SHARDS as usize;

/// Partitions of past hours in which nothing is open any more. They are not read again: new
/// entries go into the present hour or a later one.
#[derive(Debug, Default)]
pub(super) struct SettledParts(Mutex<ReadAt>);

/// By hour, shard and tenant: when it was read.
type ReadAt = BTreeMap<(u32, u32, Box<str>), EpochMs>;

impl SettledParts {
    fn has(&self, tenant: &str, (hour, shard): (u32, u32), now: EpochMs) -> bool {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let read_at = parts.get(&(hour, shard, tenant.into()));
        is_past(hour, now)
            && read_at.is_some_and(|read_at| *read_at <= now && now.since(*read_at) < BELIEVED)
    }

    fn add(&self, tenant: &str, (hour, shard): (u32, u32), now: EpochMs) {
        if !is_past(hour, now) {
            return;
        }
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while parts.len() >= REMEMBERED {
            parts.pop_first();
        }
        parts.insert((hour, shard, tenant.into()), now);
    }

    fn forget(&self, tenant: &str, (hour, shard): (u32, u32)) {
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parts.remove(&(hour, shard, tenant.into()));
    }
}

fn is_past(hour: u32, now: EpochMs) -> bool {
    let end = EpochMs::saturating((u64::from(hour) + 1) * 3_600_000);
    end.plus(LATE) < now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_walked_by_hour_and_shard_to_the_end() {
        let until = EpochMs::saturating(3 * 3_600_000 - 1);
        let walked: Vec<_> = places((1, 14), until, Shards::ALL).collect();
        assert_eq!(walked[..3], [(1, 14), (1, 15), (2, 0)]);
        assert_eq!((walked.len(), walked.last()), (18, Some(&(2, 15))));
        let half: Vec<_> = places((1, 0), until, Shards::of_partition(1, 2)).collect();
        assert_eq!(half.len(), 16);
        assert_eq!(places((4, 0), until, Shards::ALL).count(), 0);
    }

    #[test]
    fn only_a_past_hour_is_believed_to_stay_settled_and_not_for_ever() {
        let parts = SettledParts::default();
        let at = |hours: u64| EpochMs::saturating(hours * 3_600_000 + 1);
        parts.add("t", (5, 1), at(6));
        assert!(!parts.has("t", (5, 1), at(7)), "rows may still come");
        parts.add("t", (5, 1), at(7));
        assert!(parts.has("t", (5, 1), at(7)) && parts.has("t", (5, 1), at(12)));
        assert!(!parts.has("t", (5, 1), at(13)), "believed too long");
        assert!(!parts.has("t", (5, 1), at(6)), "the clock was set back");
        assert!(!parts.has("u", (5, 1), at(7)) && !parts.has("t", (5, 2), at(7)));
        parts.forget("t", (5, 1));
        assert!(!parts.has("t", (5, 1), at(7)));
    }
}
