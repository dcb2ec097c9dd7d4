//! Starting and stopping.
#![allow(clippy::unwrap_used)] // helpers of tests

mod common;

use std::sync::Arc;

use chat4all_contracts::EpochMs;
use chat4all_process::http_client::HttpClient;
use chat4all_process::{Clock, Random, Shutdown, serve};
use chat4all_simulator::{OpenError, Settings, Simulator, serve_process};
use chat4all_sqlite::{Database, DbError};
use serde_json::json;

async fn start(settings: Settings, file: &std::path::Path) -> Option<(String, String)> {
    let shutdown = Shutdown::new();
    // A simulator that starts stops at once.
    shutdown.trigger();
    let ended = serve_process(settings, file, "simulator", "data", || {}, shutdown).await;
    ended.err().map(|error| (error.key, error.rule))
}

#[tokio::test]
async fn what_does_not_allow_a_start_is_named_by_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("simulator.db");
    let free = || common::settings(json!({"listen": "127.0.0.1:0"}));
    let taken = serve::bind("test", "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let mut settings = free();
    settings.listen = taken.local_addr().unwrap();
    assert_eq!(start(settings, &file).await.unwrap().0, "simulator.listen");
    assert!(!file.exists(), "nothing is written before the port is bound");

    let contradiction = common::settings(json!({"latency_min_ms": 301}));
    assert_eq!(start(contradiction, &file).await.unwrap().0, "simulator.latency_max_ms");

    std::fs::write(&file, "no database, and longer than a header of one hundred bytes ".repeat(9))
        .unwrap();
    assert_eq!(start(free(), &file).await.unwrap().0, "data");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(start(free(), &file).await, None);
}

#[tokio::test]
async fn a_ledger_of_another_version_is_not_touched() {
    let database = Database::in_memory(&Simulator::database_options()).unwrap();
    let change = |tx: &chat4all_sqlite::rusqlite::Transaction<'_>| {
        tx.execute("UPDATE schema_version SET version = 2", []).map_err(DbError::from)
    };
    database.write(change).await.unwrap();
    let http = Arc::new(HttpClient::over_tcp());
    let clock = Clock::simulated(EpochMs::saturating(0));
    let opened = Simulator::open(Settings::default(), database, http, clock, Random::seeded(1));
    assert_eq!(opened.await.err(), Some(OpenError::Version(2)));
}
