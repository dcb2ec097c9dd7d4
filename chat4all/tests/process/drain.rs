//! SIGTERM: what is under way is finished, what is not stays in the log.

use serde_json::json;

use crate::harness::{Http, Installation, Ledger, Plan};

#[tokio::test]
async fn a_planned_stop_in_mid_flight_repeats_and_loses_nothing() {
    let http = Http::new();
    let mut installation = Installation::new().limits(400, 50).latency_ms(200, 400);
    let running = installation.start().await;
    let plan = Plan { conversations: 20, messages: 10 };
    let mut traffic = plan.send(&installation, &http).await;
    Ledger::reaches(&installation, &http, 60).await;
    assert_eq!(running.terminate().await, Some(0));
    let running = installation.start().await;
    let before = Ledger::read(&installation, &http).await.total("messages");
    assert!(before < 200, "the stop came in mid-flight, after {before}");
    let ledger = traffic.arrives("SIGTERM", &installation, &http).await;
    assert_eq!(ledger.total("duplicates"), 0);
    assert_eq!(running.terminate().await, Some(0));
}

#[tokio::test]
async fn a_planned_stop_while_messages_come_in_repeats_and_loses_nothing() {
    let http = Http::new();
    let mut installation = Installation::new().limits(400, 50).latency_ms(20, 100);
    let mut running = installation.start().await;
    let plan = Plan { conversations: 40, messages: 25 };
    let sending = plan.start(&installation, &http);
    for settled in [150, 400] {
        Ledger::reaches(&installation, &http, settled).await;
        assert_eq!(running.terminate().await, Some(0));
        running = installation.start().await;
    }
    let mut traffic = sending.done().await;
    let ledger = traffic.arrives("2 x SIGTERM while sending", &installation, &http).await;
    assert_eq!(ledger.total("duplicates"), 0);
    assert_eq!(running.terminate().await, Some(0));
}

#[tokio::test]
async fn a_call_that_hangs_does_not_hold_up_a_stop_for_longer_than_its_timeout() {
    let http = Http::new();
    let mut installation =
        Installation::new().set("connectors.whatsapp.policy.call_timeout_ms", "6000");
    let running = installation.start().await;
    let hang = json!({"kind": "hang", "platform": "whatsapp", "accept": true});
    let url = format!("{}/_sim/faults", installation.url("simulator"));
    assert_eq!(http.post(&url, &hang).await.expect("an answer").status, 201);
    let plan = Plan { conversations: 1, messages: 2 };
    let mut traffic = plan.send(&installation, &http).await;
    Ledger::reaches(&installation, &http, 1).await;
    assert_eq!(running.terminate().await, Some(0));
    let running = installation.start().await;
    let ledger = traffic.arrives("SIGTERM with a hanging call", &installation, &http).await;
    // The platform had taken the message before it hung, and its receipt came while we drained.
    assert_eq!(ledger.total("duplicates"), 0, "its receipt settles the call in doubt");
    assert_eq!(running.terminate().await, Some(0));
}
