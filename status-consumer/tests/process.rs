//! The executable, as far as it gets without a server.

use chat4all_service::conformance::Executable;

const STATUS_CONSUMER: Executable = Executable {
    path: env!("CARGO_BIN_EXE_chat4all-status-consumer"),
    name: "chat4all-status-consumer",
    file: "",
    listen_key: "status_consumer.listen",
};

chat4all_service::service_conformance!(STATUS_CONSUMER);

#[tokio::test]
async fn it_needs_no_platform_and_leaves_sections_of_others_alone() {
    let others = "[platforms.plain]\ncolour = 1\n[router]\ncolour = 1\n[api]\ncolour = 1\n";
    let checked = STATUS_CONSUMER.checked(others, &[]).await;
    assert_eq!(checked["group"], "chat4all-status-consumer");
    assert_eq!(checked["topics"]["receipts-dead-letters"], 2);
    let told = STATUS_CONSUMER.refused("[cassandra]\nkeyspace = 'No'\n", &[]).await;
    assert!(told.contains("cassandra.keyspace = No"), "{told}");
}
