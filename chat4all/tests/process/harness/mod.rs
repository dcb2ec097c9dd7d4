//! Starts installations in folders of their own, sends traffic, and reads what became of it.

mod autopsy;
mod http;
mod installation;
mod ledger;
mod ports;
mod processes;
mod running;
mod traffic;

use std::time::Duration;

pub use self::autopsy::autopsy;
pub use self::http::Http;
pub use self::installation::{Ended, Installation};
pub use self::ledger::Ledger;
pub use self::running::Running;
pub use self::traffic::Plan;

/// How long anything may take before a test fails. It bounds failures and synchronises nothing.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(20);

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
