//! What each executable is built from: a newcomer's first build needs no Kafka and no Cassandra
//! client, and a connector neither another platform nor a store.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use std::collections::BTreeSet;
use std::process::Command;

use chat4all::registry::REGISTRY;

/// The packages that an executable links.
fn linked(package: &str) -> BTreeSet<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none"]);
    cargo.args(["--format", "{lib}", "--package", package]);
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect()
}

#[test]
fn everything_in_one_process_needs_no_client_of_kafka_or_cassandra() {
    let linked = linked("chat4all");
    assert!(linked.contains("chat4all_router") && linked.contains("rusqlite"), "{linked:?}");
    for library in ["rdkafka", "rdkafka_sys", "scylla"] {
        assert!(!linked.contains(library), "{library}");
    }
}

#[test]
fn a_connector_links_no_other_platform_and_no_store() {
    for entry in REGISTRY {
        let linked = linked(&format!("chat4all-connector-{}", entry.name));
        assert!(linked.contains("chat4all_connector_kit") && linked.contains("rdkafka"));
        let others = REGISTRY.iter().filter(|other| other.name != entry.name);
        let others = others.map(|other| format!("chat4all_connector_{}", other.name));
        let store = ["chat4all_store", "scylla"].map(str::to_owned);
        for library in others.chain(store) {
            assert!(!linked.contains(&library), "{}: {library}", entry.name);
        }
    }
}

#[test]
fn the_router_links_no_store_and_the_simulator_nothing_of_the_services() {
    let router = linked("chat4all-router");
    assert!(!router.contains("chat4all_store") && !router.contains("scylla"));
    let simulator = linked("chat4all-simulator");
    for library in ["chat4all_connector_kit", "chat4all_eventlog", "chat4all_service", "rdkafka"] {
        assert!(!simulator.contains(library), "{library}");
    }
}
