//! The log in a real Kafka passes the suite. Needs `cargo xtask stack up`.

// Helpers of tests are tests, which clippy sees only in functions marked as such.
#![allow(clippy::unwrap_used, clippy::panic)]

mod broker;
mod cases;
mod frozen;

use std::sync::Arc;

use chat4all_eventlog::conformance::{Harness, NEW_MS, Setup, Space};
use chat4all_eventlog::kafka::KafkaLog;
use chat4all_eventlog::{EventLog, eventlog_conformance};

use broker::{Broker, settings};

/// One log of a case: names of its own on the shared broker.
struct OnABroker {
    broker: Broker,
    setup: Setup,
    log: Arc<KafkaLog>,
}

fn open(setup: Setup) -> Arc<KafkaLog> {
    let settings = settings(setup.queue_records);
    KafkaLog::new(&settings, "conformance", setup.max_record_bytes).unwrap()
}

impl Harness for OnABroker {
    async fn open(setup: Setup) -> Option<Self> {
        // A broker has no room of its own: it fails when its disk is full, and so does the log.
        if setup.room != Space::Plenty {
            return None;
        }
        let broker = Broker::new();
        Some(Self { broker, setup, log: open(setup) })
    }

    fn log(&self) -> Arc<dyn EventLog> {
        self.log.clone()
    }

    async fn reopen(self) -> Self {
        let Self { broker, setup, log } = self;
        drop(log);
        Self { broker, setup, log: open(setup) }
    }

    async fn expire(&self) {
        self.broker.delete_before(NEW_MS).await;
    }

    fn name(&self, name: &str) -> String {
        self.broker.name(name)
    }
}

eventlog_conformance!(OnABroker, tokio::test(flavor = "multi_thread", worker_threads = 2));
