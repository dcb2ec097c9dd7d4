//! Rows of messages: content, cells, pages.

use std::collections::BTreeMap;

use chat4all_contracts::{
    AccountName, ConversationId, FileId, Message, MessageId, ReceiverId, SenderId, StatusState,
};
use scylla::errors::SerializationError;
use scylla::serialize::value::SerializeValue;
use scylla::serialize::writers::{CellWriter, WrittenCellProof};

use super::month::{MonthKey, month};
use super::parts::{self, CellTuple, Column, Said, ms, parts};
use super::requests::unreadable;
use super::{CassandraStore, CqlType};
use crate::{Cursor, Page, RowAddress, StoreError, StoredMessage};

/// The most rows of one request for a page.
const MOST_ROWS: usize = 1_000;

/// Sender, receiver, content, file id, account, end of life. Has no `Debug`: it holds content.
type Content<'a> = (&'a str, &'a str, &'a str, Option<&'a str>, Option<&'a str>, i64);

/// The columns of [`super::statements`]' `SHOWN`.
type Shown<'a> = (
    i64,
    &'a str,
    Option<BTreeMap<i32, Content<'a>>>,
    Option<i32>,
    Option<i64>,
    Option<i64>,
    Option<CellTuple<'a>>,
    Option<CellTuple<'a>>,
    Option<CellTuple<'a>>,
    Option<CellTuple<'a>>,
);

/// The value of one column of a state.
struct Value<'a>(Said<'a>);

impl SerializeValue for Value<'_> {
    fn serialize<'b>(
        &self,
        typ: &CqlType<'_>,
        writer: CellWriter<'b>,
    ) -> Result<WrittenCellProof<'b>, SerializationError> {
        match self.0 {
            Said::Generation(generation) => (generation.as_u32() as i32).serialize(typ, writer),
            Said::At(at) => ms(at).serialize(typ, writer),
            Said::Cell(_) => self.0.tuple().serialize(typ, writer),
        }
    }
}

impl CassandraStore {
    pub(super) async fn put(&self, tenant: &str, message: &Message) -> Result<(), StoreError> {
        let content: Content<'_> = (
            message.sender_id.as_str(),
            message.receiver_id.as_str(),
            &message.content,
            message.file_id.as_ref().map(FileId::as_str),
            message.account.as_ref().map(AccountName::as_str),
            ms(message.expires_at),
        );
        let conversation = message.conversation_id.as_str();
        let month = month(message.accepted_at);
        let values = (
            self.ticks.next().first_wins(),
            BTreeMap::from([(message.generation.as_u32() as i32, content)]),
            tenant,
            conversation,
            month,
            ms(message.accepted_at),
            message.message_id.as_str(),
        );
        let row = self.requests.write(&self.statements.put_content, values);
        let key: MonthKey = (tenant.into(), conversation.into(), month);
        if self.known_months.has(&key) {
            return row.await;
        }
        let values = (tenant, conversation, month);
        let listed = self.requests.write(&self.statements.put_month, values);
        futures::try_join!(row, listed)?;
        self.known_months.add(key);
        Ok(())
    }

    pub(super) async fn merge(
        &self,
        tenant: &str,
        row: &RowAddress,
        reports: &StatusState,
    ) -> Result<(), StoreError> {
        let parts = parts(reports);
        let statements: Vec<_> =
            parts.iter().filter_map(|(column, _)| self.statements.put_part.get(column)).collect();
        let values = parts.iter().map(|(_, said)| {
            (
                said.timestamp(),
                Value(*said),
                tenant,
                row.conversation_id.as_str(),
                month(row.accepted_at),
                ms(row.accepted_at),
                row.message_id.as_str(),
            )
        });
        let values: Vec<_> = values.collect();
        self.requests.write_together(&statements, &values).await
    }

    pub(super) async fn by_id(
        &self,
        tenant: &str,
        id: &MessageId,
    ) -> Result<Option<StoredMessage>, StoreError> {
        match self.address(tenant, id).await? {
            Some(at) => self.row(tenant, &at).await,
            None => Ok(None),
        }
    }

    /// A row, if it has content.
    pub(super) async fn row(
        &self,
        tenant: &str,
        at: &RowAddress,
    ) -> Result<Option<StoredMessage>, StoreError> {
        let conversation = at.conversation_id.as_str();
        let (accepted_at, message_id) = (ms(at.accepted_at), at.message_id.as_str());
        let values = (tenant, conversation, month(at.accepted_at), accepted_at, message_id);
        let rows = self.requests.read(&self.statements.one, values).await?;
        match rows.maybe_first_row::<Shown<'_>>().map_err(|_| unreadable("messages"))? {
            Some(row) => stored(&at.conversation_id, row),
            None => Ok(None),
        }
    }

    /// From month to month, newest first. Rows without content are passed over.
    pub(super) async fn page_of(
        &self,
        tenant: &str,
        conversation: &ConversationId,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let newest = after.map_or(i32::MAX, |cursor| month(cursor.accepted_at));
        // Every time is below the largest 64-bit number: the first page is no special case.
        let mut last = after.map_or((i64::MAX, String::new()), |cursor| {
            (ms(cursor.accepted_at), cursor.message_id.as_str().to_owned())
        });
        let mut messages = Vec::new();
        for month in self.months(tenant, conversation, newest).await? {
            // One more than asked for tells whether another page follows.
            let mut rows = limit.saturating_add(1) - messages.len();
            loop {
                rows = rows.min(MOST_ROWS);
                let from = (tenant, conversation.as_str(), month, last.0, &last.1, rows as i32);
                let answer = self.requests.read(&self.statements.page, from).await?;
                let is_last = answer.rows_num() < rows;
                let read = answer.rows::<Shown<'_>>().map_err(|_| unreadable("messages"))?;
                let mut place = None;
                for row in read {
                    let row = row.map_err(|_| unreadable("messages"))?;
                    place = Some((row.0, row.1.to_owned()));
                    messages.extend(stored(conversation, row)?);
                }
                last = place.unwrap_or(last);
                if messages.len() > limit {
                    return Ok(cut(messages, limit));
                }
                if is_last {
                    break;
                }
                rows = rows.saturating_mul(2);
            }
        }
        Ok(cut(messages, limit))
    }

    /// The months of a conversation up to `newest`, newest first: twelve a year.
    async fn months(
        &self,
        tenant: &str,
        conversation: &ConversationId,
        newest: i32,
    ) -> Result<Vec<i32>, StoreError> {
        let values = (tenant, conversation.as_str(), newest);
        let rows = self.requests.read(&self.statements.months, values).await?;
        let rows = rows.rows::<(i32,)>().map_err(|_| unreadable("conversation_months"))?;
        rows.map(|row| row.map(|(month,)| month))
            .collect::<Result<_, _>>()
            .map_err(|_| unreadable("conversation_months"))
    }
}

/// The first `limit` messages, and where the next page begins if there are more.
fn cut(mut messages: Vec<StoredMessage>, limit: usize) -> Page {
    let more = messages.len() > limit;
    messages.truncate(limit);
    let next = messages.last().filter(|_| more).map(|last| Cursor {
        accepted_at: last.message.accepted_at,
        message_id: last.message.message_id.clone(),
    });
    Page { messages, next }
}

/// What a row shows; `None` for one that only reports have reached.
fn stored(
    conversation: &ConversationId,
    row: Shown<'_>,
) -> Result<Option<StoredMessage>, StoreError> {
    let (accepted_at, message_id, content, generation, delivered_at, read_at, ..) = row;
    let (.., sent, failed, rejected, unknown) = row;
    let content = content.as_ref().and_then(|lives| lives.last_key_value());
    let Some((life, content)) = content else { return Ok(None) };
    let message = message(conversation, (accepted_at, message_id), *life, content)
        .ok_or_else(|| unreadable("content"))?;
    let mut state = StatusState::accepted(message.generation);
    let columns = [
        (Column::Generation, generation.map(|number| (number, 0, None, None))),
        (Column::DeliveredAt, delivered_at.map(|at| (0, at, None, None))),
        (Column::ReadAt, read_at.map(|at| (0, at, None, None))),
        (Column::Sent, sent),
        (Column::Failed, failed),
        (Column::Rejected, rejected),
        (Column::Unknown, unknown),
    ];
    for (column, value) in columns {
        let Some(value) = value else { continue };
        let said = parts::said(column.number(), value);
        state.merge(&said.ok_or_else(|| unreadable(column.name()))?);
    }
    Ok(Some(StoredMessage { message, state }))
}

fn message(
    conversation: &ConversationId,
    (accepted_at, message_id): (i64, &str),
    generation: i32,
    content: &Content<'_>,
) -> Option<Message> {
    let (sender_id, receiver_id, text, file_id, account, expires_at) = *content;
    Some(Message {
        message_id: MessageId::new(message_id).ok()?,
        conversation_id: conversation.clone(),
        sender_id: SenderId::new(sender_id).ok()?,
        receiver_id: ReceiverId::new(receiver_id).ok()?,
        content: text.to_owned(),
        file_id: file_id.map(FileId::new).transpose().ok()?,
        account: account.map(AccountName::new).transpose().ok()?,
        accepted_at: parts::time(accepted_at)?,
        expires_at: parts::time(expires_at)?,
        generation: parts::generation(generation)?,
    })
}
