//! docker-compose.yml and deploy/Dockerfile say what the code does: services, ports, variables,
//! topics, images, files. Whether the files are well-formed is checked by .ci/containers.

// Helpers of tests are tests, which clippy sees only in functions marked as such.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod files;
mod images;
mod variables;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;

use chat4all::settings::Settings;
use regex::Regex;

use crate::files::{Compose, read, root, services};

/// What is not ours.
const FOREIGN: [&str; 4] = ["cassandra", "grafana", "kafka", "prometheus"];

/// Where each service listens, and the key that says so.
fn listens() -> BTreeMap<String, (String, SocketAddr)> {
    let settings = Settings::load(None, HashMap::new()).unwrap();
    let mut listens: BTreeMap<String, (String, SocketAddr)> = [
        ("api", "api", settings.api.listen),
        ("router", "router", settings.router.listen),
        ("status-consumer", "status_consumer", settings.status_consumer.listen),
        ("simulator", "simulation.simulator", settings.simulation.simulator.listen),
    ]
    .map(|(service, section, listen)| (service.to_owned(), (format!("{section}.listen"), listen)))
    .into();
    for (platform, connector) in &settings.connectors {
        let key = format!("connectors.{platform}.listen");
        listens.insert(format!("connector-{platform}"), (key, connector.listen));
    }
    listens
}

fn variable(key: &str) -> String {
    format!("CHAT4ALL__{}", key.replace('.', "__").to_uppercase())
}

#[test]
fn every_service_has_an_entry_and_no_entry_is_without_one() {
    let compose = Compose::read();
    let ours: Vec<&str> = compose.ours().into_keys().collect();
    assert_eq!(ours, services());
    assert_eq!(ours, listens().keys().map(String::as_str).collect::<Vec<_>>());
    let all: BTreeSet<&str> = compose.services().into_keys().collect();
    assert_eq!(all, ours.into_iter().chain(FOREIGN).collect::<BTreeSet<_>>());
}

#[test]
fn a_service_is_reached_inside_on_every_address_and_from_outside_on_the_loopback_only() {
    let compose = Compose::read();
    for (name, (key, listen)) in listens() {
        let entry = compose.services()[name.as_str()];
        let port = listen.port();
        let inside = entry.environment().remove(&variable(&key)).flatten();
        assert_eq!(inside, Some(format!("0.0.0.0:{port}")), "{name}");
        assert_eq!(entry.list("ports").len(), 1, "{name}");
    }
    let published = Regex::new(r"^\$\{PUBLISH_ADDRESS:-127\.0\.0\.1\}:(\d+):(\d+)$").unwrap();
    for (name, entry) in compose.services() {
        for port in entry.list("ports") {
            let found = published.captures(&port).unwrap_or_else(|| panic!("{name}: {port}"));
            assert_eq!(found[1], found[2], "{name}");
            if let Some((_, listen)) = listens().get(name) {
                assert_eq!(found[1], listen.port().to_string(), "{name}");
            }
        }
    }
}

#[test]
fn prometheus_looks_for_the_services_where_they_are() {
    let scrape: serde_json::Value =
        serde_saphyr::from_str(&read("prometheus/prometheus.yml")).unwrap();
    let mut targets = BTreeSet::new();
    for job in scrape["scrape_configs"].as_array().unwrap() {
        for kind in ["static_configs", "dns_sd_configs"] {
            for group in job[kind].as_array().into_iter().flatten() {
                let names =
                    if kind == "static_configs" { &group["targets"] } else { &group["names"] };
                for name in names.as_array().unwrap() {
                    let name = name.as_str().unwrap();
                    let port = group["port"].as_u64().map(|port| format!(":{port}"));
                    targets.insert(format!("{name}{}", port.unwrap_or_default()));
                }
            }
        }
    }
    for (service, (_, listen)) in listens() {
        let target = format!("{service}:{}", listen.port());
        // The simulator tells what it did in its ledger.
        assert!(targets.contains(&target) || service == "simulator", "{target}: {targets:?}");
    }
}

#[test]
fn what_is_mounted_exists_and_what_is_declared_is_used() {
    let compose = Compose::read();
    let declared = |kind: &str| -> BTreeSet<String> {
        compose.0[kind].as_object().unwrap().keys().cloned().collect()
    };
    let mounts: Vec<String> =
        compose.services().values().flat_map(|entry| entry.mounts()).collect();
    let (paths, volumes): (BTreeSet<String>, BTreeSet<String>) =
        mounts.into_iter().partition(|source| source.starts_with('.'));
    assert_eq!(volumes, declared("volumes"));
    for path in paths {
        assert!(root().join(&path).is_dir(), "{path} is mounted and not there");
    }
    let configs = compose.0["configs"].as_object().unwrap();
    let file = configs["installation"]["file"].as_str().unwrap();
    assert!(configs.len() == 1 && root().join(file).is_file(), "{file}");
}

#[test]
fn everything_is_known_to_be_healthy_and_waits_for_what_it_needs() {
    let compose = Compose::read();
    let all = compose.services();
    for (name, entry) in &all {
        // Ours have theirs in their image: images.rs.
        let has_check = entry.0.get("healthcheck").is_some();
        assert_eq!(has_check, FOREIGN.contains(name), "{name}");
        let needs = entry.0["depends_on"].as_object().into_iter().flatten();
        for (other, how) in needs {
            assert!(all.contains_key(other.as_str()), "{name} needs {other}");
            assert_eq!(how["condition"], "service_healthy", "{name} needs {other}");
        }
    }
    let needs = |name: &str| -> Vec<String> {
        let needs = all[name].0["depends_on"].as_object();
        needs.into_iter().flat_map(|needs| needs.keys().cloned()).collect()
    };
    for name in services() {
        let has_store = ["api", "status-consumer"].contains(&name.as_str());
        let expected: &[&str] = match name.as_str() {
            "simulator" => &[],
            _ if has_store => &["cassandra", "kafka"],
            _ => &["kafka"],
        };
        let mut needs = needs(&name);
        needs.sort();
        assert_eq!(needs, expected, "{name}");
    }
}

#[test]
fn our_services_are_confined_and_have_time_to_drain() {
    for (name, entry) in Compose::read().ours() {
        assert_eq!(entry.0["read_only"], true, "{name}");
        assert_eq!(entry.list("cap_drop"), ["ALL"], "{name}");
        assert_eq!(entry.list("security_opt"), ["no-new-privileges:true"], "{name}");
        assert_eq!(entry.text("stop_grace_period"), "30s", "{name}");
        assert_eq!(entry.text("restart"), "unless-stopped", "{name}");
        // A folder that can be written is a volume of its own; only the simulator keeps anything.
        let writes = if name == "simulator" { vec!["simulator".to_owned()] } else { vec![] };
        assert_eq!(entry.mounts(), writes, "{name}");
    }
}
