//! The services under measurement: processes of their own, with the platform that measures in place
//! of the simulator.

use std::net::SocketAddr;
use std::process::Command;

use tempfile::TempDir;

use crate::process::{Process, free_port};
use crate::{Failure, Idle};

pub(crate) struct Services {
    /// The API's address, as a URL.
    pub(crate) api: String,
    running: Vec<Process>,
    /// Their logs; gone with the run.
    _logs: TempDir,
}

impl Services {
    pub(crate) async fn start(args: &Idle, platform: SocketAddr) -> Result<Self, Failure> {
        let name = args.installation.platform();
        let connector = format!("connector-{name}");
        let section = format!("CONNECTORS__{}", name.to_uppercase());
        let services = [
            ("api", "API"),
            ("router", "ROUTER"),
            ("status-consumer", "STATUS_CONSUMER"),
            (connector.as_str(), section.as_str()),
        ];
        let logs = tempfile::tempdir()?;
        let mut starting = Vec::new();
        for (service, section) in services {
            let (name, listen) = (format!("chat4all-{service}"), free_port()?);
            let mut command = Command::new(args.installation.binaries.join(&name));
            command
                .arg("--config")
                .arg(&args.installation.config)
                .env("KAFKA_BOOTSTRAP_SERVERS", &args.kafka.kafka)
                .env("CHAT4ALL__CASSANDRA__CONTACT_POINTS", &args.cassandra.cassandra)
                .env("CHAT4ALL__CASSANDRA__KEYSPACE", "chat4all_bench")
                .env("CHAT4ALL__SIMULATION__URL", format!("http://{platform}"))
                .env(format!("CHAT4ALL__{section}__LISTEN"), listen.to_string());
            starting.push(Process::start(&name, command, listen, &logs)?);
        }
        let mut running = Vec::new();
        for process in starting {
            running.push(process.ready().await?);
        }
        let api = running[0].url.clone();
        Ok(Self { api, running, _logs: logs })
    }

    /// Ends them as an orchestrator does.
    pub(crate) async fn stop(self) -> Result<(), Failure> {
        for process in &self.running {
            process.terminate()?;
        }
        tokio::task::spawn_blocking(move || self.running.into_iter().try_for_each(Process::wait))
            .await?
    }
}
