//! `cargo xtask torture`: builds the services and the program that hurts them, and runs it.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use clap::Args;

use crate::cargo::{self, Workspace};
use crate::console::Console;
use crate::failure::{Failure, INTERRUPTED, Outcome, UNAVAILABLE, UNSUCCESSFUL};
use crate::interrupt::Interrupt;
use crate::services;

/// The package and its program.
const PACKAGE: &str = "chat4all-cluster";
const PROGRAM: &str = "chat4all-torture";
/// What the program needs.
const FEATURE: &str = "stack";

/// What a run is asked for.
#[derive(Args, Debug)]
pub struct TortureArgs {
    /// How long trouble goes on; then everything must settle, which takes up to five more
    #[arg(long, value_name = "MINUTES", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub minutes: u64,
    /// Decides what happens when; printed at the begin [default: any]
    #[arg(long, value_name = "SEED")]
    pub seed: Option<u64>,
    /// New messages in a second
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub per_second: Option<u64>,
    /// Conversations, each with a client of its own
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub conversations: Option<u64>,
    /// Build and run with optimizations
    #[arg(long)]
    pub release: bool,
    /// Run what was built before
    #[arg(long)]
    pub no_build: bool,
    /// JSON instead of a table, also on a terminal
    #[arg(long)]
    pub json: bool,
}

/// Builds and runs it.
///
/// # Errors
/// If it cannot be built or started, finds something, or is interrupted.
pub fn run(args: &TortureArgs, console: &mut Console<'_>) -> Outcome {
    let workspace = Workspace::load()?;
    if !args.no_build {
        services::build(&services::all()?, args.release, console)?;
        let mut command = cargo::command();
        command.args(["build", "--package", PACKAGE, "--features", FEATURE, "--bin", PROGRAM]);
        if args.release {
            command.arg("--release");
        }
        cargo::run(&mut command)?;
    }
    let programs = workspace.binaries(args.release);
    if args.no_build {
        warn_of_age(&programs, console)?;
    }
    let this = std::env::current_exe()
        .map_err(|error| Failure::unavailable(format!("this program has no path: {error}")))?;
    let program = programs.join(PROGRAM);
    let mut command = Command::new(&program);
    command.env("CHAT4ALL_STACK_PROGRAMS", &programs).env("CHAT4ALL_STACK_XTASK", this);
    command.arg("--root").arg(workspace.target().join("torture")).args(passed_on(args));
    // Ctrl-C reaches the program too, which ends everything and says what it knows.
    let _interrupt = Interrupt::watch()?;
    let status = command.status().map_err(|error| {
        let fix = "leave out --no-build";
        Failure::unavailable(format!("{} cannot be run: {error}\n  fix: {fix}", program.display()))
    })?;
    outcome(status)
}

/// A build of the services leaves the program as it was, because it needs a feature of its own; one
/// that is older may judge by other bounds than theirs.
fn warn_of_age(programs: &Path, console: &mut Console<'_>) -> Outcome {
    let services = services::all()?;
    let of_services = services.iter().map(|service| service.program(programs));
    if is_older(&programs.join(PROGRAM), of_services) {
        let what = "was built before the services; if it has changed since, leave out --no-build";
        console.line(PROGRAM, what)?;
    }
    Ok(())
}

/// Whether a file was written before one of the others. What is not there is missed when it starts.
fn is_older(program: &Path, others: impl Iterator<Item = PathBuf>) -> bool {
    let written = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let of_others = others.filter_map(|other| written(&other)).max();
    written(program).zip(of_others).is_some_and(|(own, others)| own < others)
}

fn passed_on(args: &TortureArgs) -> Vec<String> {
    let number = |name: &str, value: Option<u64>| value.map(|value| format!("--{name}={value}"));
    let all = [
        number("minutes", Some(args.minutes)),
        number("seed", args.seed),
        number("per-second", args.per_second),
        number("conversations", args.conversations),
        args.json.then(|| "--json".to_owned()),
    ];
    all.into_iter().flatten().collect()
}

/// The program has said everything; here are only its codes.
fn outcome(status: ExitStatus) -> Outcome {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    match code {
        Some(0) => Ok(()),
        Some(UNSUCCESSFUL) => Err(Failure::unsuccessful("torture: not every invariant held")),
        Some(UNAVAILABLE) => Err(Failure::unavailable("torture: it did not begin")),
        Some(INTERRUPTED) => {
            Err(Failure { code: INTERRUPTED, text: "torture: interrupted".to_owned() })
        }
        _ => {
            let signal = status.signal().map(|signal| format!(" by signal {signal}"));
            let how = signal.unwrap_or_default();
            Err(Failure::unsuccessful(format!("torture: {PROGRAM} was ended{how}: {status}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: TortureArgs,
    }

    #[test]
    fn what_was_given_is_passed_on_and_the_minutes_in_any_case() {
        let passed = |words: &[&str]| {
            let line = Line::try_parse_from([&["torture"], words].concat()).unwrap();
            passed_on(&line.args)
        };
        assert_eq!(passed(&[]), ["--minutes=5"]);
        let given = ["--minutes=30", "--seed=7", "--per-second=80", "--conversations=9", "--json"];
        assert_eq!(passed(&given), given);
        assert_eq!(passed(&["--release", "--no-build"]), ["--minutes=5"]);
        assert!(Line::try_parse_from(["torture", "--minutes=601"]).is_err());
    }

    #[test]
    fn a_program_is_older_than_what_was_written_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let written = |name: &str, second: u64| {
            let path = folder.path().join(name);
            let file = std::fs::File::create(&path).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(second)).unwrap();
            path
        };
        let (first, program) = (written("first", 1), written("program", 2));
        let missing = folder.path().join("missing");
        assert!(!is_older(&program, [first.clone(), missing.clone()].into_iter()));
        assert!(is_older(&program, [first.clone(), written("last", 3)].into_iter()));
        assert!(!is_older(&missing, [first].into_iter()));
    }

    #[test]
    fn its_codes_are_ours() {
        let ended = |code: i32| outcome(ExitStatus::from_raw(code << 8));
        assert!(ended(0).is_ok());
        for code in [UNSUCCESSFUL, UNAVAILABLE, INTERRUPTED] {
            assert_eq!(ended(code.into()).unwrap_err().code, code);
        }
        let killed = outcome(ExitStatus::from_raw(9)).unwrap_err();
        assert!(killed.text.contains("signal 9"), "{}", killed.text);
    }
}
