//! The executable, as far as it gets without a server.

use chat4all_service::conformance::Executable;

const ROUTER: Executable = Executable {
    path: env!("CARGO_BIN_EXE_chat4all-router"),
    name: "chat4all-router",
    file: "[platforms.plain]\nrecipient_pattern = '^.+$'\nrecipient_rule = 'anything'\n\
           has_receipts = true\ndefault_account = 'a'\n\
           [platforms.plain.accounts.a]\npartition = 3\nper_second = 1\n",
    listen_key: "router.listen",
};

chat4all_service::service_conformance!(ROUTER);

#[tokio::test]
async fn without_any_platform_it_is_refused_and_says_what_to_add() {
    let told = ROUTER.refused("", &[]).await;
    assert!(
        told.contains("platforms must have a section") && told.contains("[platforms."),
        "{told}"
    );
}

#[tokio::test]
async fn it_knows_platforms_as_data_and_the_topics_that_it_needs() {
    let checked = ROUTER.checked(ROUTER.file, &[]).await;
    assert_eq!(checked["platforms"], serde_json::json!(["plain"]));
    assert_eq!(checked["topics"]["plain-outbound"], 4, "a partition up to its account's");
    assert!(checked["topics"].get("receipts").is_none(), "{checked}");
}

#[tokio::test]
async fn sections_of_others_are_left_alone_and_its_own_are_not() {
    let others = "[api]\ncolour = 1\n[connectors.plain]\ncolour = 1\n[cassandra]\ncolour = 1\n";
    ROUTER.checked(&format!("{}{others}", ROUTER.file), &[]).await;
    let told = ROUTER.refused(&format!("{}[router]\ncolour = 1\n", ROUTER.file), &[]).await;
    assert!(told.contains("router.colour = 1"), "{told}");
}
