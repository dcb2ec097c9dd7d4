use rusqlite::ErrorCode;
use thiserror::Error;

/// Why a job had no effect.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DbError {
    /// No room left on the disk, or the database has reached its configured size.
    #[error("the disk is full")]
    Full,
    /// The database is being closed.
    #[error("the database is closed")]
    Closed,
    /// Anything else: a broken file, a failing disk, a wrong statement. The text holds no values.
    #[error("database error: {0}")]
    Other(String),
}

impl From<rusqlite::Error> for DbError {
    fn from(error: rusqlite::Error) -> Self {
        match &error {
            rusqlite::Error::SqliteFailure(failure, _) if failure.code == ErrorCode::DiskFull => {
                DbError::Full
            }
            // SQLite's own texts name tables and columns, never values.
            rusqlite::Error::SqliteFailure(failure, text) => {
                DbError::Other(text.clone().unwrap_or_else(|| failure.to_string()))
            }
            // rusqlite's other errors may quote what they could not convert.
            _ => DbError::Other("a value has an unexpected shape".to_owned()),
        }
    }
}
