//! Starting: the schema, and what cannot be started with.

use std::sync::Arc;

use chat4all_process::{Clock, ConfigError, Random};
use chat4all_store::cassandra::{CassandraSettings, CassandraStore, ClaimScope, ConnectError};
use chat4all_store::{MessageStore, Tenant};
use futures::future::join_all;

use crate::outage::message;
use crate::server::{KEYSPACE, connect, drop_keyspace, open, operator, settings, unique};

async fn refused(settings: &CassandraSettings) -> ConfigError {
    match CassandraStore::connect(settings, Clock::system(), Random::system()).await {
        Err(ConnectError::Configuration(error)) => error,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("connected"),
    }
}

async fn run(cql: &str) {
    operator().await.query_unpaged(cql, ()).await.unwrap();
}

async fn use_it(store: &Arc<CassandraStore>) {
    let (tenant, message) = (Tenant::default(), message("m"));
    store.put_message(&tenant, &message).await.unwrap();
    let page = store.page(&tenant, &message.conversation_id, None, 5).await.unwrap();
    assert_eq!(page.messages.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_programs_that_start_at_once_share_one_schema() {
    let keyspace = unique();
    let settings = settings(&keyspace);
    let stores = join_all((0..8).map(|_| open(&settings))).await;
    for store in &stores {
        use_it(store).await;
    }
    drop_keyspace(&keyspace).await;
}

/// The holder of the lease died after it had created some tables. Then nobody waits for long.
#[tokio::test]
async fn a_step_that_was_cut_off_is_finished_by_the_next_one() {
    let keyspace = unique();
    let settings = settings(&keyspace);
    drop(open(&settings).await);
    run(&format!("DROP TABLE {keyspace}.claims")).await;
    run(&format!("DROP TABLE {keyspace}.message_ref")).await;
    run(&format!("DELETE FROM {keyspace}.schema_steps WHERE part = 'step'")).await;
    run(&format!(
        "INSERT INTO {keyspace}.schema_steps (part, number, holder) VALUES ('lease', 0, 1) \
         IF NOT EXISTS USING TTL 2"
    ))
    .await;
    use_it(&open(&settings).await).await;
    drop_keyspace(&keyspace).await;
}

#[tokio::test]
async fn a_later_schema_is_refused_if_it_needs_a_later_program() {
    let keyspace = unique();
    let settings = settings(&keyspace);
    drop(open(&settings).await);
    let later = |oldest_program: i32| {
        format!(
            "INSERT INTO {keyspace}.schema_steps (part, number, name, oldest_program) \
             VALUES ('step', 1000, 'of a later release', {oldest_program})"
        )
    };
    run(&later(1)).await;
    use_it(&open(&settings).await).await;
    run(&later(1_000)).await;
    let error = refused(&settings).await;
    assert_eq!((error.key.as_str(), error.value), ("cassandra.keyspace", Some(keyspace.clone())));
    assert!(error.rule.contains("needs a program that knows step 1000"), "{}", error.rule);
    drop_keyspace(&keyspace).await;
}

#[tokio::test]
async fn a_keyspace_that_is_there_keeps_its_replication() {
    let keyspace = unique();
    let replication = "{'class': 'NetworkTopologyStrategy', 'datacenter1': '1'}";
    run(&format!("CREATE KEYSPACE {keyspace} WITH replication = {replication}")).await;
    let settings = settings(&keyspace);
    use_it(&open(&settings).await).await;
    let select = format!(
        "SELECT replication['datacenter1'] FROM system_schema.keyspaces \
         WHERE keyspace_name = '{keyspace}'"
    );
    let rows = operator().await.query_unpaged(select, ()).await.unwrap();
    let (factor,) = rows.into_rows_result().unwrap().first_row::<(String,)>().unwrap();
    assert_eq!(factor, "1");
    drop_keyspace(&keyspace).await;
}

#[tokio::test]
async fn what_the_cluster_does_not_have_is_wrong_configuration() {
    let mut elsewhere = settings(KEYSPACE);
    elsewhere.local_datacenter = Some("atlantis".to_owned());
    let error = refused(&elsewhere).await;
    assert_eq!(error.key, "cassandra.local_datacenter");
    assert!(error.rule.contains("datacenter1"), "{}", error.rule);

    let mut replicated = settings(&unique());
    let factor = replicated.replication_factor;
    replicated.data_centers = [("atlantis".to_owned(), factor)].into();
    assert_eq!(refused(&replicated).await.key, "cassandra");
}

#[tokio::test]
async fn the_keyspace_of_another_program_is_refused() {
    let keyspace = unique();
    let replication = "{'class': 'SimpleStrategy', 'replication_factor': '1'}";
    run(&format!("CREATE KEYSPACE {keyspace} WITH replication = {replication}")).await;
    run(&format!("CREATE TABLE {keyspace}.schema_steps (version int PRIMARY KEY)")).await;
    assert_eq!(refused(&settings(&keyspace)).await.key, "cassandra");
    drop_keyspace(&keyspace).await;
}

#[tokio::test]
async fn a_named_data_center_and_the_whole_clusters_claims_work() {
    drop(connect().await);
    let mut settings = settings(KEYSPACE);
    settings.local_datacenter = Some("datacenter1".to_owned());
    settings.claims = ClaimScope::Cluster;
    open(&settings).await.check().await.unwrap();
}
