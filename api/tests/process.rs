//! The executable, as far as it gets without a server.

use chat4all_service::conformance::Executable;

const API: Executable = Executable {
    path: env!("CARGO_BIN_EXE_chat4all-api"),
    name: "chat4all-api",
    file: "[platforms.plain]\nrecipient_pattern = '^.+$'\nrecipient_rule = 'anything'\n\
           has_receipts = true\nsimulated = true\ndefault_account = 'a'\n\
           [platforms.plain.accounts.a]\npartition = 3\nper_second = 1\n",
    listen_key: "api.listen",
};

chat4all_service::service_conformance!(API);

#[tokio::test]
async fn without_any_platform_it_is_refused_and_says_what_to_add() {
    let told = API.refused("", &[]).await;
    assert!(
        told.contains("platforms must have a section") && told.contains("[platforms."),
        "{told}"
    );
}

#[tokio::test]
async fn it_knows_platforms_as_data_and_which_are_simulated() {
    let checked = API.checked(API.file, &[]).await;
    assert_eq!(checked["platforms"], serde_json::json!(["plain"]));
    assert_eq!(checked["simulated"], serde_json::json!(["plain"]));
    assert_eq!(checked["topics"], serde_json::json!({"messages": 4, "accounts": 1}));
    let real = API.file.replace("simulated = true", "simulated = false");
    assert_eq!(API.checked(&real, &[]).await["simulated"], serde_json::json!([]));
}

#[tokio::test]
async fn the_store_is_checked_with_everything_else() {
    let others = "[router]\ncolour = 1\n[connectors.plain]\ncolour = 1\n";
    let file = format!("{}{others}[cassandra]\ncontact_points = ['a:1', 'b:2']\n", API.file);
    assert_eq!(API.checked(&file, &[]).await["store"], serde_json::json!(["a:1", "b:2"]));
    let told = API.refused(&format!("{}[cassandra]\ncontact_points = 'a'\n", API.file), &[]).await;
    assert!(told.contains("cassandra.contact_points = a"), "{told}");
    let secret = "[cassandra]\nusername = 'u'\npassword = ['XSECRETX']\n";
    let told = API.refused(&format!("{}{secret}", API.file), &[]).await;
    assert!(told.contains("cassandra.password must be a string"), "{told}");
    assert!(!told.contains("XSECRETX"), "{told}");
}
