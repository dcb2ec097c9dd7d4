//! The suite on the store in memory.

// The lints know only functions that are tests themselves, not their helpers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use chat4all_store::MessageStore;
use chat4all_store::conformance::Factory;
use chat4all_store::embedded::EmbeddedStore;
use futures::future::BoxFuture;

struct InMemory;

impl Factory for InMemory {
    fn fresh(&self) -> BoxFuture<'_, Arc<dyn MessageStore>> {
        Box::pin(async { EmbeddedStore::in_memory().unwrap() as Arc<dyn MessageStore> })
    }

    fn reopen(&self, _: Arc<dyn MessageStore>) -> BoxFuture<'_, Option<Arc<dyn MessageStore>>> {
        Box::pin(async { None })
    }
}

chat4all_store::store_conformance!(InMemory);
