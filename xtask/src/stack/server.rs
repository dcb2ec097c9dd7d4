//! One server of the stack: what it is called, where it is, whether it runs and answers.

use std::fs;
use std::io;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;

use super::maven::Artifacts;
use super::settings::Settings;
use super::{cassandra, kafka, probe};
use crate::failure::{Failure, Outcome};
use crate::process_record::{ProcessRecord, State};

/// A server of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Server {
    /// Apache Kafka: the log
    Kafka,
    /// Apache Cassandra: the store
    Cassandra,
}

impl Server {
    /// Every server, in the order in which they are started.
    pub const ALL: [Self; 2] = [Self::Kafka, Self::Cassandra];

    /// As it is called on the command line and in the folder.
    pub fn name(self) -> &'static str {
        self.artifacts().name
    }

    /// What is fetched for it.
    pub fn artifacts(self) -> Artifacts {
        match self {
            Self::Kafka => kafka::ARTIFACTS,
            Self::Cassandra => cassandra::ARTIFACTS,
        }
    }

    /// Where clients reach it.
    pub fn address(self, settings: &Settings) -> SocketAddrV4 {
        match self {
            Self::Kafka => settings.kafka,
            Self::Cassandra => settings.cassandra,
        }
    }

    /// Every port that it listens on, by what it is for.
    pub fn ports(self, settings: &Settings) -> Vec<(&'static str, SocketAddrV4)> {
        let clients = self.address(settings);
        match self {
            Self::Kafka => {
                let mut ports = vec![
                    ("clients", clients),
                    ("controller", kafka::controller(clients)),
                    ("clients with TLS and SASL", kafka::sasl_ssl(clients)),
                ];
                if settings.kafka_wire.is_some() {
                    ports.push(("clients behind a proxy", kafka::behind_wire(clients)));
                }
                ports
            }
            Self::Cassandra => vec![
                ("clients", clients),
                ("storage", cassandra::storage(clients)),
                ("JMX", cassandra::jmx(clients)),
            ],
        }
    }

    /// How long it may take until it answers: many times what it takes on an idle machine, because
    /// a machine that also builds is slow, and a log may have to be recovered.
    pub fn patience() -> Duration {
        Duration::from_secs(300)
    }

    /// Whether it answers a client now.
    ///
    /// # Errors
    /// If it does not.
    pub fn answers(self, address: SocketAddrV4) -> io::Result<()> {
        match self {
            Self::Kafka => probe::kafka(address),
            Self::Cassandra => probe::cassandra(address),
        }
    }

    /// Its files.
    pub fn place(self, settings: &Settings) -> Place {
        Place { folder: settings.folder.join(self.name()) }
    }
}

/// The folder of one server.
#[derive(Clone, Debug)]
pub struct Place {
    /// Holds its configuration, data, log and record.
    pub folder: PathBuf,
}

impl Place {
    /// What it wrote to standard output and standard error.
    pub fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// What it keeps.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn record_file(&self) -> PathBuf {
        self.folder.join("process.json")
    }

    /// The process that was started here, unless it is gone.
    ///
    /// # Errors
    /// If the record cannot be read.
    pub fn process(&self) -> Outcome<Option<ProcessRecord>> {
        let file = self.record_file();
        let record = ProcessRecord::read(&file).map_err(|error| {
            let fix = "look with `ps` whether the server still runs, then delete the file";
            Failure::file(format!("cannot read {}\n  fix: {fix}", file.display()), &error)
        })?;
        Ok(record.filter(|record| record.state() != State::Gone))
    }

    /// Notes the process that was started here.
    ///
    /// # Errors
    /// If the record cannot be written.
    pub fn note(&self, record: &ProcessRecord) -> Outcome {
        let file = self.record_file();
        let cannot = |error| Failure::file(format!("cannot write {}", file.display()), &error);
        record.write(&file).map_err(cannot)
    }

    /// The end of the log, for an error.
    pub fn last_words(&self) -> String {
        let text = fs::read(self.log()).unwrap_or_default();
        let last = super::tools::last_lines(&String::from_utf8_lossy(&text), 20);
        format!("the end of {}:\n{last}", shown(&self.log()))
    }
}

/// A path as people want to read it: from the working folder if it is in there.
pub fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let inside = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    inside.unwrap_or_else(|| path.to_owned()).display().to_string()
}
