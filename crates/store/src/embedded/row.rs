//! Values in and out of columns.
//!
//! Whatever is read is checked as if it came from outside: the file may be damaged or written by a
//! later release. A refusal names the column and never its value (I10).

use chat4all_contracts::fields::Rule;
use chat4all_contracts::status::Cell;
use chat4all_contracts::{EpochMs, ExternalId, Generation, Reason, StatusState};
use chat4all_sqlite::DbError;
use chat4all_sqlite::rusqlite::types::{Value, ValueRef};
use chat4all_sqlite::rusqlite::{self, Row};

use crate::StoreError;

/// Why a job has no result.
pub(super) enum Failure {
    /// The database said no.
    Database(DbError),
    /// The column holds what cannot be.
    Unreadable(&'static str),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Failure::Database(error.into())
    }
}

/// Lets an unreadable row pass the database layer as a result of its own, so that it is told apart
/// from a database that is away. The job must have written nothing then.
pub(super) fn settle<T>(result: Result<T, Failure>) -> Result<Result<T, StoreError>, DbError> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Failure::Unreadable(column)) => Ok(Err(StoreError::Unreadable(column.to_owned()))),
        Err(Failure::Database(error)) => Err(error),
    }
}

/// A column that may be absent.
pub(super) fn optional<'r, T>(
    row: &'r Row<'_>,
    column: &'static str,
    read: impl FnOnce(ValueRef<'r>) -> Option<T>,
) -> Result<Option<T>, Failure> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        value => read(value).map(Some).ok_or(Failure::Unreadable(column)),
    }
}

/// A column that must be there.
pub(super) fn required<'r, T>(
    row: &'r Row<'_>,
    column: &'static str,
    read: impl FnOnce(ValueRef<'r>) -> Option<T>,
) -> Result<T, Failure> {
    optional(row, column, read)?.ok_or(Failure::Unreadable(column))
}

/// Reads a text with a grammar.
pub(super) fn text<'r, T>(
    parse: impl FnOnce(&str) -> Result<T, Rule>,
) -> impl FnOnce(ValueRef<'r>) -> Option<T> {
    move |value| parse(value.as_str().ok()?).ok()
}

/// Reads any text.
pub(super) fn any_text(value: ValueRef<'_>) -> Option<String> {
    value.as_str().ok().map(str::to_owned)
}

/// Reads a time.
pub(super) fn time(value: ValueRef<'_>) -> Option<EpochMs> {
    EpochMs::new(u64::try_from(value.as_i64().ok()?).ok()?).ok()
}

/// Reads a generation.
pub(super) fn generation(value: ValueRef<'_>) -> Option<Generation> {
    Generation::new(u64::try_from(value.as_i64().ok()?).ok()?).ok()
}

/// Writes a time. Fits, by the bound of [`EpochMs`].
pub(super) fn ms(time: EpochMs) -> i64 {
    time.as_ms() as i64
}

/// `generation at reason[ external_id]`, with `-` for no reason. The external id may contain
/// spaces, so it is last.
fn cell_text(cell: &Cell) -> String {
    let reason = cell.reason.map_or_else(|| "-".to_owned(), |reason| reason.code().to_string());
    let head = format!("{} {} {reason}", cell.generation.as_u32(), cell.at.as_ms());
    match &cell.external_id {
        Some(id) => format!("{head} {}", id.as_str()),
        None => head,
    }
}

fn parse_cell(text: &str) -> Option<Cell> {
    let mut parts = text.splitn(4, ' ');
    let generation = Generation::new(parts.next()?.parse().ok()?).ok()?;
    let at = EpochMs::new(parts.next()?.parse().ok()?).ok()?;
    let reason = match parts.next()? {
        "-" => None,
        code => Some(Reason::from_code(code.parse().ok()?)),
    };
    let external_id = parts.next().map(ExternalId::new).transpose().ok()?;
    Some(Cell { generation, at, reason, external_id })
}

fn cell(value: ValueRef<'_>) -> Option<Cell> {
    parse_cell(value.as_str().ok()?)
}

/// The columns of a state, in the order of [`state_values`].
macro_rules! state_columns {
    () => {
        "generation, delivered_at, read_at, sent, failed, rejected, unknown"
    };
}
pub(super) use state_columns;

/// What an upsert does to the columns of a state.
macro_rules! replace_state {
    () => {
        "generation = excluded.generation, delivered_at = excluded.delivered_at, \
         read_at = excluded.read_at, sent = excluded.sent, failed = excluded.failed, \
         rejected = excluded.rejected, unknown = excluded.unknown"
    };
}
pub(super) use replace_state;

/// Reads the columns of a state.
pub(super) fn state(row: &Row<'_>) -> Result<StatusState, Failure> {
    Ok(StatusState {
        generation: required(row, "generation", generation)?,
        delivered_at: optional(row, "delivered_at", time)?,
        read_at: optional(row, "read_at", time)?,
        sent: optional(row, "sent", cell)?,
        failed: optional(row, "failed", cell)?,
        rejected: optional(row, "rejected", cell)?,
        unknown: optional(row, "unknown", cell)?,
    })
}

/// Writes the columns of a state.
pub(super) fn state_values(state: &StatusState) -> [Value; 7] {
    let time = |at: Option<EpochMs>| Value::from(at.map(ms));
    let cell = |cell: &Option<Cell>| Value::from(cell.as_ref().map(cell_text));
    [
        Value::from(i64::from(state.generation.as_u32())),
        time(state.delivered_at),
        time(state.read_at),
        cell(&state.sent),
        cell(&state.failed),
        cell(&state.rejected),
        cell(&state.unknown),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_reads_as_it_was_written() {
        for reason in [None, Some(Reason::Expired)] {
            for id in [None, Some("-"), Some(" a  b "), Some("wamid.HBgL==")] {
                let external_id = id.map(|id| ExternalId::new(id).unwrap());
                let cell =
                    Cell { generation: Generation::MAX, at: EpochMs::MAX, reason, external_id };
                assert_eq!(parse_cell(&cell_text(&cell)), Some(cell));
            }
        }
    }

    #[test]
    fn a_damaged_cell_is_refused() {
        for text in
            ["", "0", "0 1", "0 1 x", "-1 1 -", "0 8796093022208 -", "1048576 1 -", "0 1 - "]
        {
            assert_eq!(parse_cell(text), None, "{text:?}");
        }
    }
}
