//! Servers and services as processes, traffic through them, and what became of it. What does not
//! do as it must panics: these are helpers of tests.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod autopsy;
mod cluster;
mod config;
mod groups;
mod http;
mod ledger;
pub mod ports;
mod programs;
mod report;
mod service;
mod stack;
mod traffic;

use std::time::Duration;

pub use self::autopsy::{Autopsy, LastMoment, LastMoments};
pub use self::cluster::{Cluster, Place};
pub use self::config::{Account, Config};
pub use self::groups::{Committed, Group};
pub use self::http::{Answer, Http};
pub use self::ledger::Ledger;
pub use self::report::Report;
pub use self::service::{OUTLASTED, Role, Service};
pub use self::stack::{Server, Signal, Stack};
pub use self::traffic::{Ids, Plan, Traffic};

/// How long anything may take before a test fails. It bounds failures and synchronises nothing.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// How often a condition is looked at.
pub const POLL: Duration = Duration::from_millis(20);

/// Looks until there is something to see.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let polled = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(POLL).await; // sleep: another process tells nobody when
        }
    };
    let seen = tokio::time::timeout(PATIENCE, polled).await;
    seen.unwrap_or_else(|_| panic!("not within {} s: {what}", PATIENCE.as_secs()))
}
