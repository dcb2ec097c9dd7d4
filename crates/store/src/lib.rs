//! Messages and their statuses.
//!
//! [`MessageStore`] is the port; [`embedded`] (SQLite) its default adapter. Adapters hold rows and
//! cells and take no decision: [`projection`] says what an event does to them, once, for all.
//! Every adapter passes the one suite in `conformance`.

pub mod embedded;
pub mod port;
pub mod projection;

#[cfg(feature = "conformance")]
pub mod conformance;

pub use port::{
    Claim, ClaimKey, Cursor, Meeting, MeetingPlace, MessageStore, Page, RowAddress, StoreError,
    StoredMessage, Tenant,
};
