//! Rows of messages: content, cells, pages. Each function is one job of the database.

use chat4all_contracts::event::Message;
use chat4all_contracts::{
    AccountName, ConversationId, EpochMs, FileId, MessageId, ReceiverId, SenderId, StatusState,
};
use chat4all_sqlite::rusqlite::{Connection, Row, params};

use super::meetings::{self, Place};
use super::row::{
    Failure, any_text, generation, ms, optional, replace_state, required, state, state_columns,
    state_values, text, time,
};
use crate::{Cursor, Page, RowAddress, StoredMessage};

/// The columns that [`stored_message`] reads.
macro_rules! shown_columns {
    () => {
        concat!(
            "conversation_id, accepted_at, message_id, sender_id, receiver_id, content, file_id, ",
            "account, expires_at, content_generation, ",
            state_columns!()
        )
    };
}
pub(super) use shown_columns;

/// The `WHERE` keeps the content of a higher generation and the first of an equal one. The row's
/// generation is never below its content's, so there is nothing to raise then either.
const PUT: &str = "
    INSERT INTO messages (tenant, conversation_id, accepted_at, message_id, sender_id, receiver_id,
        content, file_id, account, expires_at, content_generation, generation)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11)
    ON CONFLICT (tenant, conversation_id, accepted_at, message_id) DO UPDATE SET
        sender_id = excluded.sender_id, receiver_id = excluded.receiver_id,
        content = excluded.content, file_id = excluded.file_id, account = excluded.account,
        expires_at = excluded.expires_at, content_generation = excluded.content_generation,
        generation = max(generation, excluded.generation)
    WHERE content_generation IS NULL OR content_generation < excluded.content_generation";

pub(super) fn put(db: &Connection, tenant: &str, message: &Message) -> Result<(), Failure> {
    db.prepare_cached(PUT)?.execute(params![
        tenant,
        message.conversation_id.as_str(),
        ms(message.accepted_at),
        message.message_id.as_str(),
        message.sender_id.as_str(),
        message.receiver_id.as_str(),
        message.content,
        message.file_id.as_ref().map(FileId::as_str),
        message.account.as_ref().map(AccountName::as_str),
        ms(message.expires_at),
        message.generation.as_u32(),
    ])?;
    Ok(())
}

const STATE: &str = concat!(
    "SELECT ",
    state_columns!(),
    " FROM messages WHERE tenant = ?1 AND conversation_id = ?2 AND accepted_at = ?3",
    " AND message_id = ?4"
);

const PUT_STATE: &str = concat!(
    "INSERT INTO messages (tenant, conversation_id, accepted_at, message_id, ",
    state_columns!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    " ON CONFLICT (tenant, conversation_id, accepted_at, message_id) DO UPDATE SET ",
    replace_state!()
);

pub(super) fn merge(
    db: &Connection,
    tenant: &str,
    at: &RowAddress,
    reports: &StatusState,
) -> Result<(), Failure> {
    let (conversation, id) = (at.conversation_id.as_str(), at.message_id.as_str());
    let accepted_at = ms(at.accepted_at);
    let stored = db
        .prepare_cached(STATE)?
        .query_and_then(params![tenant, conversation, accepted_at, id], state)?
        .next()
        .transpose()?;
    let mut merged = stored.clone().unwrap_or_default();
    merged.merge(reports);
    // A repeated report changes nothing and need not reach the disk.
    if stored.as_ref() == Some(&merged) {
        return Ok(());
    }
    let [generation, delivered_at, read_at, sent, failed, rejected, unknown] =
        state_values(&merged);
    db.prepare_cached(PUT_STATE)?.execute(params![
        tenant,
        conversation,
        accepted_at,
        id,
        generation,
        delivered_at,
        read_at,
        sent,
        failed,
        rejected,
        unknown
    ])?;
    Ok(())
}

pub(super) fn stored_message(row: &Row<'_>) -> Result<StoredMessage, Failure> {
    let message = Message {
        message_id: required(row, "message_id", text(MessageId::new))?,
        conversation_id: required(row, "conversation_id", text(ConversationId::new))?,
        sender_id: required(row, "sender_id", text(SenderId::new))?,
        receiver_id: required(row, "receiver_id", text(ReceiverId::new))?,
        content: required(row, "content", any_text)?,
        file_id: optional(row, "file_id", text(FileId::new))?,
        account: optional(row, "account", text(AccountName::new))?,
        accepted_at: required(row, "accepted_at", time)?,
        expires_at: required(row, "expires_at", time)?,
        generation: required(row, "content_generation", generation)?,
    };
    Ok(StoredMessage { message, state: state(row)? })
}

const ONE: &str = concat!(
    "SELECT ",
    shown_columns!(),
    " FROM messages WHERE tenant = ?1 AND conversation_id = ?2 AND accepted_at = ?3",
    " AND message_id = ?4 AND content IS NOT NULL"
);

pub(super) fn by_id(
    db: &Connection,
    tenant: &str,
    id: &MessageId,
) -> Result<Option<StoredMessage>, Failure> {
    let place = Place::of_message(id);
    // Only the address is wanted, so the reports may be at their end or not.
    let Some(at) = meetings::look(db, tenant, &place, EpochMs::MAX)?.address else {
        return Ok(None);
    };
    let key =
        params![tenant, at.conversation_id.as_str(), ms(at.accepted_at), at.message_id.as_str()];
    db.prepare_cached(ONE)?.query_and_then(key, stored_message)?.next().transpose()
}

/// One range of one index. `INDEXED BY` refuses any other plan, so a page stays as fast as it is
/// whatever the planner believes about the data.
const PAGE: &str = concat!(
    "SELECT ",
    shown_columns!(),
    " FROM messages INDEXED BY messages_shown",
    " WHERE tenant = ?1 AND conversation_id = ?2 AND content IS NOT NULL",
    " AND (accepted_at, message_id) < (?3, ?4)",
    " ORDER BY accepted_at DESC, message_id DESC LIMIT ?5"
);

pub(super) fn page(
    db: &Connection,
    tenant: &str,
    conversation: &ConversationId,
    after: Option<&Cursor>,
    limit: usize,
) -> Result<Page, Failure> {
    // Every time is below the largest 64-bit number: the first page is no special case.
    let (at, id) =
        after.map_or((i64::MAX, ""), |cursor| (ms(cursor.accepted_at), cursor.message_id.as_str()));
    // One more than asked for tells whether another page follows.
    let rows = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut messages = db
        .prepare_cached(PAGE)?
        .query_and_then(params![tenant, conversation.as_str(), at, id, rows], stored_message)?
        .collect::<Result<Vec<_>, _>>()?;
    let more = messages.len() > limit;
    messages.truncate(limit);
    let next = messages.last().filter(|_| more).map(|last| Cursor {
        accepted_at: last.message.accepted_at,
        message_id: last.message.message_id.clone(),
    });
    Ok(Page { messages, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_reads_one_range_of_its_index_and_sorts_nothing() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(super::super::schema::SCHEMA).unwrap();
        let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {PAGE}")).unwrap();
        let steps = statement.query_map(params!["t", "c", 1, "m", 1], |row| row.get(3)).unwrap();
        let plan: Vec<String> = steps.map(Result::unwrap).collect();
        let range = "SEARCH messages USING INDEX messages_shown (tenant=? AND conversation_id=? \
                     AND (accepted_at,message_id)<(?,?))";
        assert_eq!(plan, [range]);
    }
}
