//! Accounts, from the command line of an operator.

use serde_json::{Value, json};

use crate::harness::{Http, Installation, Ledger, Running, eventually};

const RECEIVER: &str = "whatsapp:+5511999990000";

fn document(text: &str) -> Value {
    serde_json::from_str(text.lines().last().unwrap_or_default()).expect("JSON")
}

/// How `whatsapp:default` is.
async fn account(installation: &Installation) -> Value {
    let listed = installation.client(&["account", "list"]).await;
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let list = document(&listed.stdout);
    let accounts = list["accounts"].as_array().expect("accounts");
    accounts.iter().find(|account| account["platform"] == "whatsapp").expect("one").clone()
}

async fn until(installation: &Installation, state: &str) -> Value {
    eventually(state, async || {
        Some(account(installation).await).filter(|account| account["state"] == state)
    })
    .await
}

async fn restarted(running: Running, installation: &mut Installation) -> Running {
    running.kill_and_wait().await;
    installation.start().await
}

#[tokio::test]
async fn a_paused_account_waits_through_a_restart_and_goes_on_when_it_is_resumed() {
    let http = Http::new();
    let mut installation = Installation::new();
    let running = installation.start().await;
    until(&installation, "active").await;
    let pause = ["account", "pause", "whatsapp:default", "--by", "maria", "--wait"];
    let paused = installation.client(&pause).await;
    assert_eq!(paused.code, Some(0), "{paused:?}");
    let confirmed = document(&paused.stdout);
    assert_eq!((&confirmed["state"], &confirmed["in_flight"]), (&json!("paused"), &json!(0)));
    let sent = installation.client(&["send", RECEIVER, "Olá"]).await;
    let id = document(&sent.stdout)["message_id"].as_str().expect("an id").to_owned();
    let _running = restarted(running, &mut installation).await;
    eventually("the message is parked", async || {
        let account = account(&installation).await;
        (account["parked"] == 1 && account["state"] == "paused").then_some(())
    })
    .await;
    let seen = account(&installation).await;
    assert_eq!(seen["last_command"]["by"], "maria");
    assert_eq!(seen["last_command"]["applied"], true);
    assert_eq!(Ledger::read(&installation, &http).await.total("calls"), 0);
    let resumed = installation.client(&["account", "resume", "whatsapp:default"]).await;
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    eventually("the message's end", async || {
        let shown = installation.client(&["show", &id]).await;
        (document(&shown.stdout)["status"] == "READ").then_some(())
    })
    .await;
    assert_eq!(Ledger::read(&installation, &http).await.total("calls"), 1);
}

#[tokio::test]
async fn an_operator_tries_a_refused_account_again_and_mistakes_are_named() {
    let http = Http::new();
    let mut installation = Installation::new();
    let _running = installation.start().await;
    let fault = json!({"kind": "error", "platform": "whatsapp", "code": 190});
    let url = format!("{}/_sim/faults", installation.url("simulator"));
    assert_eq!(http.post(&url, &fault).await.expect("an answer").status, 201);
    let sent = installation.client(&["send", RECEIVER, "Olá"]).await;
    assert_eq!(sent.code, Some(0), "{sent:?}");
    let refused = until(&installation, "refused").await;
    assert!(refused["until"].is_string() && refused["detail"].is_string(), "{refused}");
    let tried = installation.client(&["account", "close-breaker", "whatsapp:default"]).await;
    assert_eq!(tried.code, Some(0), "{tried:?}");
    until(&installation, "active").await;
    assert_eq!(Ledger::read(&installation, &http).await.total("messages"), 1);
    for (account, code, word) in [
        ("whatsapp:nobody", 1, "account_not_found"),
        ("pigeon:main", 1, "account_not_found"),
        ("whatsapp", 64, "platform:account"),
    ] {
        let ended = installation.client(&["account", "pause", account]).await;
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert!(ended.stderr.contains(word), "{}", ended.stderr);
    }
    // As with a variable USER that is empty.
    let nameless = ["account", "resume", "whatsapp:default", "--by", ""];
    let resumed = installation.client(&nameless).await;
    assert_eq!(document(&resumed.stdout)["by"], "unknown", "{resumed:?}");
}
