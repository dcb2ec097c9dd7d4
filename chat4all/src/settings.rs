//! The whole configuration, as one file and the environment give it. docs/configuration.md is
//! checked against it.

// Never iterated here: the environment comes as the standard library's map.
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use chat4all_api::ApiSettings;
use chat4all_connector_kit::KitSettings;
use chat4all_process::ConfigError;
use chat4all_process::config::{self, Bounded};
use chat4all_router::RouterSettings;
use chat4all_status_consumer::StatusConsumerSettings;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::registry::REGISTRY;

/// Everything that can be configured.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The folder that holds the log, the store and the simulator's ledger.
    #[serde(default = "default_data")]
    pub data: PathBuf,
    /// The embedded log.
    #[serde(default)]
    pub log: LogSettings,
    /// Partition counts and retention of the topics.
    #[serde(default)]
    pub topics: TopicSettings,
    /// The HTTP API.
    #[serde(default)]
    pub api: ApiSettings,
    /// The router.
    #[serde(default)]
    pub router: RouterSettings,
    /// The status-consumer.
    #[serde(default)]
    pub status_consumer: StatusConsumerSettings,
    /// The stand-in for platforms without credentials.
    #[serde(default)]
    pub simulation: SimulationSettings,
    /// What every service may know of the platforms.
    pub platforms: BTreeMap<String, PlatformSettings>,
    /// What only their connectors may know.
    pub connectors: BTreeMap<String, ConnectorSettings>,
}

fn default_data() -> PathBuf {
    PathBuf::from("data")
}

/// `[log]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// The longest record, in bytes.
    pub max_record_bytes: Bounded<1_048_576, 16_777_216>,
    /// With less free disk than this, in MiB, the API answers 503, while what is under way can
    /// still be finished.
    pub free_disk_floor_mib: Bounded<0, 1_048_576>,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { max_record_bytes: Bounded::new(1_048_576), free_disk_floor_mib: Bounded::new(256) }
    }
}

/// `[topics]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TopicSettings {
    /// Partitions of `messages`. Cannot be changed later: keys would move.
    pub messages_partitions: Bounded<1, 10_000>,
    /// Partitions of `status-updates`. Cannot be changed later.
    pub status_updates_partitions: Bounded<1, 10_000>,
    /// Partitions of `receipts`. Cannot be changed later.
    pub receipts_partitions: Bounded<1, 10_000>,
    /// Partitions of `inbound`. Cannot be changed later.
    pub inbound_partitions: Bounded<1, 10_000>,
    /// How long records are kept, in hours: at least three times a message's longest life.
    pub retention_hours: Bounded<72, 87_600>,
}

impl Default for TopicSettings {
    fn default() -> Self {
        Self {
            messages_partitions: Bounded::new(4),
            status_updates_partitions: Bounded::new(4),
            receipts_partitions: Bounded::new(2),
            inbound_partitions: Bounded::new(2),
            retention_hours: Bounded::new(168),
        }
    }
}

/// `[simulation]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimulationSettings {
    /// The address of a simulator that runs elsewhere; absent = one is started beside this
    /// process if a platform needs it.
    pub url: Option<String>,
    /// What the simulator takes as a token and signs webhooks with. It guards nothing real.
    pub shared_secret: String,
    /// The simulator's own settings.
    pub simulator: chat4all_simulator::Settings,
}

impl Default for SimulationSettings {
    fn default() -> Self {
        Self {
            url: None,
            shared_secret: "simulated".to_owned(),
            simulator: chat4all_simulator::Settings::default(),
        }
    }
}

/// `[platforms.<name>]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PlatformSettings {
    /// What a receiver's address must match: an anchored regular expression.
    pub recipient_pattern: String,
    /// The same in words, for whoever sent a bad one.
    pub recipient_rule: String,
    /// Whether the platform reports deliveries. If not, its acceptance is shown as DELIVERED.
    pub has_receipts: bool,
    /// The account of a message that names none.
    pub default_account: String,
    /// The sending identities.
    pub accounts: BTreeMap<String, AccountSettings>,
}

/// `[platforms.<name>.accounts.<account>]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AccountSettings {
    /// The account's partition of the platform's topic. One account a partition, or they share
    /// their fate.
    pub partition: Bounded<0, 9_999>,
    /// The account's pace, in calls a second.
    pub per_second: Bounded<1, 100_000>,
}

/// `[connectors.<name>]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectorSettings {
    /// Where the probes and the platform's webhook are served.
    pub listen: SocketAddr,
    /// How messages are tried.
    #[serde(default)]
    pub policy: KitSettings,
    /// How the platform is reached; its connector knows the keys.
    #[serde(default)]
    pub api: Value,
}

/// The file that is read if it is there and no other is named.
pub const DEFAULT_FILE: &str = "chat4all.toml";

impl Settings {
    /// Reads the defaults, the file (or `chat4all.toml`, if it is there) and the environment.
    ///
    /// # Errors
    /// The first key that is unknown, of the wrong type or out of its bounds.
    pub fn load(
        file: Option<&Path>,
        environment: HashMap<String, String>,
    ) -> Result<Self, ConfigError> {
        let default_file = Path::new(DEFAULT_FILE);
        let file = file.or_else(|| default_file.exists().then_some(default_file));
        let defaults: Vec<&str> = REGISTRY.iter().map(|entry| entry.defaults).collect();
        config::load(&defaults, file, environment)
    }
}
