//! The log over TLS with a password, on the real broker of `cargo xtask stack up`.

// Helpers of tests are tests, which clippy sees only in functions marked as such.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chat4all_contracts::EpochMs;
use chat4all_eventlog::kafka::{
    KafkaLog, KafkaSettings, SaslMechanism, SaslSettings, Security, TlsSettings,
};
use chat4all_eventlog::{
    Admission, Cleanup, EventLog, LogError, NewRecord, Patience, Placement, ProducerOptions,
    TopicPartition, TopicSpec, append,
};
use chat4all_process::Random;

/// What `cargo xtask stack test` says about its broker.
fn told(name: &str) -> String {
    let name = format!("CHAT4ALL_STACK_{name}");
    std::env::var(&name).unwrap_or_else(|_| panic!("{name}: run this by cargo xtask stack test"))
}

fn log(password: &str) -> Arc<KafkaLog> {
    let settings = KafkaSettings {
        bootstrap_servers: told("KAFKA_TLS"),
        security: Security::TlsSasl,
        tls: TlsSettings { ca_file: Some(PathBuf::from(told("CA"))), ..TlsSettings::default() },
        sasl: SaslSettings {
            mechanism: SaslMechanism::Plain,
            username: Some(told("KAFKA_USER")),
            password: Some(password.to_owned().into()),
        },
        ..KafkaSettings::default()
    };
    KafkaLog::new(&settings, "test", 1 << 20).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_goes_over_tls_with_a_password() {
    let log = log(&told("KAFKA_PASSWORD"));
    let topic = format!("test-tls-{:016x}", Random::system().next_u64());
    let (placement, retention) = (Placement::ByKey, Duration::from_secs(3600));
    let spec = TopicSpec {
        name: topic.clone(),
        partitions: 1,
        placement,
        retention,
        cleanup: Cleanup::Delete,
    };
    log.ensure_topics(vec![spec]).await.unwrap();
    let patience = Patience::GiveUpAfter(Duration::from_secs(30));
    let producer = log.producer(ProducerOptions { patience, admission: Admission::Progress });
    let at = TopicPartition::new(&topic, 0);
    let record = NewRecord {
        to: at.clone(),
        key: Bytes::new(),
        value: Bytes::from_static(b"secret on the wire"),
        headers: Vec::new(),
        timestamp: EpochMs::saturating(1_700_000_000_000),
    };
    append(&*producer, record).await.unwrap();
    let read = log.read(&at, 0, 10).await.unwrap();
    assert_eq!(&read[0].value[..], b"secret on the wire");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_refused() {
    let refused = log("wrong").check().await;
    assert!(matches!(refused, Err(LogError::Unavailable(_))), "{refused:?}");
}
