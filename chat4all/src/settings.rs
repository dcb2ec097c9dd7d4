//! The whole configuration, as one file and the environment give it. docs/configuration.md is
//! checked against it.

// Never iterated here: the environment comes as the standard library's map.
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use chat4all_api::ApiSettings;
use chat4all_connector_kit::ConnectorSettings;
use chat4all_process::{ConfigError, config};
use chat4all_router::RouterSettings;
use chat4all_service::settings::{LogSettings, PlatformSettings, TopicSettings};
use chat4all_simulator::SimulationSettings;
use chat4all_status_consumer::StatusConsumerSettings;
use serde::{Deserialize, Serialize};

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

impl Settings {
    /// Reads the defaults, the file (or `chat4all.toml`, if it is there) and the environment.
    ///
    /// # Errors
    /// The first key that is unknown, of the wrong type or out of its bounds.
    pub fn load(
        file: Option<&Path>,
        environment: HashMap<String, String>,
    ) -> Result<Self, ConfigError> {
        let defaults: Vec<&str> = REGISTRY.iter().map(|entry| entry.defaults).collect();
        config::load(&defaults, config::file_or_default(file), environment)
    }
}
