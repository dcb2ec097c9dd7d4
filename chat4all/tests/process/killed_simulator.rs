//! `kill -9` of the platforms' simulator: every call under way ends in doubt.

use crate::harness::{Http, Installation, Ledger, Plan};

/// For each of the two platforms.
const MAX_IN_FLIGHT: u32 = 50;

#[tokio::test]
async fn a_killed_simulator_costs_at_most_one_repetition_of_each_call_in_flight() {
    let http = Http::new();
    let mut installation = Installation::new().limits(400, MAX_IN_FLIGHT).latency_ms(60, 120);
    let mut running = installation.start().await;
    let plan = Plan { conversations: 200, messages: 10 };
    let sending = plan.start(&installation, &http);
    let kills = [650, 1_300];
    for settled in kills {
        Ledger::reaches(&installation, &http, settled).await;
        running.kill_simulator().await;
    }
    let mut traffic = sending.done().await;
    let ledger = traffic.arrives("2 x kill -9 of the simulator", &installation, &http).await;
    let name = "chat4all_deliveries_total";
    let in_doubt = installation.metric(&http, name, "outcome=\"in_doubt\"").await;
    eprintln!("calls in doubt: {in_doubt}");
    assert!(in_doubt > 0, "the kills came in mid-flight");
    assert!(in_doubt <= kills.len() as u64 * u64::from(2 * MAX_IN_FLIGHT));
    assert!(ledger.total("duplicates") <= in_doubt);
    assert_eq!(running.terminate().await, Some(0));
}

#[tokio::test]
async fn a_simulator_is_started_again_although_the_executable_was_replaced_meanwhile() {
    let http = Http::new();
    let mut installation = Installation::new().own_executable();
    let mut running = installation.start().await;
    std::fs::remove_file(installation.executable()).expect("a file");
    std::fs::write(installation.executable(), "another release").expect("a file");
    running.kill_simulator().await;
    let plan = Plan { conversations: 4, messages: 1 };
    let mut traffic = plan.send(&installation, &http).await;
    traffic.arrives("a replaced executable", &installation, &http).await;
    assert_eq!(running.terminate().await, Some(0));
}
