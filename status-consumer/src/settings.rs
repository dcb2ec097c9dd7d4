use std::net::{Ipv4Addr, SocketAddr};

use chat4all_process::config::Bounded;
use serde::{Deserialize, Serialize};

/// `[status_consumer]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct StatusConsumerSettings {
    /// Where the probes listen.
    pub listen: SocketAddr,
    /// The most store writes under way at once.
    pub max_in_hand: Bounded<1, 10_000>,
    /// How often progress is committed, in milliseconds.
    pub commit_interval_ms: Bounded<10, 10_000>,
    /// How long a stop waits for writes under way, in milliseconds.
    pub drain_deadline_ms: Bounded<100, 60_000>,
    /// How often the store forgets what is past its end, in seconds.
    pub sweep_interval_s: Bounded<1, 86_400>,
}

impl Default for StatusConsumerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8086)),
            max_in_hand: Bounded::new(512),
            commit_interval_ms: Bounded::new(200),
            drain_deadline_ms: Bounded::new(3_000),
            sweep_interval_s: Bounded::new(60),
        }
    }
}
