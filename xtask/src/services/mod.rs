//! The services and the simulator as processes of their own, on the servers of the stack.

mod output;
mod place;
mod plain;
mod ready;
mod service;
mod supervisor;

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::cargo::{self, Workspace};
use crate::cli::UpArgs;
use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::process_record::{ProcessRecord, State};
use crate::project;
use crate::stack::{Server, Settings};
use crate::wait::{Stopwatch, pause, spoken};

use output::Output;
use place::Place;
use service::{Role, Service};
use supervisor::{Start, Supervisor};

/// What every service reads unless another file is named.
const CONFIG: &str = "deploy/local.toml";
/// How long `down` waits: every role may take its time to drain.
const DOWN: Duration = Duration::from_secs(240);
/// Log lines that show why a detached start failed.
const LAST_LINES: usize = 30;

/// Starts the services; in the foreground, returns when they have been stopped.
///
/// # Errors
/// If they run already, the stack does not answer, a build fails, or a service fails.
pub fn up(args: &UpArgs, console: &mut Console<'_>) -> Outcome {
    let settings = Settings::load()?;
    let place = Place::of(&settings.folder);
    let services = all()?;
    check_nothing_runs(&place, &services)?;
    check_stack(&settings)?;
    let folder = place.make()?;
    let config = configuration(args, &settings, folder)?;
    let workspace = Workspace::load()?;
    if !args.no_build {
        build(&services, args.release, console)?;
    }
    let binaries = workspace.binaries(args.release);
    let start = Start { services: &services, binaries: &binaries, config: &config };
    check_configuration(&start, folder)?;
    if args.detach {
        return detach(args, &config, &place, console);
    }
    let width = services.iter().map(|service| service.name.len()).max().unwrap_or(0);
    let output = Output::new(Box::new(io::stdout()), width, console.out_is_terminal);
    let interrupt = Interrupt::watch()?;
    place.begin()?;
    Supervisor::new(&place, output, interrupt).run(&start, what_next)
}

/// Builds the programs of all services in one go.
///
/// # Errors
/// If cargo fails.
pub fn build(services: &[Service], is_release: bool, console: &mut Console<'_>) -> Outcome {
    let watch = Stopwatch::start();
    let mut command = cargo::command();
    command.arg("build");
    if is_release {
        command.arg("--release");
    }
    for service in services {
        command.args(["--package", &service.package(), "--bin", &service.package()]);
    }
    cargo::run(&mut command)?;
    console
        .line("build", &format!("{} programs in {}", services.len(), spoken(watch.elapsed())))?;
    Ok(())
}

/// Every service of this repository.
///
/// # Errors
/// If the repository cannot be read.
pub fn all() -> Outcome<Vec<Service>> {
    service::all(&project::root())
}

fn check_nothing_runs(place: &Place, services: &[Service]) -> Outcome {
    if let Some(supervisor) = place.supervisor()? {
        let pid = supervisor.pid;
        return Err(Failure::unavailable(format!(
            "the services run already, started by process {pid}\n  fix: `cargo xtask down` first"
        )));
    }
    for service in services {
        if let Some(record) = place.running(&service.name)? {
            let (name, pid) = (&service.name, record.pid);
            return Err(Failure::unavailable(format!(
                "{name}, process {pid}, still runs, and who started it is gone\n  \
                 fix: `cargo xtask down` first"
            )));
        }
    }
    Ok(())
}

fn check_stack(settings: &Settings) -> Outcome {
    for server in Server::ALL {
        let address = server.address(settings);
        server.answers(address).map_err(|error| {
            Failure::unavailable(format!(
                "{} does not answer on {address} ({error})\n  fix: `cargo xtask stack up` first",
                server.name()
            ))
        })?;
    }
    Ok(())
}

/// The configuration to read: the file itself, or, for a stack on other ports, a copy that names
/// them.
fn configuration(args: &UpArgs, settings: &Settings, folder: &Path) -> Outcome<PathBuf> {
    let file = args.config.clone().unwrap_or_else(|| project::root().join(CONFIG));
    let cannot = |error| Failure::file(format!("cannot read {}", file.display()), &error);
    let file = std::path::absolute(&file).map_err(cannot)?;
    let text = fs::read_to_string(&file).map_err(|error| {
        let text = format!("there is no configuration {}: {error}", file.display());
        Failure::usage(format!("{text}\n  fix: --config FILE"))
    })?;
    let adapted = settings.adapt(&text);
    if adapted == text {
        return Ok(file);
    }
    let copy = folder.join("adapted.toml");
    fs::write(&copy, adapted)
        .map_err(|error| Failure::file(format!("cannot write {}", copy.display()), &error))?;
    Ok(copy)
}

/// Every service looks at its configuration before the first one starts.
fn check_configuration(start: &Start<'_>, folder: &Path) -> Outcome {
    for service in start.services {
        let mut command = start.command(service, folder);
        let output = command.arg("--check").output().map_err(|error| {
            let program = service.program(start.binaries);
            let fix = "leave out --no-build";
            Failure::unavailable(format!(
                "{} cannot be run: {error}\n  fix: {fix}",
                program.display()
            ))
        })?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let name = &service.name;
            return Err(Failure::usage(format!("{name} refuses its configuration: {said}")));
        }
    }
    Ok(())
}

/// Runs this command again in the background, and waits until it says that all are ready.
fn detach(args: &UpArgs, config: &Path, place: &Place, console: &mut Console<'_>) -> Outcome {
    let cannot = |error| Failure::unavailable(format!("cannot start in the background: {error}"));
    let log = place.log();
    let (out, err) = File::create(&log)
        .and_then(|file| Ok((file.try_clone()?, file)))
        .map_err(|error| Failure::file(format!("cannot write {}", log.display()), &error))?;
    let mut command = Command::new(std::env::current_exe().map_err(cannot)?);
    command.args(["up", "--no-build", "--config"]).arg(config);
    if args.release {
        command.arg("--release");
    }
    command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
    let watch = Stopwatch::start();
    let mut child = command.spawn().map_err(cannot)?;
    loop {
        let ended = child.try_wait().map_err(cannot)?;
        let is_ours = place.supervisor()?.is_some_and(|supervisor| supervisor.pid == child.id());
        match place.ready() {
            Some(words) if is_ours => {
                writeln!(console.out, "{}", words.trim_end())?;
                let log = crate::stack::shown(&log);
                writeln!(console.out, "Log: tail -f {log}\nStop: cargo xtask down")?;
                return Ok(());
            }
            _ if ended.is_some() => {
                let text = fs::read_to_string(&log).unwrap_or_default();
                let last = crate::stack::last_lines(&text, LAST_LINES);
                return Err(Failure::unsuccessful(format!("the services did not start:\n{last}")));
            }
            _ => console.running("services", "starting", watch.elapsed())?,
        }
        pause();
    }
}

/// Stops the services.
///
/// # Errors
/// If they do not stop.
pub fn down(console: &mut Console<'_>) -> Outcome {
    let settings = Settings::load()?;
    let place = Place::of(&settings.folder);
    if let Some(supervisor) = place.supervisor()? {
        // It stops them in order.
        return end(&supervisor, "services", console);
    }
    let mut is_any = false;
    let services = all()?;
    for role in Role::STOPPING {
        for service in services.iter().filter(|service| service.role == role) {
            if let Some(record) = place.running(&service.name)? {
                is_any = true;
                end(&record, &service.name, console)?;
            }
        }
    }
    if !is_any {
        console.line("services", "are not running")?;
    }
    Ok(())
}

fn end(record: &ProcessRecord, name: &str, console: &mut Console<'_>) -> Outcome {
    let watch = Stopwatch::start();
    let pid = record.pid;
    for signal in [Signal::TERM, Signal::CONT] {
        record.signal(signal).map_err(|error| {
            Failure::unavailable(format!("{name}, process {pid}, cannot be signalled: {error}"))
        })?;
    }
    while record.state() != State::Gone {
        if watch.elapsed() > DOWN {
            let text = format!("{name}, process {pid}, does not stop");
            return Err(Failure::unavailable(format!("{text}\n  fix: `kill -9 {pid}`")));
        }
        console.running(name, "stopping", watch.elapsed())?;
        pause();
    }
    console.line(name, &format!("stopped after {}", spoken(watch.elapsed())))?;
    Ok(())
}

fn what_next(output: &Output) -> String {
    let api = output.endpoint("api").unwrap_or_default();
    let simulator = output.endpoint("simulator").unwrap_or_default();
    format!(
        "Try, in a second terminal:
  cargo run -- send --api http://{api} whatsapp:+5511999990000 \"Olá\" --follow
  curl http://{api}/openapi.json
  curl http://{simulator}/_sim/ledger"
    )
}
