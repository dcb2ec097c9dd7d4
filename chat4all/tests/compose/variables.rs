//! The variables: every one is a key, every secret comes from outside, no connector knows another
//! platform.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chat4all::installation::Installation;
use chat4all::settings::Settings;
use chat4all_process::config;
use regex::Regex;
use serde_json::Value;

use crate::files::{Compose, Entry, read};

/// What a variable's value is when nothing is set outside.
fn resolved(value: &str) -> String {
    let defaulted = Regex::new(r"\$\{[A-Z0-9_]+:-([^}]*)\}").unwrap();
    defaulted.replace_all(value, "$1").into_owned()
}

/// The variables that stand for keys, with `outside` over the defaults.
fn keys(entry: Entry<'_>, outside: &BTreeMap<String, String>) -> HashMap<String, String> {
    let ours = entry.environment().into_iter().filter(|(name, _)| name.starts_with("CHAT4ALL"));
    ours.filter_map(|(name, value)| {
        let value = outside.get(&name).cloned().or_else(|| Some(resolved(&value?)))?;
        Some((name, value))
    })
    .collect()
}

fn key(variable: &str) -> String {
    variable.trim_start_matches("CHAT4ALL__").to_lowercase().replace("__", ".")
}

/// The keys of the documentation, which chat4all/tests/docs.rs compares with the code.
fn documented() -> BTreeSet<String> {
    let row = Regex::new(r"(?m)^\| `([a-z_.<>]+)` \|").unwrap();
    let page = read("docs/configuration.md");
    row.captures_iter(&page).map(|found| found[1].to_owned()).collect()
}

/// Loads what one process can load: sections of servers that it never meets stay away. Their keys
/// are compared with the documentation, and .ci/containers asks the executables themselves.
fn accepted(variables: HashMap<String, String>) -> Result<(), String> {
    let is_elsewhere = |name: &str| {
        ["CHAT4ALL__KAFKA__", "CHAT4ALL__CASSANDRA__"].iter().any(|part| name.starts_with(part))
    };
    let (elsewhere, here): (HashMap<_, _>, HashMap<_, _>) =
        variables.into_iter().partition(|(name, _)| is_elsewhere(name));
    let documented = documented();
    if let Some(name) = elsewhere.keys().find(|name| !documented.contains(&key(name))) {
        return Err(format!("{name} is no documented key"));
    }
    let settings = Settings::load(None, here).map_err(|error| error.to_string())?;
    Installation::new(settings).map(drop).map_err(|error| error.to_string())
}

/// What deploy/env.example offers.
fn offered() -> BTreeMap<String, String> {
    let line = Regex::new(r"(?m)^#([A-Z0-9_]+)=(.*)$").unwrap();
    let example = read("deploy/env.example");
    line.captures_iter(&example).map(|found| (found[1].to_owned(), found[2].to_owned())).collect()
}

#[test]
fn every_variable_is_a_key_with_a_value_that_is_accepted() {
    for (name, entry) in Compose::read().ours() {
        assert_eq!(accepted(keys(entry, &BTreeMap::new())), Ok(()), "{name}");
    }
    for unknown in ["CHAT4ALL__API__COLOUR", "CHAT4ALL__KAFKA__COLOUR", "CHAT4ALL_API__LISTEN"] {
        assert!(accepted([(unknown.to_owned(), "1".to_owned())].into()).is_err(), "{unknown}");
    }
}

#[test]
fn a_platform_with_everything_from_the_example_is_accepted_as_a_real_one() {
    let outside: BTreeMap<String, String> = offered()
        .into_iter()
        .map(|(name, value)| (name, if value.is_empty() { "5511".to_owned() } else { value }))
        .collect();
    let compose = Compose::read();
    for (name, entry) in
        compose.ours().into_iter().filter(|(name, _)| name.starts_with("connector-"))
    {
        let variables = keys(entry, &outside);
        assert!(variables.values().any(|value| value == "false"), "{name} is still simulated");
        assert_eq!(accepted(variables), Ok(()), "{name}");
    }
}

#[test]
fn the_example_offers_exactly_what_is_taken_from_outside() {
    let text = read("docker-compose.yml");
    let named = Regex::new(r"\$\{([A-Z0-9_]+)[:}]").unwrap();
    let mut taken: BTreeSet<String> =
        named.captures_iter(&text).map(|found| found[1].to_owned()).collect();
    for entry in Compose::read().services().values() {
        let bare = entry.environment().into_iter().filter(|(_, value)| value.is_none());
        taken.extend(bare.map(|(name, _)| name));
    }
    assert_eq!(taken, offered().into_keys().collect());
    let ignored = read(".gitignore");
    assert!(ignored.lines().any(|line| line == "/.env"), "credentials could be committed");
}

#[test]
fn no_secret_has_a_value() {
    for (name, entry) in Compose::read().services() {
        for (variable, value) in entry.environment() {
            // What the simulator signs with guards nothing.
            let is_simulated = variable.starts_with("CHAT4ALL__SIMULATION__");
            if config::is_secret(&key(&variable)) && !is_simulated {
                assert_eq!(value, None, "{name}: {variable}");
            }
        }
    }
    let secrets = offered().into_iter().filter(|(name, _)| config::is_secret(&key(name)));
    assert!(secrets.map(|(_, value)| value).all(|value| value.is_empty()));
}

#[test]
fn everyone_finds_kafka_and_a_connector_its_own_topic_as_its_own_group() {
    let compose = Compose::read();
    let kafka = compose.services()["kafka"].environment()["KAFKA_ADVERTISED_LISTENERS"].clone();
    let kafka = kafka.unwrap().trim_start_matches("PLAINTEXT://").to_owned();
    for (name, entry) in compose.ours() {
        let environment = entry.environment();
        let of = |name: &str| environment.get(name).cloned().flatten();
        let servers = Some(kafka.clone()).filter(|_| name != "simulator");
        assert_eq!(of("KAFKA_BOOTSTRAP_SERVERS"), servers, "{name}");
        let platform = name.strip_prefix("connector-");
        let topic = platform.map(|platform| format!("{platform}-outbound"));
        let group = platform.map(|platform| format!("{platform}-connector-group"));
        assert_eq!((of("KAFKA_TOPIC"), of("KAFKA_GROUP_ID")), (topic, group), "{name}");
    }
}

#[test]
fn a_connector_knows_no_other_platform_and_others_know_no_credentials() {
    let platforms = |text: &str| {
        let all: BTreeSet<String> = chat4all::registry::REGISTRY
            .iter()
            .map(|entry| entry.name.to_owned())
            .filter(|name| text.to_lowercase().contains(name))
            .collect();
        all
    };
    for (name, entry) in Compose::read().ours() {
        for variable in entry.environment().into_keys() {
            if let Some(platform) = name.strip_prefix("connector-") {
                let named = platforms(&variable);
                assert!(named.iter().all(|other| other == platform), "{name}: {variable}");
            } else if name != "simulator" {
                assert!(!variable.contains("__CONNECTORS__"), "{name}: {variable}");
            }
        }
    }
}

#[test]
fn whether_a_platform_is_simulated_is_said_once_for_everyone() {
    let mut said: BTreeMap<String, BTreeSet<Option<String>>> = BTreeMap::new();
    for entry in Compose::read().ours().values() {
        for (variable, value) in entry.environment() {
            if variable.ends_with("__SIMULATED") {
                said.entry(variable).or_default().insert(value);
            }
        }
    }
    assert_eq!(said.len(), chat4all::registry::REGISTRY.len());
    for (variable, values) in said {
        let expected = BTreeSet::from([Some(format!("${{{variable}:-true}}"))]);
        assert_eq!(values, expected);
    }
}

#[test]
fn the_installation_file_says_of_a_platform_what_its_connector_says() {
    let file: Value = toml::from_str(&read("deploy/chat4all.toml")).unwrap();
    let settings = Settings::load(None, HashMap::new()).unwrap();
    let mut known = serde_json::to_value(settings.platforms).unwrap();
    for platform in known.as_object_mut().unwrap().values_mut() {
        // Said by whoever runs it, and by nobody else.
        assert_eq!(platform.as_object_mut().unwrap().remove("simulated"), Some(Value::Null));
    }
    assert_eq!(file["platforms"], known);
}

#[test]
fn the_installation_file_holds_no_secret_and_no_address() {
    let file: Value = toml::from_str(&read("deploy/chat4all.toml")).unwrap();
    let mut tables = vec![&file];
    while let Some(table) = tables.pop() {
        for (name, value) in table.as_object().into_iter().flatten() {
            assert!(!config::is_secret(name) && name != "listen" && name != "url", "{name}");
            tables.push(value);
        }
    }
}

#[test]
fn kafka_keeps_offsets_longer_than_records_and_creates_no_topic_by_itself() {
    let compose = Compose::read();
    let kafka = compose.services()["kafka"].environment();
    let value = |name: &str| kafka[name].clone().unwrap();
    let file: Value = toml::from_str(&read("deploy/chat4all.toml")).unwrap();
    let hours = file["topics"]["retention_hours"].as_u64().unwrap();
    let kept: u64 = value("KAFKA_OFFSETS_RETENTION_MINUTES").parse().unwrap();
    assert!(kept >= hours * 60, "{kept} minutes");
    assert_eq!(value("KAFKA_AUTO_CREATE_TOPICS_ENABLE"), "false");
    assert!(compose.services()["kafka"].list("ports").is_empty(), "nobody asks for a password");
}

#[test]
fn cassandra_acknowledges_what_is_on_its_disk() {
    let compose = Compose::read();
    let options = compose.services()["cassandra"].environment()["JVM_EXTRA_OPTS"].clone().unwrap();
    // Without the first of them the others are ignored.
    for option in [
        "-Dcassandra.config.allow_system_properties=true",
        "-Dcassandra.settings.commitlog_sync=batch",
        "-Dcassandra.settings.commitlog_sync_period=0ms",
    ] {
        assert!(options.split_whitespace().any(|found| found == option), "{option}");
    }
    assert!(compose.services()["cassandra"].list("ports").is_empty());
}
