//! Commits between two ticks: what a kill repeats beside the calls under way stays a small part of
//! them (I6).

use std::time::Duration;

use chat4all_process::Shutdown;
use tokio::time::sleep;

use crate::world::{Pace, TOTAL, World, counted};

const TICK_MS: u64 = 10_000;
const CALLS: usize = 2_000;
/// What may be done and not committed: a sixteenth of the calls, and what ended while that was told.
const UNCOMMITTED: usize = CALLS / 16 + 10;

#[test]
fn many_completions_do_not_wait_for_the_next_tick() {
    let pace = Pace {
        commit_interval_ms: TICK_MS,
        max_in_flight: CALLS as u64,
        ..Pace::of(Duration::from_secs(5))
    };
    counted(async {
        let world = World::new(1, pace).await;
        let stops = Shutdown::new();
        let connector = world.start(&stops);
        world.route().await;
        sleep(Duration::from_millis(TICK_MS - 500)).await; // sleep: simulated time
        let (settled, committed) = (world.settled().await, world.committed().await);
        assert!(settled > 2 * UNCOMMITTED && settled < TOTAL, "{settled} are settled");
        assert!(committed + UNCOMMITTED >= settled, "{committed} of {settled} are committed");
        stops.trigger();
        connector.await.unwrap().unwrap();
    });
}
