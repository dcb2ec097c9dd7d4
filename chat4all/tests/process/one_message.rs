//! The way of one message, over real HTTP and signed webhooks.

use serde_json::Value;

use crate::harness::{Http, Installation, Ledger};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect()
}

#[tokio::test]
async fn a_message_to_each_platform_is_read_and_sent_exactly_once() {
    let http = Http::new();
    let mut installation = Installation::new();
    let running = installation.start().await;
    assert_eq!(running.started["simulated"], serde_json::json!(["instagram", "whatsapp"]));
    for receiver in ["whatsapp:+5511999990000", "instagram:17841400000000000"] {
        let sent = installation.client(&["send", receiver, "Olá", "--follow"]).await;
        assert_eq!(sent.code, Some(0), "{sent:?}");
        let statuses = lines(&sent.stdout);
        let last = statuses.last().expect("a status");
        assert_eq!(last["status"], "READ", "{}", sent.stdout);
        let id = last["message_id"].as_str().expect("an id");
        let shown = installation.client(&["show", id]).await;
        assert_eq!(shown.code, Some(0), "{shown:?}");
        let shown = &lines(&shown.stdout)[0];
        assert_eq!(shown["status"], "READ");
        assert_eq!(shown["simulated"], true);
        assert_eq!(shown["content"], "Olá");
    }
    let ledger = Ledger::read(&installation, &http).await;
    for (name, expected) in [("calls", 2), ("messages", 2), ("duplicates", 0), ("refused", 0)] {
        assert_eq!(ledger.total(name), expected, "{name}");
    }
    assert!(ledger.orders().values().all(|order| order.len() == 1));
    assert_eq!(running.terminate().await, Some(0));
}
