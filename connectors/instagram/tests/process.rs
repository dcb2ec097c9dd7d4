//! The executable, as far as it gets without a server.

use chat4all_service::conformance::Executable;

const CONNECTOR: Executable = Executable {
    path: env!("CARGO_BIN_EXE_chat4all-connector-instagram"),
    name: "chat4all-connector-instagram",
    file: "[platforms.instagram]\nsimulated = true\n",
    listen_key: "connectors.instagram.listen",
};

chat4all_service::service_conformance!(CONNECTOR);

const CREDENTIALS: &str = "
[connectors.instagram.api]
app_secret = 'XSECRETX'
verify_token = 'v'
[connectors.instagram.api.accounts.default]
id = '1'
access_token = 'XSECRETX'
";

#[tokio::test]
async fn it_is_simulated_only_if_that_is_said() {
    let told = CONNECTOR.refused("", &[]).await;
    let key = "connectors.instagram.api.accounts.default.access_token is required";
    assert!(told.contains(key) && told.contains("platforms.instagram.simulated = true"), "{told}");
    assert_eq!(CONNECTOR.checked(CONNECTOR.file, &[]).await["simulated"], true);
    assert_eq!(CONNECTOR.checked(CREDENTIALS, &[]).await["simulated"], false);
    let both = CONNECTOR.refused(&format!("{}{CREDENTIALS}", CONNECTOR.file), &[]).await;
    assert!(both.contains("platforms.instagram.simulated = true: contradicts"), "{both}");
    assert!(!both.contains("XSECRETX"), "{both}");
}

#[tokio::test]
async fn its_topic_and_group_come_from_plain_variables_too() {
    let by_default = CONNECTOR.checked(CONNECTOR.file, &[]).await;
    assert_eq!(by_default["topic"], "instagram-outbound");
    assert_eq!(by_default["group"], "instagram-connector-group");
    let variables = [("KAFKA_TOPIC", "canary"), ("KAFKA_GROUP_ID", "canary-group")];
    let changed = CONNECTOR.checked(CONNECTOR.file, &variables).await;
    assert_eq!((&changed["topic"], &changed["group"]), (&"canary".into(), &"canary-group".into()));
    assert_eq!(changed["topics"]["canary"], 1);
    assert_eq!(changed["topics"]["canary-dead-letters"], 1);
    assert!(changed["warnings"].to_string().contains("the router writes to instagram-outbound"));
    let ours = ("CHAT4ALL__CONNECTORS__INSTAGRAM__TOPIC", "ours");
    let stronger = CONNECTOR.checked(CONNECTOR.file, &[variables[0], ours]).await;
    assert_eq!(stronger["topic"], "ours");
    let told = CONNECTOR.refused(CONNECTOR.file, &[("KAFKA_TOPIC", "a b")]).await;
    assert!(told.contains("connectors.instagram.topic = a b"), "{told}");
}

#[tokio::test]
async fn it_needs_nothing_of_another_platform() {
    let checked = CONNECTOR.checked(CONNECTOR.file, &[]).await;
    assert!(!checked.to_string().contains("whatsapp"), "{checked}");
    let broken = "[platforms.whatsapp]\ncolour = 1\n[connectors.whatsapp]\ncolour = 1\n";
    CONNECTOR.checked(&format!("{}{broken}", CONNECTOR.file), &[]).await;
}

#[tokio::test]
async fn on_its_defaults_alone_it_says_that_others_need_the_section() {
    let warnings = CONNECTOR.checked(CREDENTIALS, &[]).await["warnings"].to_string();
    assert!(warnings.contains("[platforms.instagram] is not configured"), "{warnings}");
    assert_eq!(CONNECTOR.checked(CONNECTOR.file, &[]).await["warnings"], serde_json::json!([]));
}

#[tokio::test]
async fn its_dedupe_window_must_cover_the_router() {
    let router =
        "[router]\nmax_in_hand = 20000\n[connectors.instagram.policy]\ndedupe_window = 39999\n";
    let told = CONNECTOR.refused(&format!("{}{router}", CONNECTOR.file), &[]).await;
    assert!(told.contains("connectors.instagram.policy.dedupe_window = 39999"), "{told}");
}

#[tokio::test]
async fn its_calls_must_end_before_another_process_may_take_over() {
    let silence = "[kafka]\nsession_timeout_ms = 15000\n";
    let told = CONNECTOR.refused(&format!("{}{silence}", CONNECTOR.file), &[]).await;
    assert!(told.contains("connectors.instagram.policy.call_timeout_ms = 15000"), "{told}");
}
