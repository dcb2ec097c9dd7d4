//! The services under measurement: processes of their own, with the platform that measures in place
//! of the simulator.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use chat4all_process::http_client::{HttpClient, HttpPort};
use http::Request;
use tempfile::TempDir;

use crate::{Failure, Idle};

/// How often a service that starts is asked whether it is ready, 100 ms apart.
const LOOKS: usize = 600;

pub(crate) struct Services {
    /// The API's address, as a URL.
    pub(crate) api: String,
    running: Vec<Running>,
    /// Their logs; gone with the run.
    _logs: TempDir,
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _ended_already = self.0.wait();
    }
}

impl Services {
    pub(crate) async fn start(args: &Idle, platform: SocketAddr) -> Result<Self, Failure> {
        let name = args.receiver.split(':').next().unwrap_or_default();
        let connector = format!("connector-{name}");
        let section = format!("CONNECTORS__{}", name.to_uppercase());
        let services = [
            ("api", "API"),
            ("router", "ROUTER"),
            ("status-consumer", "STATUS_CONSUMER"),
            (connector.as_str(), section.as_str()),
        ];
        let logs = tempfile::tempdir()?;
        let (mut running, mut urls) = (Vec::new(), Vec::new());
        for (service, section) in services {
            let listen = free_port()?;
            let log = std::fs::File::create(logs.path().join(service))?;
            let child = Command::new(args.binaries.join(format!("chat4all-{service}")))
                .arg("--config")
                .arg(&args.config)
                .env("KAFKA_BOOTSTRAP_SERVERS", &args.kafka)
                .env("CHAT4ALL__CASSANDRA__CONTACT_POINTS", &args.cassandra)
                .env("CHAT4ALL__CASSANDRA__KEYSPACE", "chat4all_bench")
                .env("CHAT4ALL__SIMULATION__URL", format!("http://{platform}"))
                .env(format!("CHAT4ALL__{section}__LISTEN"), listen.to_string())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
                .map_err(|error| format!("chat4all-{service} cannot be started: {error}"))?;
            running.push(Running(child));
            urls.push((service.to_owned(), format!("http://{listen}")));
        }
        for (index, (service, url)) in urls.iter().enumerate() {
            until_ready(service, url, &mut running[index], &logs).await?;
        }
        let api = urls.swap_remove(0).1;
        Ok(Self { api, running, _logs: logs })
    }

    /// Ends them as an orchestrator does.
    pub(crate) async fn stop(self) -> Result<(), Failure> {
        for Running(child) in &self.running {
            Command::new("kill").arg(child.id().to_string()).status()?;
        }
        tokio::task::spawn_blocking(move || {
            for mut service in self.running {
                service.0.wait()?;
            }
            Ok::<_, std::io::Error>(())
        })
        .await??;
        Ok(())
    }
}

fn free_port() -> std::io::Result<SocketAddr> {
    // Free again at once, and rarely given to anybody else so soon.
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

async fn until_ready(
    service: &str,
    url: &str,
    running: &mut Running,
    logs: &TempDir,
) -> Result<(), Failure> {
    let client = HttpClient::over_tcp();
    let mut looks = tokio::time::interval(Duration::from_millis(100));
    for _ in 0..LOOKS {
        looks.tick().await;
        let request = Request::get(format!("{url}/ready")).body(Bytes::new())?;
        let answer = client.call(request, Duration::from_secs(5)).await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        if let Some(status) = running.0.try_wait()? {
            let log = std::fs::read_to_string(logs.path().join(service))?;
            return Err(format!("chat4all-{service} ended with {status}:\n{log}").into());
        }
    }
    Err(format!("chat4all-{service} did not become ready").into())
}
