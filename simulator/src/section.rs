//! `[simulation]`: the simulator, and what its callers must know of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use chat4all_process::health::reachable;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::platform::REGISTRY;
use crate::settings::{Settings, Webhook};

/// `[simulation]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimulationSettings {
    /// The address of a simulator that runs elsewhere; absent = where `simulator` listens.
    pub url: Option<String>,
    /// What the simulator takes as a token and signs webhooks with. It guards nothing real.
    pub shared_secret: String,
    /// The simulator's own settings.
    pub simulator: Settings,
}

impl Default for SimulationSettings {
    fn default() -> Self {
        Self { url: None, shared_secret: "simulated".to_owned(), simulator: Settings::default() }
    }
}

impl SimulationSettings {
    /// Where the simulator is, or will be.
    pub fn address(&self) -> String {
        match &self.url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.simulator.listen),
        }
    }

    /// The simulator's settings, with a webhook for each platform whose connector listens
    /// somewhere, unless another one is configured. Connectors of platforms that are not
    /// simulated are nobody's receivers here.
    pub fn for_connectors(&self, listening: &BTreeMap<String, SocketAddr>) -> Settings {
        let mut settings = self.simulator.clone();
        for (name, listen) in listening {
            if REGISTRY.iter().any(|platform| platform.name() == name) {
                settings.webhooks.entry(name.clone()).or_insert_with(|| self.webhook(*listen));
            }
        }
        settings
    }

    fn webhook(&self, listen: SocketAddr) -> Webhook {
        Webhook {
            url: format!("http://{}/webhook", reachable(listen)),
            app_secret: SecretString::from(self.shared_secret.clone()),
            accounts: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_go_to_the_connectors_unless_another_address_is_configured() {
        let name = REGISTRY[0].name().to_owned();
        let listening = |address: &str| {
            let known = (name.clone(), address.parse().unwrap());
            [known, ("pigeon".to_owned(), "127.0.0.1:1".parse().unwrap())].into()
        };
        let mut section = SimulationSettings::default();
        let settings = section.for_connectors(&listening("0.0.0.0:8083"));
        let urls: Vec<&str> = settings.webhooks.values().map(|hook| hook.url.as_str()).collect();
        assert_eq!(urls, ["http://127.0.0.1:8083/webhook"]);
        let elsewhere =
            Webhook { url: "http://a/b".to_owned(), ..settings.webhooks[&name].clone() };
        section.simulator.webhooks.insert(name.clone(), elsewhere);
        let settings = section.for_connectors(&listening("127.0.0.1:9"));
        assert_eq!(settings.webhooks[&name].url, "http://a/b");
    }

    #[test]
    fn its_address_is_where_it_listens_unless_it_runs_elsewhere() {
        let mut section = SimulationSettings::default();
        assert_eq!(section.address(), "http://127.0.0.1:8090");
        section.url = Some("http://sim:1/".to_owned());
        assert_eq!(section.address(), "http://sim:1");
    }
}
