//! The settings of the API, each with its bounds. Holds values only; nothing here reads a file.

use std::net::{Ipv4Addr, SocketAddr};

use chat4all_process::config::Bounded;
use serde::{Deserialize, Serialize};

/// The settings, `[api]` in the configuration.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiSettings {
    /// The address that serves HTTP.
    pub listen: SocketAddr,
    /// How long an append may take before its outcome counts as unknown.
    pub append_timeout_ms: Bounded<10, 4_900>,
    /// How long one question to the store may take.
    pub store_timeout_ms: Bounded<10, 4_900>,
    /// How long all of it may take together, from the complete request on. Below 5 s, which is
    /// what clients are promised.
    pub answer_timeout_ms: Bounded<100, 4_900>,
    /// How long a client may take to send a request's body.
    pub body_timeout_ms: Bounded<10, 60_000>,
    /// The lifetime of a message whose request names none.
    pub default_lifetime_s: Bounded<1, 86_400>,
    /// The most requests under `/v1` at a time; further ones are answered 503 at once.
    pub max_in_flight: Bounded<1, 100_000>,
    /// The most accepted messages remembered because the store did not take them.
    pub max_unprojected: Bounded<1, 1_000_000>,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            append_timeout_ms: Bounded::new(4_000),
            store_timeout_ms: Bounded::new(2_000),
            answer_timeout_ms: Bounded::new(4_800),
            body_timeout_ms: Bounded::new(5_000),
            default_lifetime_s: Bounded::new(86_400),
            max_in_flight: Bounded::new(1_024),
            max_unprojected: Bounded::new(10_000),
        }
    }
}
