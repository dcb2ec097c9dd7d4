//! Commits between two ticks: what a kill repeats beside the calls under way stays a small part of
//! them (I6).

use std::time::Duration;

use chat4all_process::Shutdown;
use tokio::time::sleep;

use crate::world::{Pace, TOTAL, World, counted};

const TICK: Duration = Duration::from_secs(10);
const CALLS: usize = 2_000;
/// What may be done and not committed: a sixteenth of the calls, and what ended while that was told.
const UNCOMMITTED: usize = CALLS / 16 + 10;

/// How many messages are settled so long after the start, and how many of them are committed.
fn settled_and_committed(longest_call: Duration, after: Duration) -> (usize, usize) {
    let commit_interval_ms = TICK.as_millis() as u64;
    let pace = Pace { commit_interval_ms, max_in_flight: CALLS as u64, ..Pace::of(longest_call) };
    let mut seen = (0, 0);
    counted(async {
        let world = World::new(1, pace).await;
        let stops = Shutdown::new();
        let connector = world.start(&stops);
        world.route().await;
        sleep(after).await; // sleep: simulated time
        seen = (world.settled().await, world.committed().await);
        stops.trigger();
        connector.await.unwrap().unwrap();
    });
    seen
}

#[test]
fn many_completions_do_not_wait_for_the_next_tick() {
    let (settled, committed) = settled_and_committed(TICK / 2, TICK - TICK / 20);
    assert!(settled > 2 * UNCOMMITTED && settled < TOTAL, "{settled} are settled");
    assert!(committed + UNCOMMITTED >= settled, "{committed} of {settled} are committed");
}

#[test]
fn nor_does_what_ended_within_the_least_time_between_two_commits() {
    let (settled, committed) = settled_and_committed(TICK / 50, TICK / 2);
    assert_eq!(settled, TOTAL);
    assert!(committed + UNCOMMITTED >= settled, "{committed} of {settled} are committed");
}
