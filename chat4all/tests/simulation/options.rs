//! What a run is asked for on its command line; `cargo xtask simulate` passes it on.

use clap::Parser;

use crate::faults::Allowed;

/// Runs the whole system from seeds, with faults in every port, and checks its invariants.
#[derive(Clone, Debug, Parser)]
#[command(name = "simulate", bin_name = "cargo xtask simulate")]
pub struct Options {
    /// How many seeds [default: as many as fit into --minutes]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: Option<u64>,
    /// This seed only; a failure prints it
    #[arg(long, value_name = "SEED", conflicts_with = "seeds")]
    pub seed: Option<u64>,
    /// The first seed
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub from: u64,
    /// For everything together: mutants, scenarios, then seeds until the time is over [default: 1]
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..=600))]
    pub minutes: Option<u64>,
    /// What may go wrong: all, a group (platform, log, store, process), or names
    #[arg(long, value_name = "NAMES", default_value = "all", value_parser = Allowed::parse)]
    pub faults: Allowed,
    /// Deliberate mistakes only: each must be found
    #[arg(long)]
    pub mutants: bool,
    /// One deliberate mistake, by name
    #[arg(long, value_name = "NAME")]
    pub mutant: Option<String>,
    /// One scenario, by name
    #[arg(long, value_name = "NAME")]
    pub scenario: Option<String>,
    /// JSON also on a terminal
    #[arg(long)]
    pub json: bool,
    /// What happened in the seed, whether or not it fails
    #[arg(long, requires = "seed")]
    pub story: bool,
}
