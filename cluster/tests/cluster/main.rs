//! The services as processes of their own, on a real Kafka and a real Cassandra. One file per
//! claim; the harness starts, kills and freezes processes, sends traffic, and compares what was
//! accepted with what the simulated platforms have seen.
//!
//! Every test has servers, topics and tables of its own. They run one after the other, whatever
//! the number of test threads.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod frozen_connector;
mod frozen_log;
mod killed_servers;
mod killed_services;
mod log_away;
mod one_message;
mod rolling_restart;
mod scaling;
mod store_away;

use std::path::Path;

use chat4all_cluster::harness::{self, Place};

/// Where the files of a test are.
fn place(name: &str) -> Place {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cluster");
    Place { folder: root.join(name), root, kafka_wire: None }
}
