//! Messages and their statuses.
//!
//! [`MessageStore`] is the port; [`embedded`] (SQLite) its default adapter, `cassandra` (a feature)
//! the one for Apache Cassandra and ScyllaDB. Adapters hold rows and cells and take no decision:
//! [`projection`] says what an event does to them, once, for all. Every adapter passes the one
//! suite in `conformance`.

#[cfg(feature = "cassandra")]
pub mod cassandra;
pub mod embedded;
pub mod letters;
pub mod open;
pub mod port;
pub mod projection;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "conformance")]
pub mod faulty;

use std::sync::Arc;

use chat4all_process::probe::ReadyCheck;

pub use open::{OpenPage, OpenPlace, Shards};
pub use port::{
    Claim, ClaimKey, Cursor, Meeting, MeetingPlace, MessageStore, Page, RowAddress, StoreError,
    StoredMessage, Tenant,
};

/// Whether `store` answers, for /ready.
pub fn ready_check(store: Arc<dyn MessageStore>) -> ReadyCheck {
    Arc::new(move || {
        let store = store.clone();
        Box::pin(async move { store.check().await.map_err(|error| error.to_string()) })
    })
}
