//! What the ledger shows. Read in pages, so that no answer grows without bound.

use chat4all_sqlite::rusqlite::{Connection, Row, named_params};
use chat4all_sqlite::{DbError, rusqlite};
use serde::Serialize;

use crate::ledger::to_sql;

/// The most message ids that one answer lists, over all its conversations.
const MAX_IDS: usize = 1_000_000;

/// What to show.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub platform: Option<String>,
    pub conversation: Option<String>,
    pub message: Option<String>,
    /// Conversations or messages of one answer.
    pub limit: u64,
    /// The `next` of the answer before.
    pub after: i64,
}

/// Counts over a platform, or over all of them.
#[derive(Debug, Serialize)]
pub(crate) struct Totals {
    calls: u64,
    accepted: u64,
    refused: u64,
    messages: u64,
    duplicates: u64,
    overlaps: u64,
    receipts_pending: u64,
    receipts_answered: u64,
    receipts_lost: u64,
    receipts_expired: u64,
}

#[derive(Debug, Serialize)]
struct Conversation {
    platform: String,
    account: String,
    conversation: String,
    attempts: u64,
    accepted: u64,
    duplicates: u64,
    overlaps: u64,
    order: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Message {
    platform: String,
    account: String,
    conversation: String,
    message: String,
    recipient: String,
    attempts: u64,
    accepted: u64,
    first_sequence: u64,
    first_accepted_sequence: Option<u64>,
    external_ids: Vec<String>,
}

/// The ledger by conversations.
#[derive(Debug, Serialize)]
pub(crate) struct Conversations {
    totals: Totals,
    conversations: Vec<Conversation>,
    /// To be given as `after` for the rest, if there is one.
    next: Option<i64>,
}

/// The ledger by messages.
#[derive(Debug, Serialize)]
pub(crate) struct Messages {
    messages: Vec<Message>,
    next: Option<i64>,
}

fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

fn totals(connection: &Connection, selection: &Selection) -> Result<Totals, DbError> {
    let select = "
        SELECT SUM(calls), SUM(accepted), SUM(messages), SUM(overlaps),
            SUM(receipts_answered), SUM(receipts_lost), SUM(receipts_expired),
            (SELECT COUNT(*) FROM receipts WHERE :platform IS NULL OR platform = :platform)
        FROM totals WHERE :platform IS NULL OR platform = :platform";
    let read = |row: &Row<'_>| {
        // The sum over no row is NULL.
        let sum = |column| {
            let sum = row.get::<_, Option<i64>>(column)?.unwrap_or(0);
            Ok::<_, rusqlite::Error>(u64::try_from(sum).unwrap_or(0))
        };
        let (calls, accepted, messages) = (sum(0)?, sum(1)?, sum(2)?);
        Ok(Totals {
            calls,
            accepted,
            refused: calls.saturating_sub(accepted),
            messages,
            duplicates: accepted.saturating_sub(messages),
            overlaps: sum(3)?,
            receipts_answered: sum(4)?,
            receipts_lost: sum(5)?,
            receipts_expired: sum(6)?,
            receipts_pending: sum(7)?,
        })
    };
    let mut statement = connection.prepare_cached(select)?;
    Ok(statement.query_row(named_params! {":platform": selection.platform}, read)?)
}

/// Totals of the platform, and its conversations.
pub(crate) fn conversations(
    connection: &Connection,
    selection: &Selection,
) -> Result<Conversations, DbError> {
    let select = "
        SELECT id, platform, account, conversation, attempts, accepted, duplicates, overlaps
        FROM conversations
        WHERE id > :after AND (:platform IS NULL OR platform = :platform)
            AND (:conversation IS NULL OR conversation = :conversation)
        ORDER BY id LIMIT :limit";
    let mut statement = connection.prepare_cached(select)?;
    let mut rows = statement.query(named_params! {
        ":after": selection.after,
        ":platform": selection.platform,
        ":conversation": selection.conversation,
        ":limit": to_sql(selection.limit),
    })?;
    let (mut conversations, mut ids, mut last) = (Vec::new(), 0, 0);
    let mut cut_short = false;
    while let Some(row) = rows.next()? {
        if ids >= MAX_IDS {
            cut_short = true;
            break;
        }
        last = row.get(0)?;
        let order = order(connection, last)?;
        ids += order.len();
        conversations.push(Conversation {
            platform: row.get(1)?,
            account: row.get(2)?,
            conversation: row.get(3)?,
            attempts: count(row, 4)?,
            accepted: count(row, 5)?,
            duplicates: count(row, 6)?,
            overlaps: count(row, 7)?,
            order,
        });
    }
    let full = cut_short || conversations.len() as u64 >= selection.limit;
    let next = (full && !conversations.is_empty()).then_some(last);
    Ok(Conversations { totals: totals(connection, selection)?, conversations, next })
}

/// The conversation's messages by their first acceptance.
fn order(connection: &Connection, conversation: i64) -> Result<Vec<String>, DbError> {
    let select = "
        SELECT message FROM messages WHERE conversation = ?1 AND first_accepted IS NOT NULL
        ORDER BY first_accepted LIMIT ?2";
    let mut statement = connection.prepare_cached(select)?;
    let limit = to_sql(MAX_IDS as u64);
    let rows = statement.query_map([conversation, limit], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Messages in the order of their first call.
pub(crate) fn messages(
    connection: &Connection,
    selection: &Selection,
) -> Result<Messages, DbError> {
    let select = "
        SELECT m.id, m.platform, c.account, c.conversation, m.message, m.recipient, m.attempts,
            m.accepted, m.first_sequence, m.first_accepted
        FROM messages m JOIN conversations c ON c.id = m.conversation
        WHERE m.id > :after AND (:platform IS NULL OR m.platform = :platform)
            AND (:conversation IS NULL OR c.conversation = :conversation)
            AND (:message IS NULL OR m.message = :message)
        ORDER BY m.id LIMIT :limit";
    let mut statement = connection.prepare_cached(select)?;
    let mut rows = statement.query(named_params! {
        ":after": selection.after,
        ":platform": selection.platform,
        ":conversation": selection.conversation,
        ":message": selection.message,
        ":limit": to_sql(selection.limit),
    })?;
    let (mut messages, mut last) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        last = row.get(0)?;
        let first_accepted: Option<i64> = row.get(9)?;
        messages.push(Message {
            platform: row.get(1)?,
            account: row.get(2)?,
            conversation: row.get(3)?,
            message: row.get(4)?,
            recipient: row.get(5)?,
            attempts: count(row, 6)?,
            accepted: count(row, 7)?,
            first_sequence: count(row, 8)?,
            first_accepted_sequence: first_accepted.and_then(|n| u64::try_from(n).ok()),
            external_ids: external_ids(connection, last)?,
        });
    }
    let full = messages.len() as u64 >= selection.limit;
    Ok(Messages { messages, next: full.then_some(last) })
}

/// The platform's ids of a message: one for each acceptance, at most a thousand.
fn external_ids(connection: &Connection, message: i64) -> Result<Vec<String>, DbError> {
    let select =
        "SELECT external_id FROM acceptances WHERE message = ?1 ORDER BY sequence LIMIT 1000";
    let mut statement = connection.prepare_cached(select)?;
    let rows = statement.query_map([message], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
