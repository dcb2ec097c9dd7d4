//! Stops a server: gracefully, or with the signal that a test wants.

use std::fs;
use std::time::Duration;

use clap::ValueEnum;
use rustix::process::Signal;

use super::server::{Server, shown};
use super::settings::Settings;
use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::process_record::{ProcessRecord, State};
use crate::wait::{Stopwatch, pause, spoken};

/// How long a server may take to stop by itself; then it is killed.
const GRACE: Duration = Duration::from_secs(45);
/// How long the system may take to end a killed process.
const AFTER_KILL: Duration = Duration::from_secs(15);

/// The signals that a test needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
pub enum TestSignal {
    /// Ends it at once, as a crash does
    Kill,
    /// Freezes it; it keeps its connections and answers nothing
    Stop,
    /// Lets a frozen one go on
    Cont,
}

/// Stops servers that run: TERM, and KILL after a while.
///
/// # Errors
/// If one does not end, or its data cannot be deleted.
pub fn down(
    servers: &[Server],
    wipe: bool,
    settings: &Settings,
    console: &mut Console<'_>,
) -> Outcome {
    // Kafka and Cassandra know nothing of each other: both are asked at once, then awaited.
    let mut asked = Vec::new();
    for &server in servers {
        if let Some(record) = server.place(settings).process()? {
            // A frozen process takes note of TERM once it goes on.
            send(server, &record, Signal::TERM)?;
            send(server, &record, Signal::CONT)?;
            asked.push((server, record));
        } else {
            console.line(server.name(), "is not running")?;
        }
    }
    let watch = Stopwatch::start();
    for (server, record) in asked {
        let how = end(server, &record, watch, console)?;
        console.line(server.name(), &format!("{how} after {}", spoken(watch.elapsed())))?;
    }
    if wipe {
        for &server in servers {
            wipe_data(server, settings, console)?;
        }
    }
    Ok(())
}

fn end(
    server: Server,
    record: &ProcessRecord,
    watch: Stopwatch,
    console: &mut Console<'_>,
) -> Outcome<&'static str> {
    let mut how = "stopped";
    while record.state() != State::Gone {
        let elapsed = watch.elapsed();
        if elapsed > GRACE + AFTER_KILL {
            let (name, pid) = (server.name(), record.pid);
            return Err(Failure::unavailable(format!("{name}, process {pid}, does not end")));
        }
        if elapsed > GRACE {
            how = "killed, it did not stop by itself,";
            send(server, record, Signal::KILL)?;
        }
        console.running(server.name(), "stopping", elapsed)?;
        pause();
    }
    Ok(how)
}

fn wipe_data(server: Server, settings: &Settings, console: &mut Console<'_>) -> Outcome {
    let data = server.place(settings).data();
    match fs::remove_dir_all(&data) {
        Ok(()) => console.line(server.name(), &format!("{} deleted", shown(&data)))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(Failure::file(format!("cannot delete {}", shown(&data)), &error));
        }
    }
    Ok(())
}

/// Sends a signal to a server and waits until it has taken effect.
///
/// # Errors
/// If the server does not run, or the signal does not take effect.
pub fn kill(
    server: Server,
    signal: TestSignal,
    settings: &Settings,
    console: &mut Console<'_>,
) -> Outcome {
    let name = server.name();
    let record = server.place(settings).process()?.ok_or_else(|| {
        Failure::unavailable(format!(
            "{name} is not running\n  fix: `cargo xtask stack start {name}`"
        ))
    })?;
    let (signal, state, what) = match signal {
        TestSignal::Kill => (Signal::KILL, State::Gone, "killed"),
        TestSignal::Stop => (Signal::STOP, State::Stopped, "frozen"),
        TestSignal::Cont => (Signal::CONT, State::Running, "goes on"),
    };
    send(server, &record, signal)?;
    let effect = crate::wait::until(AFTER_KILL, |_| (record.state() == state).then_some(()));
    if effect.is_none() {
        let pid = record.pid;
        return Err(Failure::unavailable(format!("{name}, process {pid}, ignores the signal")));
    }
    console.line(name, &format!("{what}, process {}", record.pid))?;
    Ok(())
}

fn send(server: Server, record: &ProcessRecord, signal: Signal) -> Outcome {
    record.signal(signal).map_err(|error| {
        let (name, pid) = (server.name(), record.pid);
        Failure::unavailable(format!("{name}, process {pid}, cannot be signalled: {error}"))
    })
}
