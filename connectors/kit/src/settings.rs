//! `[connectors.<platform>]`: what every connector can be told.

use std::net::SocketAddr;
use std::time::Duration;

use chat4all_contracts::{PlatformName, group, topic};
use chat4all_process::ConfigError;
use chat4all_process::backoff::BackoffPolicy;
use chat4all_process::config::Bounded;
use chat4all_process::descriptors::CallBudget;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure_rate::RatePolicy;
use crate::parked::RecipientPause;

/// `[connectors.<platform>]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectorSettings {
    /// Where the probes and the platform's webhook are served.
    pub listen: SocketAddr,
    /// The topic it delivers from; absent = `{platform}-outbound`.
    #[serde(default)]
    pub topic: Option<String>,
    /// Its consumer group; absent = `{platform}-connector-group`.
    #[serde(default)]
    pub group_id: Option<String>,
    /// How messages are tried.
    #[serde(default)]
    pub policy: KitSettings,
    /// How the platform is reached; its connector knows the keys.
    #[serde(default)]
    pub api: Value,
}

impl ConnectorSettings {
    /// What the connector delivers from. `key` is where the settings stand.
    ///
    /// # Errors
    /// If topic or group is no name.
    pub fn source(&self, key: &str, platform: &PlatformName) -> Result<Source, ConfigError> {
        let Source { topic, group } = Source::of(platform);
        Ok(Source {
            topic: name(&format!("{key}.topic"), &self.topic, topic)?,
            group: name(&format!("{key}.group_id"), &self.group_id, group)?,
        })
    }
}

/// What Kafka allows in a topic's name. Dots and underscores clash in its metrics, but work.
fn name(key: &str, given: &Option<String>, default: String) -> Result<String, ConfigError> {
    let Some(given) = given else { return Ok(default) };
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if (1..=200).contains(&given.len()) && given.chars().all(is_allowed) {
        return Ok(given.clone());
    }
    let rule = "must be 1 to 200 letters, digits, dots, underscores and hyphens".to_owned();
    Err(ConfigError::of(key, given, rule, &format!("correct it, or remove it for {default}")))
}

/// What a connector delivers from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The topic.
    pub topic: String,
    /// The consumer group.
    pub group: String,
}

impl Source {
    /// What the router writes for a platform, and the group that goes with it.
    pub fn of(platform: &PlatformName) -> Self {
        Self { topic: topic::outbound(platform), group: group::connector(platform) }
    }
}

/// The router's most records in hand, where a connector's configuration does not tell.
pub const ASSUMED_ROUTER_MAX_IN_HAND: u64 = 5_000;

/// What follows a call whose outcome is unknown: the platform may have taken the message.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InDoubtPolicy {
    /// The lane waits for a receipt, then repeats the call: at least once, in order, and marked as
    /// a possible duplicate.
    #[default]
    Retry,
    /// UNKNOWN is published and the lane goes on: at most once. A receipt settles the message, or
    /// else it fails as `in_doubt` at the end of its life.
    Report,
}

/// A connector's policy. Its platform's own settings stand beside it, in `api`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct KitSettings {
    /// The most records of a partition between their receipt and their commit.
    pub window: Bounded<1, 20_000>,
    /// The most MiB of a partition's records between their receipt and their outcome.
    pub window_mib: Bounded<1, 4_096>,
    /// The most calls of an account at once.
    pub max_in_flight: Bounded<1, 20_000>,
    /// How many messages of a partition are remembered to recognise a repetition.
    pub dedupe_window: Bounded<0, 1_000_000>,
    /// How often progress is committed at least, in milliseconds; some five times as often when many
    /// messages are done.
    pub commit_interval_ms: Bounded<10, 10_000>,
    /// How long the platform may take to answer a call, in milliseconds.
    pub call_timeout_ms: Bounded<6_000, 120_000>,
    /// How many calls a message gets before it is given up.
    pub max_attempts: Bounded<1, 1_000>,
    /// How long after its first call a message is still tried again, in milliseconds.
    pub max_age_ms: Bounded<1_000, 604_800_000>,
    /// The first wait before another attempt, in milliseconds; it doubles, with full jitter.
    pub retry_first_ms: Bounded<1, 60_000>,
    /// The longest wait before another attempt, in milliseconds.
    pub retry_longest_ms: Bounded<1, 3_600_000>,
    /// What follows a call whose outcome is unknown.
    pub in_doubt: InDoubtPolicy,
    /// How long a message waits for a receipt after a call whose outcome is unknown, before it is
    /// tried again in place, in milliseconds. It doubles with every such call.
    pub in_doubt_wait_ms: Bounded<0, 60_000>,
    /// Consecutive failures that open an account's circuit breaker.
    pub breaker_failures: Bounded<1, 1_000>,
    /// The failures of 100 calls that open it, too; 101 = never.
    pub breaker_failure_percent: Bounded<1, 101>,
    /// Fewer calls than this within the window say nothing about the percentage.
    pub breaker_least_calls: Bounded<1, 100_000>,
    /// The calls of this long count for the percentage, in milliseconds.
    pub breaker_window_ms: Bounded<1_000, 3_600_000>,
    /// How long it stays open at first, in milliseconds; it doubles with every failed probe.
    pub breaker_first_ms: Bounded<100, 600_000>,
    /// The longest it stays open between two probes, in milliseconds.
    pub breaker_longest_ms: Bounded<100, 3_600_000>,
    /// How long a throttled account pauses if the platform does not say, in milliseconds.
    pub throttle_pause_ms: Bounded<100, 600_000>,
    /// How long a receiver to whom the platform takes no more messages waits the first time, if
    /// the platform does not say, in milliseconds.
    pub recipient_pause_ms: Bounded<100, 600_000>,
    /// Each further time so many times as long: Meta advises 4^X seconds.
    pub recipient_pause_factor: Bounded<1, 10>,
    /// The longest such wait, in milliseconds.
    pub recipient_pause_longest_ms: Bounded<100, 86_400_000>,
    /// How long an account that the platform refuses waits between two probes, in milliseconds.
    pub refused_account_pause_ms: Bounded<1_000, 3_600_000>,
    /// How long a partition that goes away may finish its calls, in milliseconds.
    pub revoke_deadline_ms: Bounded<100, 30_000>,
}

impl KitSettings {
    /// A router that dies repeats up to `max_in_hand` appends; the window must recognise them.
    /// `key` is the connector's own.
    ///
    /// # Errors
    /// If it is too small.
    pub fn check_dedupe(&self, key: &str, max_in_hand: u64) -> Result<(), ConfigError> {
        let (window, needed) = (self.dedupe_window.get(), max_in_hand * 2);
        if window >= needed {
            return Ok(());
        }
        Err(ConfigError::of(
            &format!("{key}.policy.dedupe_window"),
            window,
            format!("must be at least twice router.max_in_hand, which makes {needed}"),
            "raise it, or lower router.max_in_hand",
        ))
    }

    /// The most calls that a connector with so many accounts has under way. `key` is its own.
    pub fn call_budget(&self, key: &str, accounts: usize) -> CallBudget {
        let calls = self.max_in_flight.get().saturating_mul(accounts as u64);
        CallBudget { calls, keys: format!("{key}.policy.max_in_flight") }
    }

    /// [`KitSettings::window_mib`] in bytes.
    pub fn window_bytes(&self) -> usize {
        self.window_mib.count() * 1024 * 1024
    }

    /// The waits between two attempts of a message.
    pub fn retry(&self) -> BackoffPolicy {
        BackoffPolicy::new(self.retry_first_ms.ms(), self.retry_longest_ms.ms())
    }

    /// The rate of failures that opens a breaker.
    pub fn failure_rate(&self) -> RatePolicy {
        RatePolicy {
            percent: self.breaker_failure_percent.get() as u32,
            least_calls: self.breaker_least_calls.get() as u32,
            window: self.breaker_window_ms.ms(),
        }
    }

    /// The pauses of a receiver whom the platform protects.
    pub fn recipient_pause(&self) -> RecipientPause {
        RecipientPause {
            first: self.recipient_pause_ms.ms(),
            factor: self.recipient_pause_factor.get() as u32,
            longest: self.recipient_pause_longest_ms.ms(),
        }
    }

    /// How long the lane waits for a receipt after its `n`th call in doubt, at least the first.
    pub fn in_doubt_wait(&self, n: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(n.saturating_sub(1));
        let longest = self.retry_longest_ms.ms().max(self.in_doubt_wait_ms.ms());
        self.in_doubt_wait_ms.ms().saturating_mul(doubled).min(longest)
    }

    /// The most records of a partition whose outcome is known and not acknowledged by the log, while
    /// further calls start.
    pub fn most_unacknowledged(&self) -> usize {
        self.max_in_flight.count().clamp(64, 1_000)
    }

    /// The times that a breaker stays open.
    pub fn breaker(&self) -> BackoffPolicy {
        BackoffPolicy::new(self.breaker_first_ms.ms(), self.breaker_longest_ms.ms())
    }
}

impl Default for KitSettings {
    fn default() -> Self {
        Self {
            window: Bounded::new(16_000),
            window_mib: Bounded::new(64),
            max_in_flight: Bounded::new(2_000),
            dedupe_window: Bounded::new(50_000),
            commit_interval_ms: Bounded::new(100),
            call_timeout_ms: Bounded::new(15_000),
            max_attempts: Bounded::new(8),
            max_age_ms: Bounded::new(86_400_000),
            retry_first_ms: Bounded::new(500),
            retry_longest_ms: Bounded::new(60_000),
            in_doubt: InDoubtPolicy::Retry,
            in_doubt_wait_ms: Bounded::new(10_000),
            breaker_failures: Bounded::new(5),
            breaker_failure_percent: Bounded::new(50),
            breaker_least_calls: Bounded::new(20),
            breaker_window_ms: Bounded::new(30_000),
            breaker_first_ms: Bounded::new(1_000),
            breaker_longest_ms: Bounded::new(60_000),
            throttle_pause_ms: Bounded::new(2_000),
            recipient_pause_ms: Bounded::new(4_000),
            recipient_pause_factor: Bounded::new(4),
            recipient_pause_longest_ms: Bounded::new(3_600_000),
            refused_account_pause_ms: Bounded::new(300_000),
            revoke_deadline_ms: Bounded::new(1_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_and_group_have_defaults_and_must_be_names() {
        let platform = PlatformName::new("p").unwrap();
        let read = |topic: Option<&str>, group_id: Option<&str>| {
            let settings = ConnectorSettings {
                listen: SocketAddr::from(([127, 0, 0, 1], 1)),
                topic: topic.map(str::to_owned),
                group_id: group_id.map(str::to_owned),
                policy: KitSettings::default(),
                api: Value::Null,
            };
            settings.source("connectors.p", &platform).map_err(|error| error.key)
        };
        let named = |topic: &str, group: &str| {
            Ok(Source { topic: topic.to_owned(), group: group.to_owned() })
        };
        assert_eq!(read(None, None), named("p-outbound", "p-connector-group"));
        assert_eq!(read(Some("t.1"), Some("g_1")), named("t.1", "g_1"));
        assert_eq!(read(Some(""), None), Err("connectors.p.topic".to_owned()));
        assert_eq!(read(None, Some("a b")), Err("connectors.p.group_id".to_owned()));
    }

    #[test]
    fn a_dedupe_window_must_hold_what_a_dead_router_repeats() {
        let settings = KitSettings::default();
        assert_eq!(settings.check_dedupe("connectors.p", 25_000), Ok(()));
        let error = settings.check_dedupe("connectors.p", 25_001).unwrap_err();
        assert_eq!(error.key, "connectors.p.policy.dedupe_window");
    }
}
