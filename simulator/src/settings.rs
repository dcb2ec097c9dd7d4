//! What the simulator can be told.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use chat4all_process::ConfigError;
use chat4all_process::config::Bounded;
use http::Uri;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::platform;

/// How often in a thousand.
pub type PerMille = Bounded<0, 1000>;
/// Milliseconds, at most ten minutes.
pub type Delay = Bounded<0, 600_000>;

/// The settings. Everything has a default; without a webhook a platform sends no receipts.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The shortest time from a call's arrival to its answer.
    pub latency_min_ms: Delay,
    /// The longest time from a call's arrival to its answer.
    pub latency_max_ms: Delay,
    /// The shortest time from the answer to the delivery.
    pub delivered_after_min_ms: Delay,
    /// The longest time from the answer to the delivery.
    pub delivered_after_max_ms: Delay,
    /// The shortest time from the delivery to the reading.
    pub read_after_min_ms: Delay,
    /// The longest time from the delivery to the reading.
    pub read_after_max_ms: Delay,
    /// How many messages are read at all.
    pub read_per_mille: PerMille,
    /// How many calls are answered only after their delivery (or reading) was reported.
    pub early_receipt_per_mille: PerMille,
    /// How many receipts are sent a second time although they were answered.
    pub duplicate_receipt_per_mille: PerMille,
    /// How many receipts are never sent.
    pub lost_receipt_per_mille: PerMille,
    /// How many calls get an error that a repetition can mend.
    pub error_per_mille: PerMille,
    /// How many answers are cut off in their middle, half of them after an acceptance.
    pub cut_per_mille: PerMille,
    /// How many calls get HTTP 503 without a vendor's body.
    pub down_per_mille: PerMille,
    /// How many calls are held for five minutes without an answer, half of them accepted.
    pub hang_per_mille: PerMille,
    /// How many calls take `slow_ms` longer.
    pub slow_per_mille: PerMille,
    /// See `slow_per_mille`.
    pub slow_ms: Delay,
    /// The most webhook calls under way to one platform's connector.
    pub webhook_concurrency: Bounded<1, 1000>,
    /// How long a webhook call may take before it counts as not answered.
    pub webhook_timeout_ms: Bounded<100, 60_000>,
    /// Where each platform's receipts go, by the platform's name.
    pub webhooks: BTreeMap<String, Webhook>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8090)),
            latency_min_ms: Delay::new(200),
            latency_max_ms: Delay::new(500),
            delivered_after_min_ms: Delay::new(100),
            delivered_after_max_ms: Delay::new(800),
            read_after_min_ms: Delay::new(500),
            read_after_max_ms: Delay::new(2000),
            read_per_mille: PerMille::new(1000),
            early_receipt_per_mille: PerMille::new(0),
            duplicate_receipt_per_mille: PerMille::new(0),
            lost_receipt_per_mille: PerMille::new(0),
            error_per_mille: PerMille::new(0),
            cut_per_mille: PerMille::new(0),
            down_per_mille: PerMille::new(0),
            hang_per_mille: PerMille::new(0),
            slow_per_mille: PerMille::new(0),
            slow_ms: Delay::new(5000),
            webhook_concurrency: Bounded::new(64),
            webhook_timeout_ms: Bounded::new(10_000),
            webhooks: BTreeMap::new(),
        }
    }
}

/// A connector's webhook.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// An absolute http or https URL.
    pub url: String,
    /// Signs the bodies.
    #[serde(skip_serializing)]
    pub app_secret: SecretString,
    /// Accounts whose receipts go elsewhere or are signed otherwise, by account.
    #[serde(default)]
    pub accounts: BTreeMap<String, AccountWebhook>,
}

/// What differs for one account.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountWebhook {
    /// In place of the platform's URL.
    pub url: Option<String>,
    /// In place of the platform's secret.
    #[serde(skip_serializing)]
    pub app_secret: Option<SecretString>,
}

impl Settings {
    /// Checks what single values cannot show. `section` is the settings' own key.
    ///
    /// # Errors
    /// The first setting that contradicts another one, or a webhook that cannot be called.
    pub fn validate(&self, section: &str) -> Result<(), ConfigError> {
        let ordered = |key: &str, low: Delay, high: Delay| {
            if low <= high {
                return Ok(());
            }
            let rule = format!("must be at least {key}_min_ms ({})", low.get());
            let key = format!("{section}.{key}_max_ms");
            Err(ConfigError::of(&key, high.get(), rule, "raise it, or lower the other one"))
        };
        ordered("latency", self.latency_min_ms, self.latency_max_ms)?;
        ordered("delivered_after", self.delivered_after_min_ms, self.delivered_after_max_ms)?;
        ordered("read_after", self.read_after_min_ms, self.read_after_max_ms)?;
        let faults = [
            self.error_per_mille,
            self.cut_per_mille,
            self.down_per_mille,
            self.hang_per_mille,
            self.slow_per_mille,
        ];
        let sum: u64 = faults.iter().map(|per_mille| per_mille.get()).sum();
        if sum > 1000 {
            let rule = "error, cut, down, hang and slow together must be at most 1000".to_owned();
            let key = format!("{section}.error_per_mille");
            return Err(ConfigError::of(&key, sum, rule, "lower one of them"));
        }
        self.webhooks.iter().try_for_each(|(name, webhook)| webhook.validate(section, name))
    }

    /// URL and secret for the receipts of an account.
    pub(crate) fn webhook(&self, platform: &str, account: &str) -> Option<(&str, &SecretString)> {
        let webhook = self.webhooks.get(platform)?;
        let own = webhook.accounts.get(account);
        let url = own.and_then(|own| own.url.as_ref()).unwrap_or(&webhook.url);
        let secret = own.and_then(|own| own.app_secret.as_ref()).unwrap_or(&webhook.app_secret);
        Some((url, secret))
    }

    pub(crate) fn webhook_timeout(&self) -> Duration {
        self.webhook_timeout_ms.ms()
    }
}

impl Webhook {
    fn validate(&self, section: &str, name: &str) -> Result<(), ConfigError> {
        let key = format!("{section}.webhooks.{name}");
        let known: Vec<_> = platform::REGISTRY.iter().map(|platform| platform.name()).collect();
        if !known.contains(&name) {
            let fix = format!("use one of: {}", known.join(", "));
            return Err(ConfigError::missing(&key, "is not a known platform".to_owned(), &fix));
        }
        check_url(&format!("{key}.url"), &self.url)?;
        for (account, own) in &self.accounts {
            if let Some(url) = &own.url {
                check_url(&format!("{key}.accounts.{account}.url"), url)?;
            }
        }
        Ok(())
    }
}

fn check_url(key: &str, url: &str) -> Result<(), ConfigError> {
    let usable = url.parse::<Uri>().is_ok_and(|uri| {
        let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
        scheme && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
    });
    if usable {
        return Ok(());
    }
    let rule = "must be an absolute http or https URL without a user".to_owned();
    Err(ConfigError::of(key, url, rule, "write it like http://127.0.0.1:8083/webhook"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn the_defaults_are_valid_and_an_unknown_key_is_not() {
        assert_eq!(Settings::default().validate("simulator"), Ok(()));
        assert!(parse(r#"{"latency":1}"#).is_err());
        assert!(parse(r#"{"read_per_mille":1001}"#).is_err());
    }

    #[test]
    fn settings_that_contradict_each_other_are_named() {
        let check = |text: &str| parse(text).unwrap().validate("simulator").unwrap_err().key;
        assert_eq!(check(r#"{"latency_min_ms":501}"#), "simulator.latency_max_ms");
        let faults = r#"{"error_per_mille":600,"cut_per_mille":600}"#;
        assert_eq!(check(faults), "simulator.error_per_mille");
        let webhook = |name, url| {
            check(&format!(r#"{{"webhooks":{{"{name}":{{"url":"{url}","app_secret":"s"}}}}}}"#))
        };
        assert_eq!(webhook("nowhere", "http://a/b"), "simulator.webhooks.nowhere");
        let name = platform::REGISTRY[0].name();
        assert_eq!(webhook(name, "a/b"), format!("simulator.webhooks.{name}.url"));
    }

    #[test]
    fn a_secret_is_neither_debugged_nor_serialized() {
        let name = platform::REGISTRY[0].name();
        let account = r#"{"1":{"app_secret":"hunter3"}}"#;
        let webhook =
            format!(r#"{{"url":"http://a/b","app_secret":"hunter2","accounts":{account}}}"#);
        let settings = parse(&format!(r#"{{"webhooks":{{"{name}":{webhook}}}}}"#)).unwrap();
        let shown = format!("{settings:?} {}", serde_json::to_string(&settings).unwrap());
        assert!(!shown.contains("hunter"), "{shown}");
    }
}
