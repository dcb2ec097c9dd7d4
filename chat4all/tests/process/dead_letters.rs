//! What was given up, in the hands of an operator: listed, shown, redriven, discarded, recorded.

use serde_json::{Value, json};

use crate::harness::{Http, Installation, Ledger, eventually};

const RECEIVER: &str = "whatsapp:+5511999990000";

/// Lets the platform refuse the next `times` messages for good.
async fn refuse(installation: &Installation, http: &Http, times: u64) {
    let fault = json!({"kind": "error", "platform": "whatsapp", "code": 131_026, "times": times});
    let url = format!("{}/_sim/faults", installation.url("simulator"));
    assert_eq!(http.post(&url, &fault).await.expect("an answer").status, 201);
}

/// Sends a message and waits for its end, which must be this one.
async fn send(installation: &Installation, text: &str, conversation: &str, code: i32) -> String {
    let args = ["send", RECEIVER, text, "--conversation", conversation, "--follow"];
    let sent = installation.client(&args).await;
    assert_eq!(sent.code, Some(code), "{sent:?}");
    let last = sent.stdout.lines().last().expect("a status");
    let last: Value = serde_json::from_str(last).expect("JSON");
    last["message_id"].as_str().expect("an id").to_owned()
}

/// Runs a command that must end with `code` and print one document.
async fn run(installation: &Installation, args: &[&str], code: i32) -> Value {
    let ended = installation.client(args).await;
    assert_eq!(ended.code, Some(code), "{ended:?}");
    serde_json::from_str(&ended.stdout).expect("JSON")
}

async fn listed(installation: &Installation, filter: &[&str]) -> Vec<String> {
    let args = [&["dead-letters", "list"], filter].concat();
    let list = run(installation, &args, 0).await;
    assert!(!list.to_string().contains("secret"), "{list}");
    let letters = list["dead_letters"].as_array().expect("a list").iter();
    letters.map(|letter| letter["id"].as_str().expect("an id").to_owned()).collect()
}

async fn until_read(installation: &Installation, id: &str) {
    eventually("READ", async || {
        let shown = run(installation, &["show", id], 0).await;
        (shown["status"] == "READ").then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_was_given_up_is_delivered_in_order_once_the_fault_is_gone() {
    let http = Http::new();
    let mut installation = Installation::new();
    let running = installation.start().await;
    refuse(&installation, &http, 4).await;
    let mut ids = Vec::new();
    for text in ["secret 1", "secret 2", "secret 3"] {
        ids.push(send(&installation, text, "order-42", 1).await);
    }
    let unwanted = send(&installation, "secret 4", "order-43", 1).await;
    let expected: Vec<String> = ids.iter().map(|id| format!("message:{id}:0")).collect();
    let filter = ["--conversation", "order-42", "--reason", "recipient_unreachable"];
    assert_eq!(listed(&installation, &filter).await, expected);
    assert!(listed(&installation, &["--older-than", "1h"]).await.is_empty());
    let show = ["dead-letters", "show", &expected[0]];
    assert_eq!(run(&installation, &show, 0).await["content"], Value::Null);
    let with_content = [&show[..], &["--content"]].concat();
    assert_eq!(run(&installation, &with_content, 0).await["content"], "secret 1");

    // Without --yes nothing happens.
    let redrive = [&["dead-letters", "redrive"], &filter[..]].concat();
    let planned = run(&installation, &redrive, 0).await;
    assert_eq!((&planned["dry_run"], &planned["done"]), (&json!(true), &json!(3)));
    assert_eq!(listed(&installation, &filter).await, expected);

    let redrive = [&redrive[..], &["--yes", "--by", "ana"]].concat();
    let done = run(&installation, &redrive, 0).await;
    assert_eq!((&done["done"], &done["failed"]), (&json!(3), &json!(0)));
    for id in &ids {
        until_read(&installation, id).await;
    }
    assert!(listed(&installation, &filter).await.is_empty());
    let discard = [format!("message:{unwanted}:0")];
    let discard = ["dead-letters", "discard", &discard[0], "--yes", "--by", "eva"];
    // Of several, each that is refused is in the answer, too.
    let one_too_many = [&discard[..], &[&expected[0]]].concat();
    let done = run(&installation, &one_too_many, 1).await;
    assert_eq!((&done["done"], &done["refused"]), (&json!(1), &json!(1)));
    assert_eq!(done["results"].as_array().map(Vec::len), Some(2), "{done}");
    assert!(listed(&installation, &[]).await.is_empty());
    // Again: there is nothing left to do, and that is said.
    let again = run(&installation, &discard, 1).await;
    assert_eq!((&again["refused"], &again["results"][0]["code"]), (&json!(1), &json!("discarded")));

    let ledger = Ledger::read(&installation, &http).await;
    for (name, expected) in [("messages", 3), ("duplicates", 0), ("overlaps", 0)] {
        assert_eq!(ledger.total(name), expected, "{name}");
    }
    assert!(ledger.orders().values().any(|order| *order == ids), "{:?}", ledger.orders());

    // Who did what survives a restart.
    assert_eq!(running.terminate().await, Some(0));
    let running = installation.start().await;
    let audit = run(&installation, &["audit"], 0).await;
    let by: Vec<&str> = audit["commands"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|c| c["by"].as_str())
        .collect();
    assert_eq!(by, ["eva", "ana"]);
    assert_eq!(audit["commands"][1]["done"], 3);
    assert_eq!(running.terminate().await, Some(0));
}

#[tokio::test]
async fn a_command_that_names_no_letters_is_refused() {
    let installation = Installation::new();
    for args in [&["dead-letters", "redrive", "--yes"][..], &["dead-letters", "discard"]] {
        let ended = installation.client(args).await;
        assert_eq!(ended.code, Some(64), "{ended:?}");
        assert!(ended.stderr.contains("--all"), "{}", ended.stderr);
    }
    let both = ["dead-letters", "redrive", "message:m:0", "--platform", "whatsapp"];
    assert_eq!(installation.client(&both).await.code, Some(64));
}
