use std::net::{Ipv4Addr, SocketAddr};

use chat4all_process::config::Bounded;
use serde::{Deserialize, Serialize};

/// `[router]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouterSettings {
    /// Where the probes listen.
    pub listen: SocketAddr,
    /// The most records between their receipt and the acknowledgement of their append. After a
    /// crash at most this many are appended again, so the connectors' dedupe window must hold
    /// twice as many.
    pub max_in_hand: Bounded<1, 20_000>,
    /// How often progress is committed, in milliseconds.
    pub commit_interval_ms: Bounded<10, 10_000>,
    /// How long a stop waits for records in hand, in milliseconds.
    pub drain_deadline_ms: Bounded<100, 60_000>,
}

impl Default for RouterSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8082)),
            max_in_hand: Bounded::new(5_000),
            commit_interval_ms: Bounded::new(100),
            drain_deadline_ms: Bounded::new(3_000),
        }
    }
}
