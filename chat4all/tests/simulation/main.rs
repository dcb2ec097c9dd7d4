//! The whole pipeline from a seed: real API handlers, real actor tree, the real simulator, over an
//! inline log, a store in memory and HTTP in memory, under the paused clock (I9).
//!
//! Every seed runs twice and must repeat exactly. Each has a power cut in mid-flight: the runtime
//! with everything in it is dropped, and a new one goes on with what log, store and ledger hold.
//!
//! A failing seed is printed. To replay it:
//! `CHAT4ALL_SIM_SEED=7 cargo test -p chat4all --test simulation`

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

mod client;
mod history;
mod life;
mod log_faults;
mod network;
mod oracle;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use history::Coverage;
use world::World;

const SEEDS: u64 = 100;

#[test]
fn every_seed_keeps_the_invariants_and_repeats_exactly() {
    let seeds = match std::env::var("CHAT4ALL_SIM_SEED") {
        Ok(seed) => {
            let seed: u64 = seed.parse().expect("CHAT4ALL_SIM_SEED is a number");
            seed..seed + 1
        }
        Err(_) => 0..SEEDS,
    };
    let replay = seeds.end - seeds.start == 1;
    let next = AtomicU64::new(seeds.start);
    let total = Mutex::new(Coverage::default());
    let failed = Mutex::new(Vec::new());
    // A run is single-threaded by nature; several runs share the cores.
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    match catch_unwind(AssertUnwindSafe(|| check(seed))) {
                        Ok(coverage) => total.lock().unwrap().add(&coverage),
                        Err(_) => failed.lock().unwrap().push(seed),
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    for seed in &failed {
        println!("replay: CHAT4ALL_SIM_SEED={seed} cargo test -p chat4all --test simulation");
    }
    assert!(failed.is_empty(), "seeds {failed:?} failed");
    let total = total.into_inner().unwrap();
    println!("{total}");
    assert!(replay || total.is_complete(), "something never occurred: {total}");
}

/// Runs a seed twice.
fn check(seed: u64) -> Coverage {
    let first = World::run(seed);
    let second = World::run(seed);
    first.assert_same(&second);
    first.coverage
}
