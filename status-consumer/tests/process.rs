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
async fn it_reads_the_dead_letters_of_its_platforms_and_leaves_sections_of_others_alone() {
    let others = "[router]\ncolour = 1\n[api]\ncolour = 1\n";
    let checked = STATUS_CONSUMER.checked(others, &[]).await;
    assert_eq!(checked["group"], "chat4all-status-consumer");
    assert_eq!(checked["topics"]["receipts-dead-letters"], 2);
    assert!(checked["topics"]["plain-outbound-dead-letters"].is_null());
    let platform = "[platforms.plain]\nrecipient_pattern = '^x$'\nrecipient_rule = 'an x'\n\
                    has_receipts = true\ndefault_account = 'a'\n\
                    [platforms.plain.accounts.a]\npartition = 1\nper_second = 5\n";
    let checked = STATUS_CONSUMER.checked(platform, &[]).await;
    assert_eq!(checked["topics"]["plain-outbound-dead-letters"], 2);
    assert!(checked["topics"]["plain-outbound"].is_null());
    let told = STATUS_CONSUMER.refused("[cassandra]\nkeyspace = 'No'\n", &[]).await;
    assert!(told.contains("cassandra.keyspace = No"), "{told}");
}
