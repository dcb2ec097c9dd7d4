//! `kill -9` of the whole process (I6).

use crate::harness::{Http, Installation, Ledger, Plan, autopsy};

/// Settings from which the bound on duplicates follows, for each of the two platforms.
const PER_SECOND: u32 = 400;
const MAX_IN_FLIGHT: u32 = 50;
/// The default of `commit_interval_ms`.
const COMMIT_INTERVAL_MS: u32 = 100;
/// The pacer saves up a tenth of a second.
const BURST: u32 = PER_SECOND / 10;

/// The most duplicates of one kill: the calls in flight and what one commit interval completes.
fn bound() -> u64 {
    let completed = PER_SECOND * COMMIT_INTERVAL_MS / 1000 + BURST;
    u64::from(2 * (MAX_IN_FLIGHT + completed))
}

#[tokio::test]
async fn a_killed_process_loses_nothing_and_repeats_only_what_was_not_committed() {
    let http = Http::new();
    let mut installation =
        Installation::new().limits(PER_SECOND, MAX_IN_FLIGHT).latency_ms(60, 120);
    let mut running = installation.start().await;
    let plan = Plan { conversations: 200, messages: 10 };
    let sending = plan.start(&installation, &http);
    let mut repeatable = 0;
    for settled in [650, 1_300] {
        Ledger::reaches(&installation, &http, settled).await;
        running.kill_and_wait().await;
        let found = autopsy(&installation).await;
        eprintln!(
            "killed after {settled}: {} calls in flight, {} completed within {} ms without a \
             commit; allowed are {}",
            found.in_flight,
            found.uncommitted,
            found.uncommitted_ms,
            bound()
        );
        assert!(found.in_flight > 0, "the kill came in mid-flight");
        assert!(found.repeatable() <= bound());
        repeatable += found.repeatable();
        running = installation.start().await;
    }
    let mut traffic = sending.done().await;
    let ledger = traffic.arrives("2 x kill -9 of chat4all", &installation, &http).await;
    assert!(ledger.total("duplicates") <= repeatable, "at most {repeatable} may be repeated");
    assert_eq!(running.terminate().await, Some(0));
}

#[tokio::test]
async fn a_start_straight_after_a_kill_takes_over_ports_and_data() {
    let http = Http::new();
    let mut installation = Installation::new().latency_ms(600, 700);
    let running = installation.start().await;
    let conversations = 20;
    let plan = Plan { conversations, messages: 5 };
    let mut traffic = plan.send(&installation, &http).await;
    Ledger::reaches(&installation, &http, 30).await;
    // The old simulator is still there: it has to let go of the port and of the ledger.
    running.kill().await;
    let running = installation.start().await;
    let ledger = traffic.arrives("start straight after kill -9", &installation, &http).await;
    // One call in flight and, as a call takes longer than a commit interval, one completed.
    assert!(ledger.total("duplicates") <= 2 * conversations as u64);
    assert_eq!(running.terminate().await, Some(0));
}
