//! A partition that goes away while calls run: what outlasts the deadline is repeated by the next
//! owner, nothing else is, and it is counted.

use std::time::Duration;

use chat4all_connector_kit::InDoubtPolicy;

use crate::world::{Pace, World, counted};

/// What a hand-over repeats, and what was counted.
fn hand_over(seed: u64, pace: Pace) -> (u64, u64) {
    let mut repeated = 0;
    let [counted, restarts] = counted(async {
        let world = World::new(seed, pace).await;
        world.hand_over().await;
        repeated = world.repeated();
        // Whoever calls again does not know of the first call: that is told for it.
        assert_eq!(world.doubted().await.len() as u64, repeated, "seed {seed}");
    });
    assert_eq!(restarts, 0, "seed {seed}");
    (repeated, counted)
}

#[test]
fn calls_that_outlast_a_hand_over_are_repeated_and_counted_and_no_others() {
    for seed in 0..6 {
        // Whatever follows a doubt otherwise: the next owner calls again.
        let in_doubt = if seed % 2 == 0 { InDoubtPolicy::Retry } else { InDoubtPolicy::Report };
        let pace = Pace { in_doubt, ..Pace::of(Duration::from_secs(3)) };
        let (repeated, counted) = hand_over(seed, pace);
        assert!(repeated > 0, "seed {seed}: no call was long enough");
        assert_eq!(repeated, counted, "seed {seed}");
    }
}

#[test]
fn calls_that_end_before_the_deadline_are_not_repeated() {
    let pace = Pace::of(Duration::from_millis(600));
    for seed in 0..5 {
        assert_eq!(hand_over(seed, pace), (0, 0), "seed {seed}");
    }
}

#[test]
fn brokers_that_take_seconds_for_a_commit_cost_no_call_and_repeat_none() {
    let pace = Pace { commit: Duration::from_secs(2), ..Pace::of(Duration::from_millis(600)) };
    for seed in 0..5 {
        assert_eq!(hand_over(seed, pace), (0, 0), "seed {seed}");
    }
}
