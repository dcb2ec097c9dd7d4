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
use super::{cassandra, certificates, kafka, lock};
use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::process_record::{ProcessRecord, State};
use crate::wait::{Stopwatch, pause, spoken};

/// A log that is larger at a start gives way to a new one; the one before is kept.
const LARGEST_LOG: u64 = 16 << 20;
/// Against a crashed JVM's dumps: nobody asked for gigabytes, and the error file is enough.
const JVM: &[&str] = &["-XX:-HeapDumpOnOutOfMemoryError", "-XX:+ExitOnOutOfMemoryError"];

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
    let mut waiting = Vec::new();
    let mut prepared = Vec::new();
    // What takes long or may be missing comes before the first start.
    for &server in servers {
        match server.place(settings).process()? {
            Some(record) => waiting.push(Waiting::on_running(server, settings, record)?),
            None => prepared.push((server, prepare(server, settings, console)?)),
        }
    }
    let ours = prepared.iter().map(|(server, _)| *server).collect();
    for (server, mut command) in prepared {
        waiting.push(Waiting::on_started(server, settings, &mut command)?);
    }
    await_all(waiting, settings, console)?;
    Ok(ours)
}

/// Everything that a start needs; answers the command that starts the server.
fn prepare(server: Server, settings: &Settings, console: &mut Console<'_>) -> Outcome<Command> {
    let place = server.place(settings);
    check_ports(server, settings)?;
    let java = tools::java()?;
    let certificates = settings.certificates();
    let jars = {
        let _lock = lock(&settings.shared, console)?;
        certificates::make(&certificates, &java, console)?;
        server.artifacts().fetch(&settings.jars(), console)?.join("*")
    };
    fs::create_dir_all(&place.folder).map_err(|error| cannot_write(&place.folder, &error))?;
    let address = server.address(settings);
    let (files, arguments) = match server {
        Server::Kafka => {
            let wire = settings.kafka_wire;
            let files = kafka::files(&place.folder, &certificates, address, wire);
            (files, kafka::run(&place.folder))
        }
        Server::Cassandra => {
            let files = cassandra::files(&place.folder, &certificates, address);
            (files, cassandra::run(&place.folder, address))
        }
    };
    for (name, text) in files {
        let file = place.folder.join(name);
        fs::write(&file, text).map_err(|error| cannot_write(&file, &error))?;
    }
    if server == Server::Kafka && !place.folder.join(kafka::FORMATTED).is_file() {
        let mut command = jvm(&java, &jars, &place);
        command.args(kafka::format(&place.folder));
        tools::run(&mut command, server.name(), "preparing the data folder", console)?;
    }
    let mut command = jvm(&java, &jars, &place);
    command.args(JVM).args(arguments);
    Ok(command)
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
            let port = server.address(settings).port();
            let other = if port < 50_000 { port + 10_000 } else { port - 10_000 };
            return Err(Failure::unavailable(format!(
                "{name} cannot listen on {address} ({what}): {error}\n  \
                 fix: end the process that has the port (`ss -ltnp` names it), or choose others: \
                 CHAT4ALL_STACK_{variable}=127.0.0.1:{other} and a CHAT4ALL_STACK_FOLDER"
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

/// A server that was started, or ran already, and may not answer yet.
struct Waiting {
    server: Server,
    /// Ours, if this program started it.
    child: Option<Child>,
    record: ProcessRecord,
    watch: Stopwatch,
}

/// Asks every server in turn until each has answered.
fn await_all(mut waiting: Vec<Waiting>, settings: &Settings, console: &mut Console<'_>) -> Outcome {
    while !waiting.is_empty() {
        let mut silent = Vec::new();
        for one in waiting {
            if let Some(one) = one.ask(settings, console)? {
                silent.push(one);
            }
        }
        waiting = silent;
        let names: Vec<&str> = waiting.iter().map(|one| one.server.name()).collect();
        if let Some(first) = waiting.first() {
            let what = format!("waiting for an answer of {}", names.join(" and "));
            console.running("stack", &what, first.watch.elapsed())?;
            pause();
        }
    }
    Ok(())
}

impl Waiting {
    fn on_running(server: Server, settings: &Settings, record: ProcessRecord) -> Outcome<Self> {
        check_running(server, settings, &record)?;
        Ok(Self { server, child: None, record, watch: Stopwatch::start() })
    }

    fn on_started(server: Server, settings: &Settings, command: &mut Command) -> Outcome<Self> {
        let place = server.place(settings);
        let watch = Stopwatch::start();
        let child = spawn(command, server, &place)?;
        let record = ProcessRecord::of(child.id(), server.address(settings).to_string());
        let record = record.map_err(|error| {
            Failure::file("cannot read /proc, which tells processes apart", &error)
        })?;
        place.note(&record)?;
        Ok(Self { server, child: Some(child), record, watch })
    }

    /// Asks once: `None` if there was an answer, itself if not yet.
    fn ask(mut self, settings: &Settings, console: &mut Console<'_>) -> Outcome<Option<Self>> {
        let address = self.server.address(settings);
        let answer = self.server.answers(address);
        let elapsed = self.watch.elapsed();
        match answer {
            Ok(()) => {
                let what = match self.child {
                    Some(_) => format!("answers on {address}, {} after its start", spoken(elapsed)),
                    None => format!("is up already on {address}, process {}", self.record.pid),
                };
                console.line(self.server.name(), &what)?;
                Ok(None)
            }
            Err(_) if let Some(how) = self.ended() => {
                Err(self.failed(settings, &format!("ended while starting ({how})")))
            }
            Err(silence) if elapsed > Server::patience() => {
                self.give_up();
                let what = format!("gave no answer for {}: {silence}", spoken(elapsed));
                Err(self.failed(settings, &what))
            }
            Err(_) => Ok(Some(self)),
        }
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
