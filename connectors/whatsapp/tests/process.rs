//! The executable, as far as it gets without a server.

use chat4all_service::conformance::Executable;

const CONNECTOR: Executable = Executable {
    path: env!("CARGO_BIN_EXE_chat4all-connector-whatsapp"),
    name: "chat4all-connector-whatsapp",
    file: "[platforms.whatsapp]\nsimulated = true\n",
    listen_key: "connectors.whatsapp.listen",
};

chat4all_service::service_conformance!(CONNECTOR);

const CREDENTIALS: &str = "
[connectors.whatsapp.api]
app_secret = 'XSECRETX'
verify_token = 'v'
[connectors.whatsapp.api.accounts.default]
id = '1'
access_token = 'XSECRETX'
";

#[tokio::test]
async fn it_is_simulated_only_if_that_is_said() {
    let told = CONNECTOR.refused("", &[]).await;
    let key = "connectors.whatsapp.api.accounts.default.access_token is required";
    assert!(told.contains(key) && told.contains("platforms.whatsapp.simulated = true"), "{told}");
    assert_eq!(CONNECTOR.checked(CONNECTOR.file, &[]).await["simulated"], true);
    assert_eq!(CONNECTOR.checked(CREDENTIALS, &[]).await["simulated"], false);
    let both = CONNECTOR.refused(&format!("{}{CREDENTIALS}", CONNECTOR.file), &[]).await;
    assert!(both.contains("platforms.whatsapp.simulated = true: contradicts"), "{both}");
    assert!(!both.contains("XSECRETX"), "{both}");
}

#[tokio::test]
async fn its_topic_and_group_come_from_plain_variables_too() {
    let by_default = CONNECTOR.checked(CONNECTOR.file, &[]).await;
    assert_eq!(by_default["topic"], "whatsapp-outbound");
    assert_eq!(by_default["group"], "whatsapp-connector-group");
    let variables = [("KAFKA_TOPIC", "canary"), ("KAFKA_GROUP_ID", "canary-group")];
    let changed = CONNECTOR.checked(CONNECTOR.file, &variables).await;
    assert_eq!((&changed["topic"], &changed["group"]), (&"canary".into(), &"canary-group".into()));
    assert_eq!(changed["topics"]["canary"], 1);
    assert_eq!(changed["topics"]["canary-dead-letters"], 1);
    assert!(changed["warnings"].to_string().contains("the router writes to whatsapp-outbound"));
    let ours = ("CHAT4ALL__CONNECTORS__WHATSAPP__TOPIC", "ours");
    let stronger = CONNECTOR.checked(CONNECTOR.file, &[variables[0], ours]).await;
    assert_eq!(stronger["topic"], "ours");
    let told = CONNECTOR.refused(CONNECTOR.file, &[("KAFKA_TOPIC", "a b")]).await;
    assert!(told.contains("connectors.whatsapp.topic = a b"), "{told}");
}

#[tokio::test]
async fn it_needs_nothing_of_another_platform() {
    let checked = CONNECTOR.checked(CONNECTOR.file, &[]).await;
    assert!(!checked.to_string().contains("instagram"), "{checked}");
    let broken = "[platforms.instagram]\ncolour = 1\n[connectors.instagram]\ncolour = 1\n";
    CONNECTOR.checked(&format!("{}{broken}", CONNECTOR.file), &[]).await;
}

#[tokio::test]
async fn on_its_defaults_alone_it_says_that_others_need_the_section() {
    let warnings = CONNECTOR.checked(CREDENTIALS, &[]).await["warnings"].to_string();
    assert!(warnings.contains("[platforms.whatsapp] is not configured"), "{warnings}");
    assert_eq!(CONNECTOR.checked(CONNECTOR.file, &[]).await["warnings"], serde_json::json!([]));
}

#[tokio::test]
async fn its_dedupe_window_must_cover_the_router() {
    let router =
        "[router]\nmax_in_hand = 20000\n[connectors.whatsapp.policy]\ndedupe_window = 39999\n";
    let told = CONNECTOR.refused(&format!("{}{router}", CONNECTOR.file), &[]).await;
    assert!(told.contains("connectors.whatsapp.policy.dedupe_window = 39999"), "{told}");
}

#[tokio::test]
async fn its_calls_must_end_before_another_process_may_take_over() {
    let silence = "[kafka]\nsession_timeout_ms = 15000\n";
    let told = CONNECTOR.refused(&format!("{}{silence}", CONNECTOR.file), &[]).await;
    assert!(told.contains("connectors.whatsapp.policy.call_timeout_ms = 15000"), "{told}");
}
