//! How the one process reads a file that services as processes of their own read, too.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use std::collections::HashMap;

use chat4all::installation::Installation;
use chat4all::settings::Settings;
use chat4all_connector_kit::ASSUMED_ROUTER_MAX_IN_HAND;
use chat4all_process::ConfigError;
use chat4all_process::config::part;

fn load(variables: &[(&str, &str)]) -> Result<Installation, ConfigError> {
    let variable = |(key, value): &(&str, &str)| (format!("CHAT4ALL__{key}"), (*value).to_owned());
    let environment: HashMap<String, String> = variables.iter().map(variable).collect();
    Installation::new(Settings::load(None, environment)?)
}

fn refused(variables: &[(&str, &str)]) -> ConfigError {
    match load(variables) {
        Ok(_) => panic!("{variables:?} was accepted"),
        Err(error) => error,
    }
}

const TOKEN: [(&str, &str); 4] = [
    ("CONNECTORS__WHATSAPP__API__APP_SECRET", "s"),
    ("CONNECTORS__WHATSAPP__API__VERIFY_TOKEN", "v"),
    ("CONNECTORS__WHATSAPP__API__ACCOUNTS__DEFAULT__ID", "1"),
    ("CONNECTORS__WHATSAPP__API__ACCOUNTS__DEFAULT__ACCESS_TOKEN", "t"),
];

#[test]
fn its_sections_are_sections_of_an_installation() {
    let settings = load(&[]).unwrap().settings;
    let document = serde_json::to_value(settings).unwrap();
    for section in document.as_object().unwrap().keys() {
        assert!(part::SECTIONS.contains(&section.as_str()), "{section}");
    }
}

#[test]
fn brokers_and_databases_are_not_its_business() {
    for (name, key) in [("KAFKA__BOOTSTRAP_SERVERS", "kafka"), ("CASSANDRA__KEYSPACE", "cassandra")]
    {
        let error = refused(&[(name, "a:1")]);
        assert_eq!((error.key.as_str(), error.rule.as_str()), (key, "is not a known key"));
    }
}

#[test]
fn a_connector_delivers_what_the_router_beside_it_writes() {
    let error = refused(&[("CONNECTORS__WHATSAPP__TOPIC", "canary")]);
    assert_eq!(error.key, "connectors.whatsapp.topic");
    let by_name = load(&[("CONNECTORS__WHATSAPP__TOPIC", "whatsapp-outbound")]).unwrap();
    assert_eq!(by_name.served.values().last().unwrap().source.topic, "whatsapp-outbound");
}

#[test]
fn without_credentials_a_platform_is_simulated_unless_that_is_denied() {
    let simulated = ("PLATFORMS__WHATSAPP__SIMULATED", "true");
    assert_eq!(load(&[]).unwrap().simulated, load(&[simulated]).unwrap().simulated);
    let denied = refused(&[("PLATFORMS__WHATSAPP__SIMULATED", "false")]);
    assert_eq!(denied.key, "platforms.whatsapp.simulated");
    assert_eq!(load(&TOKEN).unwrap().simulated.len(), 1);
    let both: Vec<_> = TOKEN.into_iter().chain([simulated]).collect();
    assert_eq!(refused(&both).key, "platforms.whatsapp.simulated");
}

#[test]
fn a_connector_assumes_of_a_router_what_is_its_default() {
    let settings = load(&[]).unwrap().settings;
    assert_eq!(settings.router.max_in_hand.get(), ASSUMED_ROUTER_MAX_IN_HAND);
}
