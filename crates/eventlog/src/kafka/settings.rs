//! `[kafka]`: how a service reaches Apache Kafka.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chat4all_process::ConfigError;
use chat4all_process::config::Bounded;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// `[kafka]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaSettings {
    /// Brokers to begin with, `host:port`, separated by commas.
    pub bootstrap_servers: String,
    /// Whether missing topics are created. Existing ones are checked and never changed.
    pub create_topics: bool,
    /// Copies of a topic that is created; absent = as the brokers are set.
    pub replication_factor: Option<Bounded<1, 9>>,
    /// How the connection is protected.
    pub security: Security,
    /// Certificates, with `security` `tls` or `tls_sasl`.
    pub tls: TlsSettings,
    /// Credentials, with `security` `sasl` or `tls_sasl`.
    pub sasl: SaslSettings,
    /// How a group shares its partitions.
    pub group_protocol: GroupProtocol,
    /// A consumer that is silent for longer loses its partitions, in milliseconds.
    pub session_timeout_ms: Bounded<6_000, 300_000>,
    /// How often a consumer says that it lives, in milliseconds: at most a third of
    /// `session_timeout_ms`. A hand-over takes two or three of these.
    pub heartbeat_interval_ms: Bounded<100, 30_000>,
    /// Where a group without a committed offset begins on a topic that has lost its first records.
    /// A group that is not named stops there (docs/operations.md).
    pub start_at: BTreeMap<String, StartAt>,
    /// The most records of one producer that are not yet acknowledged.
    pub queue_records: Bounded<1, 1_000_000>,
    /// The most MiB of such records.
    pub queue_mib: Bounded<1, 4_096>,
    /// Records of a partition that are fetched ahead.
    pub prefetch_records: Bounded<1, 100_000>,
    /// MiB of a partition that are fetched ahead.
    pub prefetch_mib: Bounded<1, 1_024>,
    /// How long records may be gathered into a batch, fetched or appended, in milliseconds; absent =
    /// hardly at all.
    pub gather_ms: Option<Bounded<0, 1_000>>,
    /// How batches of records are compressed.
    pub compression: Compression,
}

/// How the connection to the brokers is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Security {
    /// Not at all.
    None,
    /// TLS.
    Tls,
    /// A password, readable on the wire unless the mechanism is a SCRAM.
    Sasl,
    /// A password inside TLS.
    TlsSasl,
}

/// `[kafka.tls]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsSettings {
    /// Whom to trust, PEM; absent = the system's authorities.
    pub ca_file: Option<PathBuf>,
    /// Our certificate, PEM, if the brokers ask for one.
    pub certificate_file: Option<PathBuf>,
    /// Its key, PEM.
    pub key_file: Option<PathBuf>,
    /// The password of the key.
    #[serde(skip_serializing)]
    pub key_password: Option<SecretString>,
}

/// `[kafka.sasl]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SaslSettings {
    /// Which mechanism.
    pub mechanism: SaslMechanism,
    /// The user.
    pub username: Option<String>,
    /// The user's password.
    #[serde(skip_serializing)]
    pub password: Option<SecretString>,
}

/// A SASL mechanism.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum SaslMechanism {
    /// The password as it is.
    #[serde(rename = "PLAIN")]
    Plain,
    /// RFC 7677.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// As SCRAM-SHA-256, with SHA-512.
    #[default]
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

/// How a group shares its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupProtocol {
    /// Members decide, cooperatively and with few moves: every broker knows it.
    Classic,
    /// The brokers decide (KIP-848, Kafka 4); they also set session timeout and heartbeat.
    Consumer,
}

/// Where a group without an offset begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StartAt {
    /// At the oldest record that is still there.
    Earliest,
    /// After the newest record.
    Latest,
}

/// How batches are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not at all: the least CPU.
    None,
    /// LZ4: a third of the bytes for little CPU.
    Lz4,
    /// Snappy.
    Snappy,
}

impl Default for KafkaSettings {
    fn default() -> Self {
        Self {
            bootstrap_servers: "127.0.0.1:9092".to_owned(),
            create_topics: true,
            replication_factor: None,
            security: Security::None,
            tls: TlsSettings::default(),
            sasl: SaslSettings::default(),
            group_protocol: GroupProtocol::Classic,
            session_timeout_ms: Bounded::new(45_000),
            heartbeat_interval_ms: Bounded::new(1_000),
            start_at: BTreeMap::new(),
            queue_records: Bounded::new(10_000),
            queue_mib: Bounded::new(64),
            prefetch_records: Bounded::new(2_000),
            prefetch_mib: Bounded::new(8),
            gather_ms: None,
            compression: Compression::None,
        }
    }
}

impl Security {
    fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Tls => "tls",
            Self::Sasl => "sasl",
            Self::TlsSasl => "tls_sasl",
        }
    }

    fn has_tls(self) -> bool {
        matches!(self, Self::Tls | Self::TlsSasl)
    }

    fn has_sasl(self) -> bool {
        matches!(self, Self::Sasl | Self::TlsSasl)
    }
}

impl KafkaSettings {
    /// Checks what single values cannot show. `section` is the settings' own key.
    ///
    /// # Errors
    /// The first contradiction, with the key to mend.
    pub fn validate(&self, section: &str) -> Result<(), ConfigError> {
        let key = |name: &str| format!("{section}.{name}");
        let is_address = |text: &str| {
            let parts = text.trim().rsplit_once(':');
            parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        if !self.bootstrap_servers.split(',').all(is_address) {
            return Err(ConfigError::of(
                &key("bootstrap_servers"),
                &self.bootstrap_servers,
                "must be host:port, or several separated by commas".to_owned(),
                "write for example kafka-1:9092,kafka-2:9092",
            ));
        }
        if self.heartbeat_interval_ms.get() * 3 > self.session_timeout_ms.get() {
            return Err(ConfigError::of(
                &key("heartbeat_interval_ms"),
                self.heartbeat_interval_ms.get(),
                "must be at most a third of session_timeout_ms".to_owned(),
                "lower it, or raise session_timeout_ms",
            ));
        }
        self.validate_security(&key)
    }

    fn validate_security(&self, key: &dyn Fn(&str) -> String) -> Result<(), ConfigError> {
        let needs_openssl = self.security.has_tls()
            || (self.security.has_sasl() && self.sasl.mechanism != SaslMechanism::Plain);
        if needs_openssl && !cfg!(feature = "kafka-tls") {
            return Err(ConfigError::of(
                &key("security"),
                self.security.word(),
                "needs TLS or SCRAM, which this build does not have".to_owned(),
                "build with `--features kafka-tls` (needs OpenSSL's development files)",
            ));
        }
        let has_tls_keys = self.tls.ca_file.is_some()
            || self.tls.certificate_file.is_some()
            || self.tls.key_file.is_some();
        if has_tls_keys && !self.security.has_tls() {
            return Err(contradiction(&key("tls"), self.security, "tls or tls_sasl"));
        }
        if self.tls.certificate_file.is_some() != self.tls.key_file.is_some() {
            let rule = "certificate_file and key_file belong together".to_owned();
            return Err(ConfigError::missing(&key("tls"), rule, "give both, or none"));
        }
        let has_credentials = self.sasl.username.is_some() || self.sasl.password.is_some();
        if has_credentials && !self.security.has_sasl() {
            return Err(contradiction(&key("sasl"), self.security, "sasl or tls_sasl"));
        }
        if self.security.has_sasl() {
            for (name, given) in [
                ("sasl.username", self.sasl.username.is_some()),
                ("sasl.password", self.sasl.password.is_some()),
            ] {
                if !given {
                    let rule = format!("is required with security = {}", self.security.word());
                    return Err(ConfigError::missing(&key(name), rule, "give it"));
                }
            }
        }
        Ok(())
    }

    /// What every client is made from.
    pub(super) fn client(&self, client_id: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            // Left to itself the client asks the `log` crate, which nothing listens to here.
            .set_log_level(RDKafkaLogLevel::Warning)
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set("client.id", client_id)
            .set("socket.keepalive.enable", "true")
            // A broker that comes back is found within a second.
            .set("reconnect.backoff.ms", "100")
            .set("reconnect.backoff.max.ms", "1000")
            .set("retry.backoff.max.ms", "1000")
            .set("allow.auto.create.topics", "false")
            .set("security.protocol", self.security_protocol());
        let file = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let secret = |secret: &Option<SecretString>| {
            secret.as_ref().map(|secret| secret.expose_secret().to_owned())
        };
        let mut optional = Vec::new();
        if self.security.has_tls() {
            optional.extend([
                ("ssl.ca.location", file(&self.tls.ca_file)),
                ("ssl.certificate.location", file(&self.tls.certificate_file)),
                ("ssl.key.location", file(&self.tls.key_file)),
                ("ssl.key.password", secret(&self.tls.key_password)),
            ]);
        }
        if self.security.has_sasl() {
            let mechanism = match self.sasl.mechanism {
                SaslMechanism::Plain => "PLAIN",
                SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
                SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
            };
            optional.extend([
                ("sasl.mechanism", Some(mechanism.to_owned())),
                ("sasl.username", self.sasl.username.clone()),
                ("sasl.password", secret(&self.sasl.password)),
            ]);
        }
        for (name, value) in optional {
            if let Some(value) = value {
                config.set(name, value);
            }
        }
        config
    }

    fn security_protocol(&self) -> &'static str {
        match self.security {
            Security::None => "plaintext",
            Security::Tls => "ssl",
            Security::Sasl => "sasl_plaintext",
            Security::TlsSasl => "sasl_ssl",
        }
    }
}

impl Compression {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Snappy => "snappy",
        }
    }
}

fn contradiction(key: &str, security: Security, needed: &str) -> ConfigError {
    let rule = format!("has no effect with security = {}", security.word());
    ConfigError::missing(key, rule, &format!("set security to {needed}, or remove the section"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut KafkaSettings)) -> ConfigError {
        let mut settings = KafkaSettings::default();
        change(&mut settings);
        settings.validate("kafka").unwrap_err()
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(KafkaSettings::default().validate("kafka"), Ok(()));
    }

    #[test]
    fn an_address_without_a_port_is_refused() {
        for servers in ["", "kafka", "kafka:", ":9092", "a:9092,b", "a:70000"] {
            let error = refused(|settings| settings.bootstrap_servers = servers.to_owned());
            assert_eq!(error.key, "kafka.bootstrap_servers");
            assert_eq!(error.value.as_deref(), Some(servers));
        }
    }

    #[test]
    fn credentials_without_sasl_and_sasl_without_credentials_are_refused() {
        let error = refused(|settings| settings.sasl.username = Some("user".to_owned()));
        assert_eq!(error.key, "kafka.sasl");
        let error = refused(|settings| {
            settings.security = Security::Sasl;
            settings.sasl.mechanism = SaslMechanism::Plain;
        });
        assert_eq!(error.key, "kafka.sasl.username");
    }

    #[test]
    fn half_a_client_certificate_is_refused() {
        let error = refused(|settings| {
            settings.security = Security::Tls;
            settings.tls.key_file = Some("key.pem".into());
        });
        let expected = if cfg!(feature = "kafka-tls") { "kafka.tls" } else { "kafka.security" };
        assert_eq!(error.key, expected);
    }

    #[test]
    fn a_heartbeat_must_fit_three_times_into_a_session() {
        let error = refused(|settings| settings.heartbeat_interval_ms = Bounded::new(20_000));
        assert_eq!(error.key, "kafka.heartbeat_interval_ms");
    }

    #[test]
    fn a_password_is_in_no_debug_output() {
        let sasl =
            SaslSettings { password: Some("hunter2".to_owned().into()), ..Default::default() };
        let settings = KafkaSettings { sasl, ..KafkaSettings::default() };
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
