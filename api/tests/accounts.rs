//! Accounts: seen, and steered by commands that are in the log before they are answered.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)] // a test fails by panicking

mod support;

use std::time::Duration;

use chat4all_contracts::{
    AccountCondition, AccountName, AccountRecord, AccountState, EpochMs, PlatformName,
};
use chat4all_eventlog::{
    Admission, EventLog, Patience, ProducerOptions, TopicPartition, append, topology,
};
use serde_json::{Value, json};
use support::log::LogFault;
use support::{START, World};

/// A world that has read what there is.
async fn world() -> World {
    let mut world = World::new();
    world.follow();
    settle().await;
    world
}

/// Lets what waits for the log run. The clock is paused: it costs no time.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(10)).await; // sleep: simulated time
}

async fn say(world: &World, account: &str, applied: Option<u64>) {
    let at = EpochMs::saturating(START);
    let state = AccountState {
        platform: PlatformName::new("whatsapp").unwrap(),
        account: AccountName::new(account).unwrap(),
        state: AccountCondition::Paused,
        since: at,
        until: None,
        parked: 7,
        in_flight: 0,
        per_second: Some(80.0),
        consecutive_failures: 2,
        oldest_parked_at: Some(at),
        detail: Some("190".to_owned()),
        applied,
        at,
        owner: "host/1".to_owned(),
    };
    let options = ProducerOptions { patience: Patience::Forever, admission: Admission::Progress };
    let producer = world.log.producer(options);
    append(&*producer, topology::account_state(&state)).await.unwrap();
    settle().await;
}

async fn account(world: &World, name: &str) -> Value {
    let list = world.get("/v1/accounts").await.json();
    let accounts = list["accounts"].as_array().unwrap();
    accounts.iter().find(|account| account["account"] == name).unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn every_configured_account_is_listed_also_one_that_nobody_speaks_of() {
    let world = world().await;
    let list = world.get("/v1/accounts").await.json();
    let unknown = |platform: &str, account: &str, partition: u32| {
        json!({"platform": platform, "account": account, "partition": partition,
            "state": "unknown", "silent": true})
    };
    let expected = [
        unknown("instagram", "page", 0),
        unknown("whatsapp", "main", 0),
        unknown("whatsapp", "second", 1),
    ];
    assert_eq!(list, json!({ "accounts": expected }));
}

#[tokio::test(start_paused = true)]
async fn a_command_is_in_the_log_and_shown_as_applied_once_its_connector_says_so() {
    let world = world().await;
    let body = json!({"by": "maria", "reason": "the number is being moved"}).to_string();
    let answer = world.post_to("/v1/accounts/whatsapp/second/pause", &[], body).await.accepted();
    let offset = answer["offset"].as_u64().unwrap();
    let expected = json!({"platform": "whatsapp", "account": "second", "command": "pause",
        "at": "2023-11-14T22:13:20.133Z", "by": "maria", "reason": "the number is being moved",
        "offset": offset, "applied": false});
    assert_eq!(answer, expected);
    let at = topology::accounts();
    let records = world.log.read(&at, 0, 10).await.unwrap();
    let record = AccountRecord::parse(&records[0].key, &records[0].value).unwrap();
    assert!(matches!(record, Some(AccountRecord::Command(_))), "{record:?}");
    settle().await;
    let seen = account(&world, "second").await;
    assert_eq!(seen["last_command"]["by"], "maria");
    assert_eq!(seen["last_command"]["applied"], false);
    say(&world, "second", Some(offset)).await;
    let seen = account(&world, "second").await;
    assert_eq!(seen["last_command"]["applied"], true);
    assert_eq!((&seen["state"], &seen["parked"]), (&json!("paused"), &json!(7)));
    assert_eq!((&seen["owner"], &seen["silent"]), (&json!("host/1"), &json!(false)));
    assert_eq!(account(&world, "main").await["state"], "unknown", "another account's is untouched");
}

#[tokio::test(start_paused = true)]
async fn to_close_a_breaker_does_not_hide_who_paused_the_account() {
    let world = world().await;
    for (command, by) in [("pause", "maria"), ("close-breaker", "joao")] {
        let path = format!("/v1/accounts/whatsapp/main/{command}");
        world.post_to(&path, &[], json!({ "by": by }).to_string()).await.accepted();
    }
    settle().await;
    let seen = account(&world, "main").await;
    assert_eq!(seen["last_command"]["by"], "maria");
    assert_eq!(seen["last_close_breaker"]["by"], "joao");
    let resumed = world.post_to("/v1/accounts/whatsapp/main/resume", &[], "{}").await.accepted();
    assert_eq!(resumed["by"], "unknown");
    settle().await;
    assert_eq!(account(&world, "main").await["last_command"]["command"], "resume");
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_is_silent_is_said_to_be() {
    let world = world().await;
    say(&world, "main", None).await;
    assert_eq!(account(&world, "main").await["silent"], false);
    tokio::time::sleep(Duration::from_secs(180)).await; // sleep: simulated time
    assert_eq!(account(&world, "main").await["silent"], true);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_command_is_said_and_nothing_is_appended() {
    let world = world().await;
    let pause = "/v1/accounts/whatsapp/main/pause";
    let too_long = json!({"by": "x".repeat(65)}).to_string();
    for (path, body, status, code, field) in [
        ("/v1/accounts/whatsapp/nobody/pause", "{}", 404, "account_not_found", "account"),
        ("/v1/accounts/telegram/main/resume", "{}", 404, "account_not_found", "platform"),
        ("/v1/accounts/whatsapp/a%2fb/close-breaker", "{}", 404, "account_not_found", "account"),
        ("/v1/accounts/whatsapp/%ff/pause", "{}", 400, "invalid_field", "account"),
        (pause, "", 400, "malformed_json", ""),
        (pause, "[]", 400, "malformed_json", ""),
        (pause, r#"{"who": "maria"}"#, 400, "unknown_field", "who"),
        (pause, r#"{"by": 1}"#, 400, "invalid_field", "by"),
        (pause, r#"{"by": "a\nb"}"#, 400, "invalid_field", "by"),
        (pause, r#"{"reason": " "}"#, 400, "invalid_field", "reason"),
        (pause, &too_long, 400, "invalid_field", "by"),
    ] {
        let refused = world.post_to(path, &[], body.to_owned()).await;
        let problem = refused.refused(status, code);
        let named = problem["field"].as_str().unwrap_or_default();
        assert!(field.is_empty() || named == field, "{path} {body}: {problem}");
    }
    let filtered = world.get("/v1/accounts?platform=whatsapp").await;
    assert_eq!(filtered.refused(400, "unknown_field")["field"], "platform");
    let text = [("Content-Type", "text/plain")];
    world.post_to(pause, &text, "{}").await.refused(415, "unsupported_media_type");
    let end = world.log.bounds(&TopicPartition::new("accounts", 0)).await.unwrap().end;
    assert_eq!(end, 0);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_the_log_does_not_acknowledge_may_be_given_again() {
    let world = world().await;
    let pause = "/v1/accounts/whatsapp/main/pause";
    world.log.fail(LogFault::NeverAcks);
    world.post_to(pause, &[], "{}").await.refused(503, "command_unknown");
    world.log.fail(None);
    world.post_to(pause, &[], "{}").await.accepted();
    world.stopping.trigger();
    world.post_to(pause, &[], "{}").await.refused(503, "stopping");
}

#[tokio::test(start_paused = true)]
async fn accounts_that_have_not_been_read_are_not_made_up() {
    let world = World::new();
    world.get("/v1/accounts").await.refused(503, "accounts_unavailable");
}
