//! A configuration that has been checked as a whole: platforms, accounts and credentials fit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chat4all_connector_kit::KitSettings;
use chat4all_connector_kit::platform::{Platform, SimulatedBy};
use chat4all_contracts::{AccountName, AccountSpec, PlatformName, PlatformSpec, Platforms};
use chat4all_eventlog::Topology;
use chat4all_process::ConfigError;
use regex::Regex;
use secrecy::SecretString;

use crate::registry::REGISTRY;
use crate::settings::{ConnectorSettings, PlatformSettings, Settings, TopicSettings};

/// A platform that this process serves.
pub struct Served {
    /// Its code.
    pub platform: Arc<dyn Platform>,
    /// It as data.
    pub spec: Arc<PlatformSpec>,
    /// The pace of its accounts.
    pub per_second: BTreeMap<AccountName, u32>,
    /// Its connector's policy.
    pub policy: KitSettings,
    /// Where its connector listens.
    pub listen: std::net::SocketAddr,
}

/// See the module.
pub struct Installation {
    /// The settings it was made from.
    pub settings: Settings,
    /// All platforms, as data.
    pub platforms: Arc<Platforms>,
    /// The platforms served here.
    pub served: BTreeMap<PlatformName, Served>,
    /// Those of them for which the simulator stands in.
    pub simulated: BTreeSet<PlatformName>,
    /// Partition counts and retention.
    pub topology: Topology,
    /// Remarks for the operator: allowed, and probably not meant.
    pub warnings: Vec<String>,
}

impl Installation {
    /// Checks the settings as a whole.
    ///
    /// # Errors
    /// The first contradiction, with the key to mend.
    pub fn new(settings: Settings) -> Result<Self, ConfigError> {
        let simulator = SimulatedBy {
            url: settings.simulator_url(),
            secret: SecretString::from(settings.simulation.shared_secret.clone()),
        };
        let mut installation = Self {
            platforms: Arc::default(),
            served: BTreeMap::new(),
            simulated: BTreeSet::new(),
            topology: topology(&settings.topics),
            warnings: Vec::new(),
            settings,
        };
        let mut platforms = Platforms::default();
        for (key, platform) in &installation.settings.platforms {
            let name = name(&format!("platforms.{key}"), key)?;
            let spec = platform_spec(key, platform)?;
            installation.warnings.extend(shared_partitions(key, &spec));
            platforms.0.insert(name, spec);
        }
        for (key, connector) in &installation.settings.connectors {
            let name = name(&format!("connectors.{key}"), key)?;
            let (served, simulated) =
                serve(&name, key, connector, &installation.settings, &platforms, &simulator)?;
            installation.served.insert(name.clone(), served);
            if simulated {
                installation.simulated.insert(name);
            }
        }
        check_dedupe(&installation.settings)?;
        installation.platforms = Arc::new(platforms);
        Ok(installation)
    }
}

impl Settings {
    /// Where the simulator is, or will be.
    pub fn simulator_url(&self) -> String {
        match &self.simulation.url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.simulation.simulator.listen),
        }
    }
}

fn topology(topics: &TopicSettings) -> Topology {
    Topology {
        messages: topics.messages_partitions.get() as u32,
        status_updates: topics.status_updates_partitions.get() as u32,
        receipts: topics.receipts_partitions.get() as u32,
        inbound: topics.inbound_partitions.get() as u32,
        retention: Duration::from_secs(topics.retention_hours.get() * 3600),
    }
}

fn name(key: &str, text: &str) -> Result<PlatformName, ConfigError> {
    PlatformName::new(text)
        .map_err(|rule| ConfigError::of(key, text, rule.to_string(), "rename the platform"))
}

fn platform_spec(key: &str, settings: &PlatformSettings) -> Result<PlatformSpec, ConfigError> {
    let key = |name: &str| format!("platforms.{key}.{name}");
    let pattern = &settings.recipient_pattern;
    let recipient = Regex::new(pattern).map_err(|_| {
        let rule = "must be a regular expression".to_owned();
        ConfigError::of(&key("recipient_pattern"), pattern, rule, "correct its syntax")
    })?;
    if !pattern.starts_with('^') || !pattern.ends_with('$') {
        let rule = "must match the whole address".to_owned();
        let fix = "begin it with ^ and end it with $";
        return Err(ConfigError::of(&key("recipient_pattern"), pattern, rule, fix));
    }
    let mut accounts = BTreeMap::new();
    for (text, account) in &settings.accounts {
        let name = AccountName::new(text).map_err(|rule| {
            let key = key(&format!("accounts.{text}"));
            ConfigError::of(&key, text, rule.to_string(), "rename the account")
        })?;
        accounts.insert(name, AccountSpec { partition: account.partition.get() as u32 });
    }
    let default_account = AccountName::new(&settings.default_account)
        .ok()
        .filter(|name| accounts.contains_key(name))
        .ok_or_else(|| {
            let rule = "must name one of the platform's accounts".to_owned();
            let fix = "add the account, or name another";
            ConfigError::of(&key("default_account"), &settings.default_account, rule, fix)
        })?;
    Ok(PlatformSpec {
        recipient,
        recipient_rule: settings.recipient_rule.clone(),
        has_receipts: settings.has_receipts,
        accounts,
        default_account,
    })
}

fn shared_partitions(key: &str, spec: &PlatformSpec) -> Option<String> {
    let mut seen = BTreeSet::new();
    let shared = spec.accounts.values().find(|account| !seen.insert(account.partition))?;
    Some(format!(
        "platforms.{key}: several accounts share partition {}, so one that is slow holds up the \
         others; give each a partition of its own",
        shared.partition
    ))
}

fn serve(
    name: &PlatformName,
    key: &str,
    connector: &ConnectorSettings,
    settings: &Settings,
    platforms: &Platforms,
    simulator: &SimulatedBy,
) -> Result<(Served, bool), ConfigError> {
    let refuse = |rule: &str, fix: &str| {
        ConfigError::missing(&format!("connectors.{key}"), rule.to_owned(), fix)
    };
    let entry = REGISTRY.iter().find(|entry| entry.name == key).ok_or_else(|| {
        refuse("is no platform of this program", "remove the section, or correct its name")
    })?;
    let (spec, data) = platforms
        .get(key)
        .map(|(_, spec)| spec)
        .zip(settings.platforms.get(key))
        .ok_or_else(|| refuse("has no platform entry", &format!("add [platforms.{key}]")))?;
    let built = (entry.build)(name, spec, &connector.api, simulator)?;
    let per_second = data.accounts.iter().filter_map(|(account, settings)| {
        Some((AccountName::new(account).ok()?, settings.per_second.get() as u32))
    });
    let served = Served {
        platform: built.platform,
        spec: Arc::new(spec.clone()),
        per_second: per_second.collect(),
        policy: connector.policy.clone(),
        listen: connector.listen,
    };
    Ok((served, built.simulated))
}

/// A router that dies repeats up to `max_in_hand` appends; the window must recognise them.
fn check_dedupe(settings: &Settings) -> Result<(), ConfigError> {
    let needed = settings.router.max_in_hand.get() * 2;
    for (key, connector) in &settings.connectors {
        let window = connector.policy.dedupe_window.get();
        if window < needed {
            return Err(ConfigError::of(
                &format!("connectors.{key}.policy.dedupe_window"),
                window,
                format!("must be at least twice router.max_in_hand, which makes {needed}"),
                "raise it, or lower router.max_in_hand",
            ));
        }
    }
    Ok(())
}
