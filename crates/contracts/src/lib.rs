//! What crosses a process: events, topics, ids, accounts, partitioning, the status machine.
//!
//! Everything here is plain data and pure functions: no I/O, no async, no clock. A connector, the
//! router, the API and the status-consumer may run different releases of this crate at the same
//! time, so readers ignore unknown fields and treat a minimal record like a full one.

pub mod event;
pub mod fields;
pub mod group;
pub mod id;
pub mod mutant;
pub mod partition;
pub mod platform;
pub mod reason;
pub mod status;
pub mod time;
pub mod topic;

pub use event::{
    AccountCommand, AccountCondition, AccountOrder, AccountRecord, AccountState, DeadLetter,
    Inbound, LetterId, Message, Receipt, StatusUpdate,
};
pub use fields::FieldError;
pub use id::{
    AccountName, ConversationId, ExternalId, FileId, IdempotencyKey, MessageId, PlatformName,
    ReceiverId, SenderId, VendorText,
};
pub use platform::{AccountSpec, PlatformSpec, Platforms};
pub use reason::Reason;
pub use status::{Status, StatusState};
pub use time::{EpochMs, Generation};
