//! `cargo xtask simulate`: builds the simulation with optimisation and with the switches of its
//! deliberate mistakes, and runs it.

use clap::Args;

use crate::cargo;
use crate::failure::Outcome;

/// What the simulation is asked for; it checks what is only its own to know.
#[derive(Args, Debug)]
pub struct SimulateArgs {
    /// How many seeds [default: as many as fit into --minutes]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: Option<u64>,
    /// This seed only, as a failure prints it
    #[arg(long, value_name = "SEED", conflicts_with = "seeds")]
    pub seed: Option<u64>,
    /// The first seed
    #[arg(long, value_name = "SEED")]
    pub from: Option<u64>,
    /// For everything together: mutants, scenarios, then seeds until the time is over
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..=600))]
    pub minutes: Option<u64>,
    /// What may go wrong: all, a group (platform, log, store, process), or names
    #[arg(long, value_name = "NAMES")]
    pub faults: Option<String>,
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
    /// Builds it and runs nothing
    #[arg(long, exclusive = true)]
    pub build_only: bool,
}

/// Builds and runs it.
///
/// # Errors
/// If it cannot be built, or finds something.
pub fn run(args: &SimulateArgs) -> Outcome {
    let mut command = cargo::command();
    command.args(["test", "--quiet", "--package", "chat4all", "--test", "simulation"]);
    command.args(["--profile", "simulation", "--features", "mutants"]);
    if args.build_only {
        return cargo::run(command.arg("--no-run"));
    }
    cargo::run(command.args(["--", "run"]).args(passed_on(args)))
}

fn passed_on(args: &SimulateArgs) -> Vec<String> {
    let number = |name: &str, value: Option<u64>| value.map(|value| format!("--{name}={value}"));
    let text = |name: &str, value: &Option<String>| {
        value.as_ref().map(|value| format!("--{name}={value}"))
    };
    let flag = |name: &str, is_given: bool| is_given.then(|| format!("--{name}"));
    let all = [
        number("seeds", args.seeds),
        number("seed", args.seed),
        number("from", args.from),
        number("minutes", args.minutes),
        text("faults", &args.faults),
        flag("mutants", args.mutants),
        text("mutant", &args.mutant),
        text("scenario", &args.scenario),
        flag("json", args.json),
        flag("story", args.story),
    ];
    all.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: SimulateArgs,
    }

    #[test]
    fn what_was_given_is_passed_on_and_nothing_else() {
        let passed = |words: &[&str]| {
            let line = Line::try_parse_from([&["simulate"], words].concat()).unwrap();
            passed_on(&line.args)
        };
        assert!(passed(&[]).is_empty());
        let given = ["--seeds=7", "--from=3", "--minutes=10", "--faults=log,slow", "--mutants"];
        assert_eq!(passed(&given), given);
        let given = ["--seed=7", "--mutant=TwoInALane", "--scenario=outage", "--json", "--story"];
        assert_eq!(passed(&given), given);
        assert!(Line::try_parse_from(["simulate", "--seed=1", "--seeds=2"]).is_err());
        assert!(Line::try_parse_from(["simulate", "--minutes=0"]).is_err());
        assert!(Line::try_parse_from(["simulate", "--build-only", "--seeds=2"]).is_err());
    }
}
