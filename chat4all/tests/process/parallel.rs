//! Conversations run beside each other, messages of one conversation after each other.

use http::StatusCode;
use serde_json::json;

use crate::harness::{Http, Installation, Ledger, Plan, eventually};

/// What must be seen in flight at once; one after the other it would be 1.
const MANY: u64 = 300;

#[tokio::test]
async fn a_thousand_conversations_are_delivered_beside_each_other() {
    let http = Http::new();
    let mut installation = Installation::new().limits(20_000, 2_000).latency_ms(350, 350);
    let running = installation.start().await;
    // Both platforms throttle their first call for longer than sending takes, also on a busy machine,
    // so that everything gathers behind it.
    for platform in ["whatsapp", "instagram"] {
        let code = if platform == "whatsapp" { 130_429 } else { 613 };
        let fault =
            json!({"kind": "error", "platform": platform, "code": code, "retry_after_s": 15});
        let url = format!("{}/_sim/faults", installation.url("simulator"));
        let added = http.post(&url, &fault).await.expect("an answer");
        assert_eq!(added.status, StatusCode::CREATED, "{}", added.text);
    }
    let plan = Plan { conversations: 1_000, messages: 1 };
    let mut traffic = plan.send(&installation, &http).await;
    let mut most = 0;
    eventually("hundreds of calls in flight", async || {
        let name = "chat4all_deliveries_in_flight";
        most = most.max(installation.metric(&http, name, "platform=").await);
        (most >= MANY).then_some(())
    })
    .await;
    eprintln!("in flight at once: at least {most}");
    let ledger = traffic.arrives("1,000 conversations", &installation, &http).await;
    assert_eq!(ledger.total("duplicates"), 0);
    assert_eq!(running.terminate().await, Some(0));
}

#[tokio::test]
async fn messages_of_one_conversation_never_overlap_nor_overtake() {
    let http = Http::new();
    let mut installation = Installation::new().limits(20_000, 2_000).latency_ms(50, 350);
    let running = installation.start().await;
    let plan = Plan { conversations: 2, messages: 20 };
    let mut traffic = plan.send(&installation, &http).await;
    let ledger = traffic.arrives("20 messages of one conversation", &installation, &http).await;
    assert_eq!(ledger.total("duplicates"), 0);
    let longest = ledger.orders().values().map(Vec::len).max();
    assert_eq!(longest, Some(20));
    assert_eq!(Ledger::read(&installation, &http).await.total("calls"), 40);
    assert_eq!(running.terminate().await, Some(0));
}
