//! A configuration that has been checked as a whole: platforms, accounts and credentials fit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chat4all_connector_kit::platform::{Platform, SimulatedBy};
use chat4all_connector_kit::{ConnectorSettings, KitSettings, Source};
use chat4all_contracts::{AccountName, PlatformName, PlatformSpec, Platforms};
use chat4all_eventlog::Topology;
use chat4all_process::ConfigError;
use chat4all_process::descriptors::CallBudget;
use chat4all_service::platforms;
use secrecy::SecretString;

use crate::registry::REGISTRY;
use crate::settings::Settings;

/// A platform that this process serves.
pub struct Served {
    /// Its code.
    pub platform: Arc<dyn Platform>,
    /// It as data.
    pub spec: Arc<PlatformSpec>,
    /// The pace of its accounts.
    pub per_second: BTreeMap<AccountName, u32>,
    /// What its connector delivers from.
    pub source: Source,
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
            url: settings.simulation.address(),
            secret: SecretString::from(settings.simulation.shared_secret.clone()),
        };
        let checked = platforms::check(&settings.platforms)?;
        let (mut served, mut simulated) = (BTreeMap::new(), BTreeSet::new());
        for (key, connector) in &settings.connectors {
            let name = platforms::name(&format!("connectors.{key}"), key)?;
            let (one, is_simulated) =
                serve(&name, key, connector, &settings, &checked.platforms, &simulator)?;
            served.insert(name.clone(), one);
            if is_simulated {
                simulated.insert(name);
            }
        }
        Ok(Self {
            platforms: Arc::new(checked.platforms),
            served,
            simulated,
            topology: settings.topics.topology(),
            warnings: checked.warnings,
            settings,
        })
    }

    /// What the limit of open files must allow: the calls of every connector.
    pub fn call_budget(&self) -> CallBudget {
        let budgets: Vec<CallBudget> = self
            .served
            .iter()
            .map(|(name, served)| {
                let accounts = served.spec.accounts.len();
                served.policy.call_budget(&format!("connectors.{name}"), accounts)
            })
            .collect();
        let keys: Vec<&str> = budgets.iter().map(|budget| budget.keys.as_str()).collect();
        let calls = budgets.iter().fold(0, |sum: u64, budget| sum.saturating_add(budget.calls));
        CallBudget { calls, keys: keys.join(" or ") }
    }
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
    platforms::check_simulated(key, data, built.simulated)?;
    let key = format!("connectors.{key}");
    connector.policy.check_dedupe(&key, settings.router.max_in_hand.get())?;
    let source = connector.source(&key, name)?;
    refuse_another_topic(&key, name, &source)?;
    let served = Served {
        platform: built.platform,
        spec: Arc::new(spec.clone()),
        per_second: platforms::per_second(data),
        source,
        policy: connector.policy.clone(),
        listen: connector.listen,
    };
    Ok((served, built.simulated))
}

/// Here the router writes to one topic for each platform, and nobody else does.
fn refuse_another_topic(
    key: &str,
    name: &PlatformName,
    source: &Source,
) -> Result<(), ConfigError> {
    let written = Source::of(name).topic;
    if source.topic == written {
        return Ok(());
    }
    Err(ConfigError::of(
        &format!("{key}.topic"),
        &source.topic,
        format!("must be {written}, where the router of this process writes"),
        "remove it, or run the connector as a process of its own",
    ))
}
