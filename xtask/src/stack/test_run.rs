//! `cargo xtask stack test`: everything that needs the real servers, in one command.
//!
//! A server that does not start is a failure, never a reason to leave a test out. Afterwards every
//! server is as it was found.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::server::Server;
use super::settings::{CASSANDRA, FOLDER, KAFKA, Settings};
use super::stop::TestSignal;
use super::{certificates, kafka, lock_stack, start, stop};
use crate::cargo::{self, FeatureTests, Workspace};
use crate::cli::TestArgs;
use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::process_record::State;
use crate::services;
use crate::wait::{Stopwatch, spoken};

/// The feature of a package whose tests need the real servers.
const FEATURE: &str = "stack";

/// What became of the tests of one package.
struct Ran {
    package: String,
    targets: Vec<String>,
    took: Duration,
    outcome: Outcome,
}

/// Runs the tests of every package that has the feature, or of those that were asked for.
///
/// # Errors
/// If a server does not start, a build fails, or a test fails.
pub fn test(args: &TestArgs, settings: &Settings, console: &mut Console<'_>) -> Outcome {
    let watch = Stopwatch::start();
    let workspace = Workspace::load()?;
    let tests = chosen(workspace.tests_of_feature(FEATURE), &args.only)?;
    // The servers must be stopped also if somebody loses patience with the tests.
    let interrupt = Interrupt::watch()?;
    let found = running(settings)?;
    let outcome = run_all(args, &tests, &workspace, settings, &interrupt, console);
    let left = leave_as_found(&found, settings, console);
    let ran = outcome?;
    left?;
    write!(console.out, "{}", summary(&ran, watch.elapsed()))?;
    let failed: Vec<&str> =
        ran.iter().filter(|ran| ran.outcome.is_err()).map(|ran| ran.package.as_str()).collect();
    if ran.len() < tests.len() {
        return Err(Failure::unsuccessful("interrupted: not everything was run"));
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::unsuccessful(format!("tests failed in {}", failed.join(", "))))
}

/// A package that was asked for and has no such test is an error, and so is one that has the
/// feature and no test for it: otherwise a renamed test would silently never run again.
fn chosen(tests: Vec<FeatureTests>, only: &[String]) -> Outcome<Vec<FeatureTests>> {
    let names: Vec<&str> = tests.iter().map(|tests| tests.package.as_str()).collect();
    if let Some(unknown) = only.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(Failure::usage(format!(
            "{unknown} has no tests that need the stack\n  fix: one of {}",
            names.join(", ")
        )));
    }
    if names.is_empty() {
        return Err(Failure::unsuccessful(format!("no package has a feature `{FEATURE}`")));
    }
    if let Some(empty) = tests.iter().find(|tests| tests.targets.is_empty()) {
        return Err(Failure::unsuccessful(format!(
            "{} has a feature `{FEATURE}`, and no test requires it\n  \
             fix: [[test]] with required-features = [\"{FEATURE}\"] in its Cargo.toml",
            empty.package
        )));
    }
    check_names(&tests)?;
    let is_meant = |tests: &FeatureTests| only.is_empty() || only.contains(&tests.package);
    Ok(tests.into_iter().filter(is_meant).collect())
}

/// A target is chosen by its name among all packages.
fn check_names(tests: &[FeatureTests]) -> Outcome {
    let mut names = BTreeSet::new();
    for (package, target) in
        tests.iter().flat_map(|tests| tests.targets.iter().map(|target| (&tests.package, target)))
    {
        if !names.insert(target) {
            return Err(Failure::unsuccessful(format!(
                "{package}: another package has a test `{target}` that needs the stack\n  \
                 fix: give one of them another name"
            )));
        }
    }
    Ok(())
}

fn run_all(
    args: &TestArgs,
    tests: &[FeatureTests],
    workspace: &Workspace,
    settings: &Settings,
    interrupt: &Interrupt,
    console: &mut Console<'_>,
) -> Outcome<Vec<Ran>> {
    {
        let _lock = lock_stack(settings, console)?;
        start::up(&Server::ALL, settings, console)?;
    }
    services::build(&services::all()?, false, console)?;
    let environment = environment(settings, &workspace.binaries(false))?;
    let mut ran = Vec::new();
    for of_package in tests {
        if interrupt.is_raised() {
            break;
        }
        let watch = Stopwatch::start();
        let mut command = cargo::command();
        command.args(arguments(tests, of_package, &args.cargo_arguments));
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        let outcome = cargo::run(&mut command);
        if let Err(failure) = &outcome {
            console.line("test", &failure.text)?;
        }
        let (package, targets) = (of_package.package.clone(), of_package.targets.clone());
        ran.push(Ran { package, targets, took: watch.elapsed(), outcome });
    }
    Ok(ran)
}

/// Every command chooses all packages and features, and the targets of one package: with the same
/// choice cargo builds what the packages share once, and not once for each of them.
fn arguments(all: &[FeatureTests], of_package: &FeatureTests, more: &[String]) -> Vec<String> {
    let mut arguments = vec!["test".to_owned()];
    for tests in all {
        arguments.extend(["--package".to_owned(), tests.package.clone()]);
    }
    let features = all.iter().flat_map(|tests| {
        tests.features.iter().map(|feature| format!("{}/{feature}", tests.package))
    });
    arguments.extend(["--features".to_owned(), features.collect::<Vec<_>>().join(",")]);
    for target in &of_package.targets {
        arguments.extend(["--test".to_owned(), target.clone()]);
    }
    arguments.extend_from_slice(more);
    arguments
}

/// What a test may want to know.
fn environment(settings: &Settings, binaries: &Path) -> Outcome<Vec<(&'static str, String)>> {
    let this = std::env::current_exe()
        .map_err(|error| Failure::unavailable(format!("this program has no path: {error}")))?;
    let certificates = settings.certificates();
    let text = |path: &Path| path.display().to_string();
    Ok(vec![
        (KAFKA, settings.kafka.to_string()),
        (CASSANDRA, settings.cassandra.to_string()),
        (FOLDER, text(&settings.folder)),
        ("CHAT4ALL_STACK_KAFKA_TLS", kafka::sasl_ssl(settings.kafka).to_string()),
        ("CHAT4ALL_STACK_KAFKA_USER", kafka::USER.to_owned()),
        ("CHAT4ALL_STACK_KAFKA_PASSWORD", kafka::PASSWORD.to_owned()),
        ("CHAT4ALL_STACK_CA", text(&certificates.join(certificates::AUTHORITY))),
        ("CHAT4ALL_STACK_PROGRAMS", text(binaries)),
        ("CHAT4ALL_STACK_XTASK", text(&this)),
    ])
}

fn running(settings: &Settings) -> Outcome<Vec<Server>> {
    let mut running = Vec::new();
    for server in Server::ALL {
        if server.place(settings).process()?.is_some() {
            running.push(server);
        }
    }
    Ok(running)
}

/// What ran, runs; what did not run, does not. A test may have killed or frozen a server.
fn leave_as_found(found: &[Server], settings: &Settings, console: &mut Console<'_>) -> Outcome {
    let _lock = lock_stack(settings, console)?;
    for &server in found {
        let process = server.place(settings).process()?;
        if process.is_some_and(|process| process.state() == State::Stopped) {
            stop::kill(server, TestSignal::Cont, settings, console)?;
        }
    }
    let others: Vec<Server> = running(settings)?;
    let others: Vec<Server> = others.into_iter().filter(|one| !found.contains(one)).collect();
    stop::down(&others, false, settings, console)?;
    let missing: Vec<Server> = {
        let running = running(settings)?;
        found.iter().copied().filter(|server| !running.contains(server)).collect()
    };
    start::up(&missing, settings, console).map(drop)
}

fn summary(ran: &[Ran], whole: Duration) -> String {
    let mut text = String::new();
    let width = ran.iter().map(|ran| ran.package.len()).max().unwrap_or(0);
    for Ran { package, targets, took, outcome } in ran {
        let word = if outcome.is_ok() { "passed" } else { "FAILED" };
        let (took, targets) = (spoken(*took), targets.join(", "));
        // A String takes everything.
        let _infallible = writeln!(text, "{word}  {package:<width$}  {took:>11}  {targets}");
    }
    let _infallible = writeln!(text, "stack test: {} packages in {}", ran.len(), spoken(whole));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tests_of(package: &str, targets: &[&str]) -> FeatureTests {
        FeatureTests {
            package: package.to_owned(),
            targets: targets.iter().map(|&name| name.to_owned()).collect(),
            features: vec!["conformance".to_owned(), FEATURE.to_owned()],
        }
    }

    #[test]
    fn one_package_can_be_chosen_and_must_have_such_tests() {
        let all = || vec![tests_of("a", &["one"]), tests_of("b", &["two"])];
        assert_eq!(chosen(all(), &[]).unwrap(), all());
        assert_eq!(chosen(all(), &["b".to_owned()]).unwrap(), [tests_of("b", &["two"])]);
        let failure = chosen(all(), &["c".to_owned()]).unwrap_err();
        assert_eq!(failure.code, crate::failure::USAGE);
        assert!(failure.text.contains("one of a, b"), "{}", failure.text);
    }

    #[test]
    fn a_feature_without_a_test_is_a_failure_and_not_a_skip() {
        assert!(chosen(vec![], &[]).is_err());
        let failure = chosen(vec![tests_of("a", &[])], &[]).unwrap_err();
        assert!(failure.text.contains("no test requires it"), "{}", failure.text);
    }

    #[test]
    fn two_tests_of_one_name_are_refused() {
        let failure =
            chosen(vec![tests_of("a", &["one"]), tests_of("b", &["one"])], &[]).unwrap_err();
        assert!(failure.text.contains("b: another package has a test `one`"), "{}", failure.text);
    }

    #[test]
    fn every_target_runs_with_the_features_that_all_require() {
        let more = ["--".to_owned(), "--nocapture".to_owned()];
        let all = [tests_of("a", &["one", "two"]), tests_of("b", &["three"])];
        let expected = "test --package a --package b \
                        --features a/conformance,a/stack,b/conformance,b/stack \
                        --test one --test two -- --nocapture";
        assert_eq!(arguments(&all, &all[0], &more).join(" "), expected);
    }

    #[test]
    fn the_summary_names_what_ran_and_what_failed() {
        let ran = |package: &str, outcome| Ran {
            package: package.to_owned(),
            targets: vec!["one".to_owned()],
            took: Duration::from_secs(3),
            outcome,
        };
        let text = summary(
            &[ran("a", Ok(())), ran("bb", Err(Failure::unsuccessful("no")))],
            Duration::from_secs(65),
        );
        let expected = "passed  a         3.0 s  one\nFAILED  bb        3.0 s  one\n\
                        stack test: 2 packages in 1 min 5 s\n";
        assert_eq!(
            text.replace("        3", "       3"),
            expected.replace("        3", "       3")
        );
    }
}
