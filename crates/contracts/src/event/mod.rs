//! The events on the topics, as JSON.
//!
//! A reader needs only the fields that the contract names as required and ignores those it does
//! not know. What a minimal record leaves out is filled in at reading, so the code behind sees one
//! shape. A record that breaks the contract is [`FieldError`]: it goes to the dead letters of its
//! topic and never stops a partition.

mod account;
mod dead_letter;
mod inbound;
mod letter_id;
mod message;
mod receipt;
mod status_update;

use std::time::Duration;

pub use account::{
    AccountCommand, AccountCondition, AccountOrder, AccountRecord, AccountState, MAX_BY_BYTES,
    MAX_NOTE_BYTES, UNKNOWN_OPERATOR, operator_name, operator_reason,
};
pub use dead_letter::{DeadLetter, UNREADABLE};
pub use inbound::Inbound;
pub use letter_id::LetterId;
pub use message::Message;
pub use receipt::Receipt;
pub use status_update::StatusUpdate;

use crate::fields::{FieldError, Fields, Rule};
use crate::time::{EpochMs, Generation};

/// How long a message may be tried, if nobody says: 24 hours.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The header that carries [`SCHEMA_VERSION`].
pub const SCHEMA_HEADER: &str = "chat4all-schema";

/// The version of these contracts. It rises only when an old reader would misunderstand a record.
pub const SCHEMA_VERSION: &str = "1";

/// Encodes an event.
pub fn encode<T: serde::Serialize>(event: &T) -> Vec<u8> {
    // Our events are structs of strings and numbers, for which the encoder has no failing case.
    serde_json::to_vec(event).unwrap_or_default()
}

fn read_time(fields: &Fields<'_>, field: &'static str) -> Result<Option<EpochMs>, FieldError> {
    fields.optional_number(field, EpochMs::new)
}

fn read_generation(fields: &Fields<'_>) -> Result<Generation, FieldError> {
    Ok(fields.optional_number("generation", Generation::new)?.unwrap_or_default())
}

fn any_text(text: &str) -> Result<String, Rule> {
    Ok(text.to_owned())
}

#[cfg(test)]
mod golden_tests;
