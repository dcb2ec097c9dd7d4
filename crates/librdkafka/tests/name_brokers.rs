//! On librdkafka's own mock of a cluster, in this process.

// A test fails by panicking.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use chat4all_librdkafka::name_brokers;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;

/// Only bounds a failure.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_client_without_a_broker_that_answers_finds_one_that_is_named_later() {
    let cluster = MockCluster::new(1).unwrap();
    let client: BaseConsumer = ClientConfig::new()
        // Nothing listens there.
        .set("bootstrap.servers", "127.0.0.1:1")
        .create()
        .unwrap();
    let ask = |limit| client.fetch_metadata(None, limit).map(|found| found.brokers().len());
    assert!(ask(Duration::from_millis(200)).is_err());
    assert!(name_brokers(client.client(), &cluster.bootstrap_servers()));
    assert_eq!(ask(PATIENCE), Ok(1));
    assert!(name_brokers(client.client(), &cluster.bootstrap_servers()), "known ones may be named");
    assert_eq!(ask(PATIENCE), Ok(1));
}

#[test]
fn what_names_no_broker_is_refused() {
    let client: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", "127.0.0.1:1").create().unwrap();
    assert!(!name_brokers(client.client(), ""));
    assert!(!name_brokers(client.client(), "a\0b"));
}
