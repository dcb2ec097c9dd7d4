//! Open messages: one index over the rows themselves. Nothing else is written, and a message leaves
//! it with the status that settles it.

use chat4all_contracts::EpochMs;
use chat4all_sqlite::rusqlite::{Connection, params};

use super::messages::{shown_columns, stored_message};
use super::row::{Failure, ms, state_columns};
use super::schema::is_open;
use crate::open::{self, OpenPage, OpenPlace, Shards};

/// As for a page, any other plan than the one range of the index is refused.
const OPEN: &str = concat!(
    "SELECT ",
    shown_columns!(),
    " FROM messages INDEXED BY messages_open WHERE tenant = ?1 AND ",
    is_open!(),
    " AND (expires_at, message_id) > (?2, ?3) AND expires_at < ?4",
    " ORDER BY expires_at, message_id LIMIT ?5"
);

/// Looks at `limit` messages and keeps those of `shards`.
pub(super) fn open(
    db: &Connection,
    tenant: &str,
    shards: Shards,
    after: &OpenPlace,
    until: EpochMs,
    limit: usize,
) -> Result<OpenPage, Failure> {
    let limit = limit.max(1);
    let rows = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut messages = db
        .prepare_cached(OPEN)?
        .query_and_then(
            params![tenant, ms(after.due), &*after.message_id, ms(until), rows],
            stored_message,
        )?
        .collect::<Result<Vec<_>, _>>()?;
    let next = messages.last().filter(|_| messages.len() == limit).map(|last| OpenPlace {
        message_id: last.message.message_id.as_str().into(),
        generation: last.message.generation,
        ..OpenPlace::before(last.message.expires_at)
    });
    messages.retain(|stored| shards.contains(open::shard(&stored.message.message_id)));
    Ok(OpenPage { messages, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_open_messages_are_one_range_of_their_index() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(super::super::schema::SCHEMA).unwrap();
        let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {OPEN}")).unwrap();
        let steps = statement.query_map(params!["t", 1, "m", 9, 1], |row| row.get(3)).unwrap();
        let plan: Vec<String> = steps.map(Result::unwrap).collect();
        let range = "SEARCH messages USING INDEX messages_open (tenant=? \
                     AND (expires_at,message_id)>(?,?) AND expires_at<?)";
        assert_eq!(plan, [range]);
    }
}
