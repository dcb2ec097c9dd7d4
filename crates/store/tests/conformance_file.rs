//! The suite on the store in a file.

// The lints know only functions that are tests themselves, not their helpers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use chat4all_store::MessageStore;
use chat4all_store::conformance::Factory;
use chat4all_store::embedded::{EmbeddedStore, StoreOptions};
use futures::future::BoxFuture;
use tempfile::TempDir;

struct InFile(TempDir);

impl InFile {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self) -> Arc<dyn MessageStore> {
        let path = self.0.path().join("store.db");
        EmbeddedStore::open_file(&path, StoreOptions::default()).unwrap()
    }
}

impl Factory for InFile {
    fn fresh(&self) -> BoxFuture<'_, Arc<dyn MessageStore>> {
        Box::pin(async { self.open() })
    }

    fn reopen(
        &self,
        closed: Arc<dyn MessageStore>,
    ) -> BoxFuture<'_, Option<Arc<dyn MessageStore>>> {
        drop(closed);
        Box::pin(async { Some(self.open()) })
    }
}

chat4all_store::store_conformance!(InFile::new());
