//! Kafka and Cassandra on this machine: real servers for development and tests.
//!
//! They listen on 127.0.0.1 only and keep everything in one folder of the repository. A process is
//! known by its record, never by its name: what was not started here is never touched.

mod cassandra;
mod certificates;
mod kafka;
mod logs;
mod maven;
mod probe;
mod server;
mod settings;
mod start;
mod status;
mod stop;
mod test_run;
mod tools;

use std::fs::{self, File, TryLockError};
use std::path::Path;

use crate::cli::{Selected, StackCommand};
use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::wait::{Stopwatch, pause};

pub use server::{Server, shown};
pub use settings::{PREFIX, Settings};
pub use stop::TestSignal;
pub use tools::last_lines;

/// Runs one command on the stack.
///
/// # Errors
/// If a server, a tool or a file does not do what the command needs.
pub fn run(command: &StackCommand, console: &mut Console<'_>) -> Outcome {
    let settings = Settings::load()?;
    match command {
        StackCommand::Up { servers } => {
            let _lock = lock_stack(&settings, console)?;
            start::up(&servers.list(), &settings, console).map(drop)
        }
        StackCommand::Start { server } => {
            let _lock = lock_stack(&settings, console)?;
            start::up(&[*server], &settings, console).map(drop)
        }
        StackCommand::Down { servers, wipe } => {
            let _lock = lock_stack(&settings, console)?;
            stop::down(&servers.list(), *wipe, &settings, console)
        }
        StackCommand::Status { json } => status::status(*json, &settings, console),
        StackCommand::Logs { servers, lines, follow } => {
            logs::logs(&servers.list(), *lines, *follow, &settings, console)
        }
        StackCommand::Test(args) => test_run::test(args, &settings, console),
        StackCommand::Kill { server, signal } => stop::kill(*server, *signal, &settings, console),
    }
}

impl Selected {
    /// Those that were named, in the order of starting; every server if none was.
    fn list(&self) -> Vec<Server> {
        let is_meant = |server: &Server| self.servers.is_empty() || self.servers.contains(server);
        Server::ALL.into_iter().filter(is_meant).collect()
    }
}

/// Two commands at once would both start a server.
fn lock_stack(settings: &Settings, console: &mut Console<'_>) -> Outcome<File> {
    // In a folder inside: the folder itself may be the one that every stack shares.
    lock(&settings.folder.join("running"), console)
}

/// Waits for the lock of a folder, which goes with the process that has it.
fn lock(folder: &Path, console: &mut Console<'_>) -> Outcome<File> {
    let file = folder.join("lock");
    let cannot = |error| Failure::file(format!("cannot lock {}", file.display()), &error);
    fs::create_dir_all(folder).map_err(cannot)?;
    let lock = File::create(&file).map_err(cannot)?;
    let watch = Stopwatch::start();
    let mut is_told = false;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(cannot(error)),
        }
        if !is_told {
            console.line("stack", "waits for another command that does the same")?;
            is_told = true;
        }
        console.running("stack", "waiting", watch.elapsed())?;
        pause();
    }
}
