//! Runs the services as processes of their own, until it is told to stop; then stops them in order.
//!
//! A service that ends by itself is not started again: whoever works on it wants to see that, and
//! the others must live with it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::Signal;

use super::output::Output;
use super::place::Place;
use super::ready;
use super::service::{Role, Service};
use crate::failure::{Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::process_record::ProcessRecord;
use crate::stack::PREFIX;
use crate::wait::{Stopwatch, pause, spoken};

/// How long the services may take until all are ready: a first start makes topics and tables.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a service may drain; it bounds itself well below this.
const GRACE: Duration = Duration::from_secs(45);
/// Who speaks when it is this program.
const SELF: &str = "xtask";

/// How a start is done.
pub struct Start<'a> {
    /// Every service, in the order of starting.
    pub services: &'a [Service],
    /// Where the programs are.
    pub binaries: &'a Path,
    /// The configuration that all of them read.
    pub config: &'a Path,
}

impl Start<'_> {
    /// The command that runs a service.
    pub fn command(&self, service: &Service, folder: &Path) -> Command {
        let mut command = Command::new(service.program(self.binaries));
        command.arg("--config").arg(self.config).current_dir(folder);
        command.stdin(Stdio::null());
        // A service refuses a variable of ours that it does not know.
        let ours = std::env::vars_os().map(|(name, _)| name);
        for name in ours.filter(|name| name.to_string_lossy().starts_with(PREFIX)) {
            command.env_remove(name);
        }
        command
    }
}

/// One service that was started.
struct Running {
    service: Service,
    index: usize,
    child: Child,
    record: ProcessRecord,
    is_ready: bool,
    has_ended: bool,
}

/// The services that were started.
pub struct Supervisor<'a> {
    place: &'a Place,
    output: Output,
    interrupt: Interrupt,
    running: Vec<Running>,
    copying: Vec<JoinHandle<()>>,
}

impl<'a> Supervisor<'a> {
    /// Nothing runs yet.
    pub fn new(place: &'a Place, output: Output, interrupt: Interrupt) -> Self {
        Self { place, output, interrupt, running: Vec::new(), copying: Vec::new() }
    }

    /// Starts the services, tells when all are ready, and stops them in order when told to.
    ///
    /// # Errors
    /// If a service cannot be started or ends by itself: the others are stopped in order first.
    pub fn run(mut self, start: &Start<'_>, next: impl Fn(&Output) -> String) -> Outcome {
        let outcome = self.start_and_watch(start, next);
        let stopped = self.stop();
        outcome.and(stopped)
    }

    fn start_and_watch(&mut self, start: &Start<'_>, next: impl Fn(&Output) -> String) -> Outcome {
        let watch = Stopwatch::start();
        for (index, service) in start.services.iter().enumerate() {
            self.spawn(start, service, index)?;
        }
        if !self.await_ready(watch)? {
            return Ok(());
        }
        let took = spoken(watch.elapsed());
        let words = format!("everything is ready after {took}\n{}", next(&self.output));
        self.say(&words);
        self.place.note_ready(&words)?;
        self.watch_until_told()
    }

    fn spawn(&mut self, start: &Start<'_>, service: &Service, index: usize) -> Outcome {
        use std::os::unix::process::CommandExt;
        let name = &service.name;
        let cannot = |error| Failure::unavailable(format!("{name} cannot be started: {error}"));
        let mut command = start.command(service, self.place.make()?);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C must reach this program alone, which then stops them in order.
        let mut child = command.process_group(0).spawn().map_err(cannot)?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let record = self.place.note(name, child.id());
        let service = service.clone();
        let record = match record {
            Ok(record) => record,
            Err(failure) => {
                // Not to be found again, so not left behind; it may have ended by itself.
                let _ended = child.kill().and_then(|()| child.wait());
                return Err(failure);
            }
        };
        let running = Running { service, index, child, record, is_ready: false, has_ended: false };
        self.running.push(running);
        if let Some(out) = out {
            self.copying.push(self.output.copy(name, index, out).map_err(cannot)?);
        }
        if let Some(err) = err {
            self.copying.push(self.output.copy(name, index, err).map_err(cannot)?);
        }
        Ok(())
    }

    /// Whether every service became ready; not if somebody wanted to stop before.
    fn await_ready(&mut self, watch: Stopwatch) -> Outcome<bool> {
        while self.running.iter().any(|one| !one.is_ready) {
            if self.interrupt.take() {
                return Ok(false);
            }
            if let Some(ended) = self.newly_ended() {
                return Err(Failure::unsuccessful(format!("{ended} before it was ready")));
            }
            let elapsed = watch.elapsed();
            for one in self.running.iter_mut().filter(|one| !one.is_ready) {
                one.is_ready = self.output.endpoint(&one.service.name).is_some_and(|address| {
                    ready::ask(&address, one.service.ready_path()).is_ok_and(|code| code == 200)
                });
                if one.is_ready {
                    let text = format!("ready after {}", spoken(elapsed));
                    self.output.line(&one.service.name, one.index, &text);
                }
            }
            if elapsed > PATIENCE {
                let late = self.running.iter().filter(|one| !one.is_ready);
                let names: Vec<&str> = late.map(|one| one.service.name.as_str()).collect();
                let (names, time) = (names.join(", "), spoken(PATIENCE));
                return Err(Failure::unsuccessful(format!("not ready after {time}: {names}")));
            }
            pause();
        }
        Ok(true)
    }

    fn watch_until_told(&mut self) -> Outcome {
        let mut ended = Vec::new();
        while !self.interrupt.take() {
            if let Some(how) = self.newly_ended() {
                self.say(&format!("{how}; the others go on"));
                ended.push(how);
            }
            if self.running.iter().all(|one| one.has_ended) {
                break;
            }
            pause();
        }
        if ended.is_empty() { Ok(()) } else { Err(Failure::unsuccessful(ended.join(", "))) }
    }

    /// A service that has ended since the last time.
    fn newly_ended(&mut self) -> Option<String> {
        self.running.iter_mut().filter(|one| !one.has_ended).find_map(|one| {
            // A process that cannot be asked is looked at again.
            let status = one.child.try_wait().ok().flatten()?;
            one.has_ended = true;
            Some(format!("{} ended by itself ({status})", one.service.name))
        })
    }

    /// Stops what runs, one role after the other. A second Ctrl-C kills what is left.
    fn stop(&mut self) -> Outcome {
        let mut killed = Vec::new();
        for role in Role::STOPPING {
            killed.extend(self.stop_role(role));
        }
        for copying in self.copying.drain(..) {
            // A thread that panicked has copied nothing more.
            let _panicked = copying.join();
        }
        if killed.is_empty() {
            return Ok(());
        }
        Err(Failure::unsuccessful(format!("killed, did not stop by itself: {}", killed.join(", "))))
    }

    /// Answers who had to be killed.
    fn stop_role(&mut self, role: Role) -> Vec<String> {
        let watch = Stopwatch::start();
        let mut killed = Vec::new();
        let is_meant = |one: &&mut Running| one.service.role == role && !one.has_ended;
        for one in self.running.iter_mut().filter(is_meant) {
            // If it cannot be told, it is killed below.
            let _told = one.record.signal(Signal::TERM);
        }
        loop {
            let is_late = watch.elapsed() > GRACE || self.interrupt.take();
            let mut left = 0;
            for one in self.running.iter_mut().filter(is_meant) {
                match one.child.try_wait() {
                    Ok(Some(status)) => {
                        one.has_ended = true;
                        let took = spoken(watch.elapsed());
                        let text = format!("stopped after {took} ({status})");
                        self.output.line(&one.service.name, one.index, &text);
                    }
                    Ok(None) | Err(_) => {
                        left += 1;
                        if is_late && !killed.contains(&one.service.name) {
                            // It may have ended just now.
                            let _ended = one.child.kill();
                            killed.push(one.service.name.clone());
                        }
                    }
                }
            }
            if left == 0 {
                return killed;
            }
            pause();
        }
    }

    fn say(&self, words: &str) {
        for line in words.lines() {
            self.output.line(SELF, self.running.len(), line);
        }
    }
}
