//! TLS, as the stack's server offers it.

use std::path::PathBuf;

use chat4all_process::{Clock, Random};
use chat4all_store::MessageStore;
use chat4all_store::cassandra::{CassandraSettings, CassandraStore, CassandraTls, ConnectError};

use crate::server::{KEYSPACE, connect, open, settings};

/// The authority that signed the server's certificate.
fn authority() -> PathBuf {
    let usual = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.stack/certificates/ca.pem");
    std::env::var_os("CHAT4ALL_STACK_CA").map_or_else(|| usual.into(), Into::into)
}

fn over_tls(ca_file: PathBuf, server_name: Option<&str>) -> CassandraSettings {
    let server_name = server_name.map(str::to_owned);
    let tls =
        CassandraTls { enabled: true, ca_file: Some(ca_file), server_name, ..Default::default() };
    CassandraSettings { tls, ..settings(KEYSPACE) }
}

#[tokio::test]
async fn the_store_is_reached_over_tls() {
    drop(connect().await);
    for server_name in [None, Some("localhost")] {
        let store = open(&over_tls(authority(), server_name)).await;
        store.check().await.unwrap();
    }
}

#[tokio::test]
async fn a_certificate_of_another_name_is_wrong_configuration() {
    let settings = over_tls(authority(), Some("cassandra.example"));
    let connected = CassandraStore::connect(&settings, Clock::system(), Random::system()).await;
    match connected {
        Err(ConnectError::Configuration(error)) => assert_eq!(error.key, "cassandra.tls"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("connected"),
    }
}
