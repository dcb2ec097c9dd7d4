//! SIGTERM: what is under way is finished, what is not stays in the log.

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
