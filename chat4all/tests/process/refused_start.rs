//! Starts that are refused: exit code 64, words that help, and nothing damaged.

use std::net::TcpListener;

use crate::harness::{Ended, Installation};

fn assert_refused(ended: &Ended, words: &[&str]) {
    assert_eq!(ended.code, Some(64), "{ended:?}");
    assert_eq!(ended.stdout, "", "nothing has started");
    for word in words {
        assert!(ended.stderr.contains(word), "{word:?} is missing in: {}", ended.stderr);
    }
}

async fn assert_sends(installation: &Installation) {
    let args = ["send", "whatsapp:+5511999990000", "Olá", "--follow"];
    let sent = installation.client(&args).await;
    assert_eq!(sent.code, Some(0), "{sent:?}");
}

#[tokio::test]
async fn a_second_process_on_the_same_data_is_refused_and_the_first_goes_on() {
    let mut first = Installation::new();
    let running = first.start().await;
    assert_sends(&first).await;
    let second = Installation::new().set("data", &format!("{:?}", first.data()));
    let refused = second.try_start().await;
    assert_refused(&refused, &["data = ", "in use by another process", "fix: "]);
    assert_sends(&first).await;
    assert_eq!(running.terminate().await, Some(0));
    // And with the very same configuration: the folder is what to hear of, not the ports.
    let running = first.start().await;
    assert_refused(&first.try_start().await, &["data = ", "in use by another process"]);
    assert_sends(&first).await;
    assert_eq!(running.terminate().await, Some(0));
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_before_a_port_or_a_folder_is_touched() {
    let cases: [(&str, &str, &[&str]); 7] = [
        ("colour", "\"blue\"", &["colour", "is not a known key"]),
        ("connectors.whatsapp.policy.windo", "5", &["connectors.whatsapp.policy.windo"]),
        ("connectors.whatsapp.policy.window", "0", &["policy.window = 0", "1 to 20000"]),
        ("api.listen", "\"everywhere\"", &["api.listen = everywhere"]),
        ("topics.retention_hours", "\"long\"", &["topics.retention_hours = long", "72 to 87600"]),
        ("platforms.whatsapp.default_account", "\"nobody\"", &["default_account = nobody"]),
        ("connectors.pigeon.listen", "\"127.0.0.1:1\"", &["connectors.pigeon"]),
    ];
    for (key, value, words) in cases {
        let installation = Installation::new().set(key, value);
        // Were a port bound before the check, this would be what it complains of.
        let _taken: Vec<_> = ["router", "whatsapp", "simulator"]
            .map(|name| TcpListener::bind(("127.0.0.1", installation.port(name))).expect("free"))
            .into();
        let refused = installation.try_start().await;
        assert_refused(&refused, words);
        assert_refused(&refused, &["configuration: ", "fix: "]);
        assert!(!installation.data().exists(), "{key}: the data folder was made");
    }
}

#[tokio::test]
async fn half_of_the_credentials_are_refused_and_none_of_them_shown() {
    let account = "connectors.whatsapp.api.accounts.default";
    let half = Installation::new()
        .set(&format!("{account}.id"), "\"100000000000001\"")
        .set(&format!("{account}.access_token"), "\"XTOKENX\"")
        .set("connectors.whatsapp.api.verify_token", "\"XVERIFYX\"");
    let refused = half.try_start().await;
    assert_refused(&refused, &["connectors.whatsapp.api.app_secret", "is required", "fix: "]);
    let whole_but_wrong = half.set("connectors.whatsapp.api.app_secret", "4711");
    let wrong = whole_but_wrong.try_start().await;
    assert_eq!(wrong.code, Some(64), "{wrong:?}");
    let no_token = Installation::new().set("connectors.whatsapp.api.app_secret", "\"XTOKENX\"");
    let refused_too = no_token.try_start().await;
    assert_refused(&refused_too, &[&format!("{account}.access_token"), "is required", "fix: "]);
    assert!(!no_token.data().exists() && !refused_too.stderr.contains("XTOKENX"));
    for secret in ["XTOKENX", "XVERIFYX", "4711"] {
        assert!(!format!("{}{}", refused.stderr, wrong.stderr).contains(secret), "{wrong:?}");
    }
    assert!(!whole_but_wrong.data().exists());
}

#[tokio::test]
async fn a_port_in_use_is_refused_with_its_key_and_nothing_is_damaged() {
    let mut installation = Installation::new();
    let running = installation.start().await;
    assert_sends(&installation).await;
    assert_eq!(running.terminate().await, Some(0));
    for (name, key) in [
        ("api", "api.listen"),
        ("router", "router.listen"),
        ("instagram", "connectors.instagram.listen"),
        ("simulator", "simulation.simulator.listen"),
    ] {
        let port = installation.port(name);
        let taken = TcpListener::bind(("127.0.0.1", port)).expect("the port is free again");
        let refused = installation.try_start().await;
        assert_refused(&refused, &[&format!("{key} = 127.0.0.1:{port}"), "free address", "fix: "]);
        drop(taken);
    }
    let running = installation.start().await;
    assert_sends(&installation).await;
    assert_eq!(running.terminate().await, Some(0));
}

#[tokio::test]
async fn a_missing_file_and_a_bad_command_line_are_refused() {
    let installation = Installation::new();
    let missing = installation.run(&["--config", "nowhere.toml"]).await;
    assert_refused(&missing, &["--config = nowhere.toml", "fix: "]);
    let bad: [(&[&str], &str); 5] = [
        (&["--colour"], "--colour"),
        (&["sing"], "sing"),
        (&["send"], "<RECEIVER>"),
        (&["send", "whatsapp:+5511999990000", "Olá", "--timeout", "soon"], "--timeout"),
        (&["show"], "<MESSAGE_ID>"),
    ];
    for (args, word) in bad {
        assert_refused(&installation.run(args).await, &[word]);
    }
    let mut misspelt = installation.command();
    let misspelt = misspelt.env("CHAT4ALL__API__LISTN", "127.0.0.1:1").output().await;
    let misspelt = misspelt.expect("it starts");
    assert_eq!(misspelt.status.code(), Some(64));
    let told = String::from_utf8_lossy(&misspelt.stderr);
    assert!(told.contains("api.listn = ") && told.contains("is not a known key"), "{told}");
    assert!(!installation.data().exists());
    std::fs::write(installation.path().join("chat4all.toml"), "api = [").expect("a file");
    assert_refused(&installation.run(&[]).await, &["must be TOML", "line 1", "fix: "]);
}

#[tokio::test]
async fn data_that_is_not_ours_is_refused_and_left_as_it_was() {
    for (file, words) in [
        ("log.db", ["data = ", "log.db", "fix: "]),
        ("store.db", ["data = ", "store.db", "fix: "]),
        ("simulator.db", ["data = ", "simulator.db", "fix: "]),
    ] {
        let installation = Installation::new();
        std::fs::create_dir(installation.data()).expect("a folder");
        let path = installation.data().join(file);
        let strange = "not a database, but somebody's only copy of something. ".repeat(200);
        std::fs::write(&path, &strange).expect("a file");
        assert_refused(&installation.try_start().await, &words);
        assert_eq!(std::fs::read_to_string(&path).expect("still text"), strange);
    }
    let installation = Installation::new();
    std::fs::write(installation.data(), "a file").expect("a file");
    assert_refused(&installation.try_start().await, &["data = ", "must be a folder", "fix: "]);
}

#[tokio::test]
async fn a_store_without_its_log_is_refused_and_left_as_it_was() {
    let mut installation = Installation::new();
    let running = installation.start().await;
    assert_eq!(running.terminate().await, Some(0));
    let (log, aside) = (installation.data().join("log.db"), installation.path().join("log.db"));
    std::fs::rename(&log, &aside).expect("a log");
    assert_refused(&installation.try_start().await, &["log.db", "is missing or empty", "fix: "]);
    assert!(!log.exists());
    std::fs::rename(&aside, &log).expect("the log");
    let running = installation.start().await;
    assert_eq!(running.terminate().await, Some(0));
}
