//! The store in a real Cassandra. Needs `cargo xtask stack up`.

// The lints know only functions that are tests themselves, not their helpers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod merging;
mod outage;
mod schema;
mod server;
mod tls;

use std::sync::Arc;

use chat4all_store::MessageStore;
use chat4all_store::conformance::Factory;
use futures::future::BoxFuture;
use server::{Apart, connect};

/// Tenants of its own for every case, in one keyspace.
struct InCassandra(String);

impl InCassandra {
    fn new() -> Self {
        Self(server::unique())
    }

    async fn open(&self) -> Arc<dyn MessageStore> {
        Arc::new(Apart { store: connect().await, prefix: self.0.clone() })
    }
}

impl Factory for InCassandra {
    fn fresh(&self) -> BoxFuture<'_, Arc<dyn MessageStore>> {
        Box::pin(self.open())
    }

    fn reopen(
        &self,
        closed: Arc<dyn MessageStore>,
    ) -> BoxFuture<'_, Option<Arc<dyn MessageStore>>> {
        drop(closed);
        Box::pin(async { Some(self.open().await) })
    }
}

chat4all_store::store_conformance!(InCassandra::new());
