//! Deliberate mistakes: each is made until a check finds it.

use std::time::Duration;

use chat4all_contracts::mutant::Mutant;

use crate::runner::Failed;

#[cfg(feature = "mutants")]
pub use hunting::{hunt, named};

/// What became of a mistake.
#[derive(Debug)]
pub struct Hunted {
    pub mutant: Mutant,
    /// What found it; `None` = it survived.
    pub caught: Option<Failed>,
    pub seeds: u64,
    pub took: Duration,
}

#[cfg(feature = "mutants")]
mod hunting {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use chat4all_contracts::mutant::{self, Mutant};
    use tokio::time::Instant;

    use super::Hunted;
    use crate::faults::Allowed;
    use crate::runner;

    /// The least time for a mistake.
    const AT_LEAST: Duration = Duration::from_secs(20);

    /// Makes each mistake on every core until a seed finds it, or for its part of the time that is
    /// left: most are found at once, and leave theirs to the others.
    pub fn hunt(mutants: &[Mutant], time: Duration, allowed: &Allowed) -> Vec<Hunted> {
        let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let end = runner::now() + time;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        std::thread::scope(|scope| {
            for _ in 0..cores {
                scope.spawn(|| {
                    loop {
                        let place = next.fetch_add(1, Ordering::Relaxed);
                        let Some(mutant) = mutants.get(place) else { break };
                        let rounds = (mutants.len() - place).div_ceil(cores);
                        let left = end.saturating_duration_since(runner::now());
                        let each = (left / rounds as u32).max(AT_LEAST);
                        mutant::set(Some(*mutant));
                        let hunted = hunt_one(*mutant, each, allowed);
                        mutant::set(None);
                        found.lock().unwrap().push(hunted);
                    }
                });
            }
        });
        let mut found = found.into_inner().unwrap();
        found.sort_by_key(|hunted| mutants.iter().position(|mutant| *mutant == hunted.mutant));
        found
    }

    fn hunt_one(mutant: Mutant, each: Duration, allowed: &Allowed) -> Hunted {
        let began: Instant = runner::now();
        let mut seeds = 0;
        let caught = loop {
            if began.elapsed() >= each {
                break None;
            }
            seeds += 1;
            if let Err(failed) = runner::run(seeds - 1, allowed) {
                break Some(*failed);
            }
        };
        Hunted { mutant, caught, seeds, took: began.elapsed() }
    }

    /// A mistake by its name, as it stands in the code.
    ///
    /// # Errors
    /// All names.
    pub fn named(name: &str) -> Result<Mutant, String> {
        let is = |mutant: &&Mutant| format!("{mutant:?}").eq_ignore_ascii_case(name);
        Mutant::ALL.iter().find(is).copied().ok_or_else(|| {
            let names: Vec<String> =
                Mutant::ALL.iter().map(|mutant| format!("{mutant:?}")).collect();
            format!("{name} is none of {}", names.join(", "))
        })
    }
}
