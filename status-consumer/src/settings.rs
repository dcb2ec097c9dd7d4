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
    /// How often messages without an outcome are looked for, in seconds.
    pub reconcile_interval_s: Bounded<1, 3_600>,
    /// How long after its life a message without an outcome is judged at the earliest, in seconds.
    pub reconcile_grace_s: Bounded<60, 86_400>,
    /// How long after its life a message that nobody fetches counts as expired, in seconds.
    pub reconcile_abandoned_s: Bounded<3_600, 691_200>,
}

impl Default for StatusConsumerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8086)),
            max_in_hand: Bounded::new(512),
            commit_interval_ms: Bounded::new(200),
            drain_deadline_ms: Bounded::new(3_000),
            sweep_interval_s: Bounded::new(60),
            reconcile_interval_s: Bounded::new(10),
            reconcile_grace_s: Bounded::new(600),
            reconcile_abandoned_s: Bounded::new(604_800),
        }
    }
}
