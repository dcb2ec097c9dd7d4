//! The whole pipeline from a seed: real API handlers, real actor trees, the real simulator, over an
//! inline log, a store in memory and HTTP in memory, under the paused clock (I9).
//!
//! In every port something goes wrong ([`faults`]); [`watch`] sees every call, append, assignment
//! and commit and holds them against the invariants; [`oracle`] judges what is left.
//! docs/simulation.md says more.
//!
//! `cargo test` runs a few seeds, each twice, and every seed that ever failed. `cargo xtask
//! simulate` runs this program built with optimisation, for as long as it is told.

// A check fails by panicking or by a violation; this is a test that is a program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::print_stdout, clippy::print_stderr)] // what it says goes to the terminal

mod client;
mod coverage;
mod director;
mod faults;
mod history;
mod life;
mod log_faults;
mod mutants;
mod network;
mod options;
mod oracle;
mod panicky_recorder;
mod platform_faults;
mod report;
mod runner;
mod scenarios;
mod shown;
mod store_faults;
mod watch;
mod world;

use std::process::ExitCode;
use std::time::Duration;

#[cfg(feature = "mutants")]
use chat4all_contracts::mutant::Mutant;
use clap::Parser;
use tokio::time::Instant;

use faults::Allowed;
use options::Options;
use report::{Report, tell_failure};
use runner::{Until, run_many};

/// What `cargo test` runs beside the kept seeds.
const QUICK_SEEDS: u64 = 12;

/// Seeds that failed once.
const KEPT: &str = include_str!("seeds.txt");

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().collect();
    if words.get(1).is_some_and(|word| word == "run") {
        words.remove(1);
        let options = match Options::try_parse_from(words) {
            Ok(options) => options,
            Err(error) => {
                // What cannot be shown has its exit code.
                let _unseen = error.print();
                return ExitCode::from(if error.use_stderr() { 64 } else { 0 });
            }
        };
        runner::keep_panics();
        runner::watch_for_stuck_runs();
        return simulate(&options);
    }
    as_test(&words[1..])
}

/// What the test runner asks of any test program.
fn as_test(words: &[String]) -> ExitCode {
    const NAME: &str = "every_seed_keeps_the_invariants_and_repeats_exactly";
    if words.iter().any(|word| word == "--list") {
        println!("{NAME}: test");
        return ExitCode::SUCCESS;
    }
    let filters: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    if !filters.is_empty() && !filters.iter().any(|filter| NAME.contains(filter.as_str())) {
        return ExitCode::SUCCESS;
    }
    runner::keep_panics();
    let mut total = run_many(0, Until::Seeds(QUICK_SEEDS), 1, &Allowed::all());
    for seed in kept_seeds() {
        total.failed.extend(runner::run(seed, &Allowed::all()).err().map(|failed| *failed));
    }
    total.failed.iter().for_each(tell_failure);
    let word = if total.failed.is_empty() { "ok" } else { "FAILED" };
    println!("test {NAME} ... {word}");
    ExitCode::from(u8::from(!total.failed.is_empty()))
}

fn kept_seeds() -> impl Iterator<Item = u64> {
    let lines = KEPT.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_whitespace().next()).map(|seed| seed.parse().unwrap())
}

fn simulate(options: &Options) -> ExitCode {
    if let Some(seed) = options.seed {
        return one_seed(seed, options);
    }
    let end = runner::now() + Duration::from_secs(60 * options.minutes.unwrap_or(1));
    let everything = options.minutes.is_some() && options.seeds.is_none();
    let only = options.mutants || options.mutant.is_some() || options.scenario.is_some();
    let mut report = Report::default();
    let done = (|| {
        if options.mutants || options.mutant.is_some() || (everything && !only) {
            report.mutants = hunt(options, end)?;
        }
        if options.scenario.is_some() || (everything && !only) {
            report.scenarios = scenarios::play(options.scenario.as_deref())?;
        }
        Ok::<(), String>(())
    })();
    if let Err(wrong) = done {
        eprintln!("{wrong}");
        return ExitCode::from(64);
    }
    if !only {
        let until = options.seeds.map_or(Until::Time(end), Until::Seeds);
        let total = run_many(options.from, until, 10, &options.faults);
        total.failed.iter().for_each(tell_failure);
        report.missing = total.coverage.missing(&options.faults);
        report.seeds = Some(total);
    }
    finish(&report, options)
}

/// Makes the mistakes, one or all, in a third of the time.
#[cfg(feature = "mutants")]
fn hunt(options: &Options, end: Instant) -> Result<Vec<mutants::Hunted>, String> {
    let all = match &options.mutant {
        Some(name) => vec![mutants::named(name)?],
        None => Mutant::ALL.to_vec(),
    };
    let left = end.saturating_duration_since(runner::now());
    let part = if options.minutes.is_some() && !options.mutants { left / 3 } else { left };
    Ok(mutants::hunt(&all, part, &options.faults))
}

/// Built without its switches there are no mistakes to make.
#[cfg(not(feature = "mutants"))]
fn hunt(_: &Options, _: Instant) -> Result<Vec<mutants::Hunted>, String> {
    Err("built without the feature `mutants`: cargo xtask simulate has it".to_owned())
}

fn finish(report: &Report, options: &Options) -> ExitCode {
    match report.print(options) {
        Ok(()) => ExitCode::from(u8::from(!report.is_good())),
        Err(_) => ExitCode::from(74),
    }
}

fn one_seed(seed: u64, options: &Options) -> ExitCode {
    match runner::run(seed, &options.faults) {
        Ok(finished) => {
            if options.story {
                finished.story.iter().for_each(|line| println!("{line}"));
            }
            println!("seed {seed} keeps the invariants");
            ExitCode::SUCCESS
        }
        Err(failed) => {
            tell_failure(&failed);
            ExitCode::from(1)
        }
    }
}
