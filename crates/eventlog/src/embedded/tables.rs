//! The tables, and every statement on them. Runs on the database's threads.
//!
//! A record's place is one number, partition id * 2^44 + offset: appending and reading in order
//! stay within one b-tree, and a record carries no copy of its topic's name.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chat4all_contracts::EpochMs;
use chat4all_sqlite::DbError;
use chat4all_sqlite::rusqlite::{Connection, OptionalExtension, Row, params};

use super::headers;
use crate::consumer::{Commit, Committed, TopicPartition};
use crate::group::Offsets;
use crate::record::{NewRecord, Record};
use crate::{Bounds, Cleanup, TopicSpec};

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS probe (id INTEGER PRIMARY KEY, writes INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS topics (
    name TEXT PRIMARY KEY,
    partitions INTEGER NOT NULL,
    retention_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS compacted_topics (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS partitions (
    id INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    start_offset INTEGER NOT NULL,
    end_offset INTEGER NOT NULL,
    UNIQUE (topic, partition)
);
CREATE TABLE IF NOT EXISTS records (
    place INTEGER PRIMARY KEY,
    timestamp_ms INTEGER NOT NULL,
    key BLOB NOT NULL,
    value BLOB NOT NULL,
    headers BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS offsets (
    consumer_group TEXT NOT NULL,
    partition_id INTEGER NOT NULL,
    committed INTEGER NOT NULL,
    note TEXT NOT NULL,
    PRIMARY KEY (consumer_group, partition_id)
) WITHOUT ROWID;
";

/// Offsets of one partition: 17 million million.
const OFFSET_BITS: u32 = 44;
/// Ids of partitions are below this, so that every place is a positive 64-bit number.
const MAX_PARTITION_ID: i64 = 1 << (63 - OFFSET_BITS);

/// The number of a partition in this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PartitionId(i64);

impl PartitionId {
    fn place(self, offset: u64) -> Result<i64, DbError> {
        match i64::try_from(offset) {
            Ok(offset) if offset < 1 << OFFSET_BITS => Ok((self.0 << OFFSET_BITS) | offset),
            _ => Err(DbError::Other("a partition has used up its offsets".to_owned())),
        }
    }
}

fn offset_of(place: i64) -> u64 {
    (place & ((1 << OFFSET_BITS) - 1)).unsigned_abs()
}

fn unsigned(row: &Row<'_>, column: usize) -> Result<u64, DbError> {
    Ok(row.get::<_, i64>(column)?.unsigned_abs())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A partition as it is stored.
pub(super) struct StoredPartition {
    pub(super) topic: Arc<str>,
    pub(super) partition: u32,
    pub(super) id: PartitionId,
    pub(super) bounds: Bounds,
    pub(super) retention_ms: u64,
    pub(super) cleanup: Cleanup,
}

fn cleanup_of(is_compacted: bool) -> Cleanup {
    if is_compacted { Cleanup::Compact } else { Cleanup::Delete }
}

/// What happens to a topic's old records.
pub(super) fn cleanup(connection: &Connection, topic: &str) -> Result<Cleanup, DbError> {
    let query = "SELECT EXISTS (SELECT 1 FROM compacted_topics WHERE name = ?1)";
    let mut statement = connection.prepare_cached(query)?;
    Ok(cleanup_of(statement.query_row([topic], |row| row.get(0))?))
}

/// Every partition, in order.
pub(super) fn partitions(connection: &Connection) -> Result<Vec<StoredPartition>, DbError> {
    let mut statement = connection.prepare(
        "SELECT topic, partition, id, start_offset, end_offset, retention_ms,
                compacted_topics.name IS NOT NULL
         FROM partitions JOIN topics ON topics.name = partitions.topic
         LEFT JOIN compacted_topics ON compacted_topics.name = partitions.topic
         ORDER BY topic, partition",
    )?;
    let mut rows = statement.query([])?;
    let mut partitions = Vec::new();
    while let Some(row) = rows.next()? {
        partitions.push(StoredPartition {
            topic: row.get::<_, String>(0)?.into(),
            partition: row.get(1)?,
            id: PartitionId(row.get(2)?),
            bounds: Bounds { start: unsigned(row, 3)?, end: unsigned(row, 4)? },
            retention_ms: unsigned(row, 5)?,
            cleanup: cleanup_of(row.get(6)?),
        });
    }
    Ok(partitions)
}

/// Every committed offset.
pub(super) fn offsets(connection: &Connection) -> Result<Offsets, DbError> {
    let mut statement = connection.prepare(
        "SELECT consumer_group, topic, partition, committed, note
         FROM offsets JOIN partitions ON partitions.id = offsets.partition_id",
    )?;
    let mut rows = statement.query([])?;
    let mut offsets = Offsets::new();
    while let Some(row) = rows.next()? {
        let at = TopicPartition::new(&row.get::<_, String>(1)?, row.get(2)?);
        let committed = Committed { offset: unsigned(row, 3)?, note: row.get(4)? };
        offsets.entry(row.get::<_, String>(0)?.into()).or_default().insert(at, committed);
    }
    Ok(offsets)
}

/// The partition count of a topic.
pub(super) fn partition_count(
    connection: &Connection,
    topic: &str,
) -> Result<Option<u32>, DbError> {
    let mut statement =
        connection.prepare_cached("SELECT partitions FROM topics WHERE name = ?1")?;
    Ok(statement.query_row([topic], |row| row.get(0)).optional()?)
}

/// Changes one row: whether writing works.
pub(super) fn probe(connection: &Connection) -> Result<(), DbError> {
    let write = "INSERT INTO probe (id, writes) VALUES (1, 1)
                 ON CONFLICT (id) DO UPDATE SET writes = writes + 1";
    connection.prepare_cached(write)?.execute([])?;
    Ok(())
}

/// Creates a topic, or gives an existing one the retention and the further partitions that are
/// asked for now.
pub(super) fn put_topic(connection: &Connection, spec: &TopicSpec) -> Result<(), DbError> {
    let retention = i64::try_from(spec.retention.as_millis()).unwrap_or(i64::MAX);
    connection.execute(
        "INSERT INTO topics (name, partitions, retention_ms) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET retention_ms = ?3, partitions = MAX(partitions, ?2)",
        params![spec.name, spec.partitions, retention],
    )?;
    if spec.cleanup == Cleanup::Compact {
        let insert = "INSERT OR IGNORE INTO compacted_topics (name) VALUES (?1)";
        connection.execute(insert, [&spec.name])?;
    }
    for partition in 0..spec.partitions {
        connection.execute(
            "INSERT OR IGNORE INTO partitions (topic, partition, start_offset, end_offset)
             VALUES (?1, ?2, 0, 0)",
            params![spec.name, partition],
        )?;
    }
    let query = "SELECT COALESCE(MAX(id), 0) FROM partitions";
    let highest: i64 = connection.query_row(query, [], |row| row.get(0))?;
    if highest >= MAX_PARTITION_ID {
        return Err(DbError::Other("the log has used up its partitions".to_owned()));
    }
    Ok(())
}

/// Appends records in the given order; answers their offsets.
pub(super) fn append<'a>(
    connection: &Connection,
    records: impl Iterator<Item = (PartitionId, &'a NewRecord)>,
) -> Result<Vec<u64>, DbError> {
    let mut end_of =
        connection.prepare_cached("SELECT end_offset FROM partitions WHERE id = ?1")?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO records (place, timestamp_ms, key, value, headers) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let mut ends: BTreeMap<PartitionId, u64> = BTreeMap::new();
    let mut offsets = Vec::new();
    for (id, record) in records {
        let offset = match ends.get(&id) {
            Some(end) => *end,
            None => end_of.query_row([id.0], |row| row.get::<_, i64>(0))?.unsigned_abs(),
        };
        insert.execute(params![
            id.place(offset)?,
            signed(record.timestamp.as_ms()),
            &record.key[..],
            &record.value[..],
            headers::encode(&record.headers),
        ])?;
        ends.insert(id, offset + 1);
        offsets.push(offset);
    }
    let mut set_end =
        connection.prepare_cached("UPDATE partitions SET end_offset = ?2 WHERE id = ?1")?;
    for (id, end) in ends {
        set_end.execute(params![id.0, signed(end)])?;
    }
    Ok(offsets)
}

/// What to read of a partition.
pub(super) struct Range {
    pub(super) at: TopicPartition,
    pub(super) id: PartitionId,
    pub(super) from: u64,
    pub(super) max: usize,
    /// Stop after the record that reaches this.
    pub(super) max_bytes: usize,
}

/// Reads records, and the partition's start as of the same moment.
pub(super) fn read(connection: &Connection, range: &Range) -> Result<(u64, Vec<Record>), DbError> {
    // One snapshot: retention must not take records away between the two statements.
    let snapshot = connection.unchecked_transaction()?;
    let mut statement =
        snapshot.prepare_cached("SELECT start_offset FROM partitions WHERE id = ?1")?;
    let start = statement.query_row([range.id.0], |row| row.get::<_, i64>(0))?.unsigned_abs();
    let mut statement = snapshot.prepare_cached(
        "SELECT place, timestamp_ms, key, value, headers FROM records
         WHERE place >= ?1 AND place < ?2 ORDER BY place LIMIT ?3",
    )?;
    let Ok(first) = range.id.place(range.from) else { return Ok((start, Vec::new())) };
    let after = PartitionId(range.id.0 + 1).place(0)?;
    let limit = i64::try_from(range.max).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![first, after, limit])?;
    let (mut records, mut bytes) = (Vec::new(), 0);
    while bytes < range.max_bytes
        && let Some(row) = rows.next()?
    {
        let blob = |column: usize| -> Result<&[u8], DbError> {
            let value = row.get_ref(column)?;
            value.as_blob().map_err(|_| DbError::Other("a record is damaged".to_owned()))
        };
        let (key, value) = (Bytes::copy_from_slice(blob(2)?), Bytes::copy_from_slice(blob(3)?));
        bytes += key.len() + value.len() + blob(4)?.len();
        records.push(Record {
            topic: range.at.topic.clone(),
            partition: range.at.partition,
            offset: offset_of(row.get(0)?),
            key,
            value,
            headers: headers::decode(blob(4)?)
                .ok_or_else(|| DbError::Other("a record's headers are damaged".to_owned()))?,
            timestamp: EpochMs::saturating(unsigned(row, 1)?),
        });
    }
    Ok((start, records))
}

/// Stores offsets and notes.
pub(super) fn commit(
    connection: &Connection,
    group: &str,
    commits: &[(PartitionId, Commit)],
) -> Result<(), DbError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO offsets (consumer_group, partition_id, committed, note) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET committed = ?3, note = ?4",
    )?;
    for (id, commit) in commits {
        statement.execute(params![group, id.0, signed(commit.offset), commit.note])?;
    }
    Ok(())
}

/// Deletes up to `max` expired records from the start of a partition; answers how many, and the
/// new start. A record that is not expired keeps those behind it.
pub(super) fn delete_expired(
    connection: &Connection,
    id: PartitionId,
    before: EpochMs,
    max: usize,
) -> Result<(usize, u64), DbError> {
    let start: i64 = connection
        .prepare_cached("SELECT start_offset FROM partitions WHERE id = ?1")?
        .query_row([id.0], |row| row.get(0))?;
    let mut statement = connection.prepare_cached(
        "SELECT place, timestamp_ms FROM records
         WHERE place >= ?1 AND place < ?2 ORDER BY place LIMIT ?3",
    )?;
    let first = id.place(start.unsigned_abs())?;
    let after = PartitionId(id.0 + 1).place(0)?;
    let limit = i64::try_from(max).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![first, after, limit])?;
    let mut last = None;
    while let Some(row) = rows.next()? {
        if unsigned(row, 1)? >= before.as_ms() {
            break;
        }
        last = Some(row.get::<_, i64>(0)?);
    }
    drop(rows);
    let Some(last) = last else { return Ok((0, start.unsigned_abs())) };
    let deleted = connection
        .prepare_cached("DELETE FROM records WHERE place >= ?1 AND place <= ?2")?
        .execute([first, last])?;
    let start = offset_of(last) + 1;
    connection
        .prepare_cached("UPDATE partitions SET start_offset = ?2 WHERE id = ?1")?
        .execute(params![id.0, signed(start)])?;
    Ok((deleted, start))
}

/// Where a record lies in the file: ordered by partition and offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(i64);

/// The keys of up to `max` records of a partition, behind `after`, in order.
pub(super) fn keys(
    connection: &Connection,
    id: PartitionId,
    after: Option<Place>,
    max: usize,
) -> Result<Vec<(Vec<u8>, Place)>, DbError> {
    let mut statement = connection.prepare_cached(
        "SELECT key, place FROM records WHERE place >= ?1 AND place < ?2 ORDER BY place LIMIT ?3",
    )?;
    let first = after.map_or(id.place(0), |Place(after)| Ok(after + 1))?;
    let end = PartitionId(id.0 + 1).place(0)?;
    let limit = i64::try_from(max).unwrap_or(i64::MAX);
    let row = |row: &Row<'_>| Ok((row.get(0)?, Place(row.get(1)?)));
    let rows = statement.query_map(params![first, end, limit], row)?;
    rows.map(|row| Ok(row?)).collect()
}

/// Deletes these records, wherever in their partition they lie.
pub(super) fn delete(connection: &Connection, places: &[Place]) -> Result<(), DbError> {
    let mut statement = connection.prepare_cached("DELETE FROM records WHERE place = ?1")?;
    for Place(place) in places {
        statement.execute([place])?;
    }
    Ok(())
}

/// Bytes of the file that hold nothing and will be used before the file grows.
pub(super) fn unused_bytes(connection: &Connection) -> Result<u64, DbError> {
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get(0));
    let (pages, size): (i64, i64) = (number("freelist_count")?, number("page_size")?);
    Ok(pages.unsigned_abs().saturating_mul(size.unsigned_abs()))
}
