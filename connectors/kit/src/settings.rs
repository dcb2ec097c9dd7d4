//! `[connectors.<platform>.policy]`: what every connector can be told.

use chat4all_process::backoff::BackoffPolicy;
use chat4all_process::config::Bounded;
use serde::{Deserialize, Serialize};

/// A connector's policy. Its platform's own settings stand beside it, in `api`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct KitSettings {
    /// The most records of a partition between their receipt and their commit.
    pub window: Bounded<1, 20_000>,
    /// The most calls of an account at once.
    pub max_in_flight: Bounded<1, 20_000>,
    /// How many messages of a partition are remembered to recognise a repetition.
    pub dedupe_window: Bounded<0, 1_000_000>,
    /// How often progress is committed, in milliseconds.
    pub commit_interval_ms: Bounded<10, 10_000>,
    /// How long the platform may take to answer a call, in milliseconds.
    pub call_timeout_ms: Bounded<6_000, 120_000>,
    /// How many calls a message gets before it is given up.
    pub max_attempts: Bounded<1, 1_000>,
    /// The first wait before another attempt, in milliseconds; it doubles, with full jitter.
    pub retry_first_ms: Bounded<1, 60_000>,
    /// The longest wait before another attempt, in milliseconds.
    pub retry_longest_ms: Bounded<1, 3_600_000>,
    /// How long a message waits for a receipt after a call whose outcome is unknown, before it is
    /// tried again in place, in milliseconds.
    pub in_doubt_wait_ms: Bounded<0, 60_000>,
    /// Consecutive failures that open an account's circuit breaker.
    pub breaker_failures: Bounded<1, 1_000>,
    /// How long it stays open at first, in milliseconds; it doubles with every failed probe.
    pub breaker_first_ms: Bounded<100, 600_000>,
    /// The longest it stays open between two probes, in milliseconds.
    pub breaker_longest_ms: Bounded<100, 3_600_000>,
    /// How long a throttled account pauses if the platform does not say, in milliseconds.
    pub throttle_pause_ms: Bounded<100, 600_000>,
    /// How long an account that the platform refuses waits between two probes, in milliseconds.
    pub refused_account_pause_ms: Bounded<1_000, 3_600_000>,
    /// How long a partition that goes away may finish its calls, in milliseconds.
    pub revoke_deadline_ms: Bounded<100, 30_000>,
}

impl KitSettings {
    /// The waits between two attempts of a message.
    pub fn retry(&self) -> BackoffPolicy {
        BackoffPolicy::new(self.retry_first_ms.ms(), self.retry_longest_ms.ms())
    }

    /// The times that a breaker stays open.
    pub fn breaker(&self) -> BackoffPolicy {
        BackoffPolicy::new(self.breaker_first_ms.ms(), self.breaker_longest_ms.ms())
    }
}

impl Default for KitSettings {
    fn default() -> Self {
        Self {
            window: Bounded::new(4_000),
            max_in_flight: Bounded::new(2_000),
            dedupe_window: Bounded::new(50_000),
            commit_interval_ms: Bounded::new(100),
            call_timeout_ms: Bounded::new(15_000),
            max_attempts: Bounded::new(8),
            retry_first_ms: Bounded::new(500),
            retry_longest_ms: Bounded::new(60_000),
            in_doubt_wait_ms: Bounded::new(10_000),
            breaker_failures: Bounded::new(5),
            breaker_first_ms: Bounded::new(1_000),
            breaker_longest_ms: Bounded::new(60_000),
            throttle_pause_ms: Bounded::new(2_000),
            refused_account_pause_ms: Bounded::new(300_000),
            revoke_deadline_ms: Bounded::new(1_000),
        }
    }
}
