//! Long stories with one trouble each, simulated like the seeds, with figures that must hold.

mod dead_account;
mod light_platform;
mod outage;
mod play;
mod poison;

use crate::report::Played;
use crate::runner;

/// A scenario: its figures, or what is wrong.
type Scenario = fn() -> Result<String, String>;

/// Every scenario by name.
pub const ALL: &[(&str, Scenario)] =
    &[("dead-account", dead_account::play), ("outage", outage::play), ("poison", poison::play)];

/// Plays the named scenario, or all of them, on all cores.
///
/// # Errors
/// All names, if there is none of this one.
pub fn play(name: Option<&str>) -> Result<Vec<Played>, String> {
    let chosen: Vec<_> =
        ALL.iter().filter(|(known, _)| name.is_none_or(|name| name == *known)).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
        return Err(format!("{} is none of {}", name.unwrap_or_default(), names.join(", ")));
    }
    let played = std::thread::scope(|scope| {
        let playing: Vec<_> = chosen
            .iter()
            .map(|(name, scenario)| {
                scope.spawn(move || {
                    let began = runner::now();
                    let result = std::panic::catch_unwind(scenario)
                        .unwrap_or_else(|_| Err(runner::last_panic()));
                    Played { name, seconds: began.elapsed().as_secs_f64(), result }
                })
            })
            .collect();
        playing.into_iter().map(|one| one.join().unwrap()).collect()
    });
    Ok(played)
}
