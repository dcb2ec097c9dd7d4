//! Starts a server and waits until it answers.

use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::server::{Place, Server, shown};
use super::settings::Settings;
use super::tools::{self, Java};
use super::{cassandra, certificates, kafka};
use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::process_record::{ProcessRecord, State};
use crate::wait::{Stopwatch, pause, spoken};

/// A log that is larger at a start gives way to a new one; the one before is kept.
const LARGEST_LOG: u64 = 16 << 20;
/// Against a crashed JVM's dumps: nobody asked for gigabytes, and the error file is enough.
const JVM: &[&str] = &["-XX:-HeapDumpOnOutOfMemoryError", "-XX:+ExitOnOutOfMemoryError"];

/// A server that was started, or ran already, and may not answer yet.
pub struct Started {
    server: Server,
    /// Ours, if this program started it.
    child: Option<Child>,
    record: ProcessRecord,
    watch: Stopwatch,
}

/// Starts the servers that do not run and waits until each one answers. Answers those that were
/// started here.
///
/// # Errors
/// If one cannot be started, ends at once or does not answer: then it is stopped again.
pub fn up(
    servers: &[Server],
    settings: &Settings,
    console: &mut Console<'_>,
) -> Outcome<Vec<Server>> {
    let mut started = Vec::new();
    for &server in servers {
        started.push(start(server, settings, console)?);
    }
    let mut ours = Vec::new();
    for mut one in started {
        if one.child.is_some() {
            ours.push(one.server);
        }
        one.wait(settings, console)?;
    }
    Ok(ours)
}

/// Starts a server unless it runs.
fn start(server: Server, settings: &Settings, console: &mut Console<'_>) -> Outcome<Started> {
    let place = server.place(settings);
    if let Some(record) = place.process()? {
        check_running(server, settings, &record)?;
        return Ok(Started { server, child: None, record, watch: Stopwatch::start() });
    }
    check_ports(server, settings)?;
    let java = tools::java()?;
    let jars = server.artifacts().fetch(&settings.jars, console)?;
    fs::create_dir_all(&place.folder).map_err(|error| cannot_write(&place.folder, &error))?;
    certificates::make(&certificates::folder(&place.folder), &java, console)?;
    let address = server.address(settings);
    let (files, arguments) = match server {
        Server::Kafka => (kafka::files(&place.folder, address), kafka::run(&place.folder)),
        Server::Cassandra => {
            (cassandra::files(&place.folder, address), cassandra::run(&place.folder, address))
        }
    };
    for (name, text) in files {
        let file = place.folder.join(name);
        fs::write(&file, text).map_err(|error| cannot_write(&file, &error))?;
    }
    let class_path = jars.join("*");
    if server == Server::Kafka && !place.folder.join(kafka::FORMATTED).is_file() {
        let mut command = jvm(&java, &class_path, &place);
        command.args(kafka::format(&place.folder));
        tools::run(&mut command, server.name(), "preparing the data folder", console)?;
    }
    let mut command = jvm(&java, &class_path, &place);
    command.args(JVM).args(arguments);
    let watch = Stopwatch::start();
    let child = spawn(&mut command, server, &place)?;
    let record = ProcessRecord::of(child.id(), address.to_string())
        .map_err(|error| Failure::file("cannot read /proc, which tells processes apart", &error))?;
    place.note(&record)?;
    Ok(Started { server, child: Some(child), record, watch })
}

/// A process that runs must be the one that is asked for, and able to answer.
fn check_running(server: Server, settings: &Settings, record: &ProcessRecord) -> Outcome {
    let (name, address) = (server.name(), server.address(settings).to_string());
    if record.address != address {
        let folder = shown(&settings.folder);
        return Err(Failure::usage(format!(
            "{name} of {folder} runs on {}, not on {address}\n  \
             fix: `cargo xtask stack down {name}` first, or another CHAT4ALL_STACK_FOLDER",
            record.address
        )));
    }
    if record.state() == State::Stopped {
        return Err(Failure::unavailable(format!(
            "{name} was stopped by a signal\n  fix: `cargo xtask stack kill {name} --signal CONT`"
        )));
    }
    Ok(())
}

fn check_ports(server: Server, settings: &Settings) -> Outcome {
    for (what, address) in server.ports(settings) {
        if let Err(error) = TcpListener::bind(address) {
            let name = server.name();
            let variable = name.to_uppercase();
            return Err(Failure::unavailable(format!(
                "{name} cannot listen on {address} ({what}): {error}\n  \
                 fix: end the process that has the port (`ss -ltnp` names it), or choose others: \
                 CHAT4ALL_STACK_{variable}=127.0.0.1:{} and a CHAT4ALL_STACK_FOLDER",
                server.address(settings).port() + 10_000
            )));
        }
    }
    Ok(())
}

fn jvm(java: &Java, class_path: &Path, place: &Place) -> Command {
    let mut command = Command::new(&java.java);
    let error_file = place.folder.join("jvm-error-%p.log");
    command.current_dir(&place.folder);
    command.arg("-cp").arg(class_path).arg(format!("-XX:ErrorFile={}", error_file.display()));
    command
}

/// In a process group of its own, so that Ctrl-C in this terminal does not reach it.
fn spawn(command: &mut Command, server: Server, place: &Place) -> Outcome<Child> {
    let log = place.log();
    let open = || -> io::Result<(File, File)> {
        if fs::metadata(&log).is_ok_and(|found| found.len() > LARGEST_LOG) {
            fs::rename(&log, log.with_extension("log.1"))?;
        }
        let file = File::options().create(true).append(true).open(&log)?;
        Ok((file.try_clone()?, file))
    };
    let (out, err) = open().map_err(|error| cannot_write(&log, &error))?;
    command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
    command.spawn().map_err(|error| {
        Failure::unavailable(format!("{} cannot be started: {error}", server.name()))
    })
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::file(format!("cannot write {}", path.display()), error)
}

impl Started {
    fn wait(&mut self, settings: &Settings, console: &mut Console<'_>) -> Outcome {
        let (server, name) = (self.server, self.server.name());
        let address = server.address(settings);
        let mut silence;
        loop {
            match server.answers(address) {
                Ok(()) => break,
                Err(error) => silence = error,
            }
            let elapsed = self.watch.elapsed();
            if let Some(how) = self.ended() {
                return Err(self.failed(settings, &format!("ended while starting ({how})")));
            }
            if elapsed > server.patience() {
                self.give_up();
                let what = format!("gave no answer for {}: {silence}", spoken(elapsed));
                return Err(self.failed(settings, &what));
            }
            console.running(name, &format!("starting on {address}"), elapsed)?;
            pause();
        }
        let what = match self.child {
            Some(_) => format!("answers on {address}, {} after its start", spoken(self.watch.elapsed())),
            None => format!("is up already on {address}, process {}", self.record.pid),
        };
        console.line(name, &what)?;
        Ok(())
    }

    /// How the process ended, if it has.
    fn ended(&mut self) -> Option<String> {
        match &mut self.child {
            Some(child) => child.try_wait().ok().flatten().map(|status| status.to_string()),
            None => (self.record.state() == State::Gone).then(|| "nobody knows how".to_owned()),
        }
    }

    /// A server that does not answer is not left behind, if it is ours.
    fn give_up(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself in between.
            let _ended = child.kill();
            let _reaped = child.wait();
        }
    }

    fn failed(&self, settings: &Settings, what: &str) -> Failure {
        let words = self.server.place(settings).last_words();
        Failure::unavailable(format!("{} {what}\n  {words}", self.server.name()))
    }
}
