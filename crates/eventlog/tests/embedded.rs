//! The log in a file passes the suite.

// Helpers of tests are tests, which clippy sees only in functions marked as such.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::PathBuf;
use std::sync::Arc;

use chat4all_eventlog::conformance::{Harness, Setup, Space, expire_at};
use chat4all_eventlog::embedded::{EmbeddedLog, EmbeddedOptions};
use chat4all_eventlog::{EventLog, eventlog_conformance};
use chat4all_process::Clock;
use tempfile::TempDir;

struct InAFile {
    folder: TempDir,
    options: EmbeddedOptions,
    log: Arc<EmbeddedLog>,
}

fn open(path: PathBuf, options: &EmbeddedOptions) -> Arc<EmbeddedLog> {
    EmbeddedLog::open(&path, options.clone(), Clock::system()).unwrap()
}

impl Harness for InAFile {
    async fn open(setup: Setup) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = EmbeddedOptions {
            max_record_bytes: setup.max_record_bytes,
            queue_records: setup.queue_records,
            max_pages: (setup.room == Space::Little).then_some(512),
            free_space_floor_bytes: if setup.room == Space::UnderTheFloor { u64::MAX } else { 0 },
            ..EmbeddedOptions::default()
        };
        let log = open(folder.path().join("log.db"), &options);
        Some(Self { folder, options, log })
    }

    fn log(&self) -> Arc<dyn EventLog> {
        self.log.clone()
    }

    async fn reopen(self) -> Self {
        let Self { folder, options, log } = self;
        drop(log);
        let log = open(folder.path().join("log.db"), &options);
        Self { folder, options, log }
    }

    async fn expire(&self) {
        self.log.retain_once(expire_at()).await.unwrap();
    }
}

eventlog_conformance!(InAFile);

mod on_several_threads {
    use super::*;
    eventlog_conformance!(InAFile, tokio::test(flavor = "multi_thread", worker_threads = 2));
}
