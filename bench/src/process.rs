//! A process that is measured, and listens: its start, its processor time, its end.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use chat4all_process::http_client::{HttpClient, HttpPort};
use http::Request;
use tempfile::TempDir;

use crate::Failure;
use crate::cpu;

/// How often a process that starts is asked whether it is ready, 100 ms apart.
const LOOKS: usize = 600;

/// Dropping it kills it.
pub(crate) struct Process {
    /// Where it listens.
    pub(crate) url: String,
    child: Child,
    name: String,
    log: PathBuf,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _ended_already = self.child.wait();
    }
}

impl Process {
    /// Starts it; its log goes to the folder.
    pub(crate) fn start(
        name: &str,
        mut command: Command,
        listen: SocketAddr,
        folder: &TempDir,
    ) -> Result<Self, Failure> {
        let log = folder.path().join(format!("{name}.log"));
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()
            .map_err(|error| format!("{name} cannot be started: {error}"))?;
        Ok(Self { url: format!("http://{listen}"), child, name: name.to_owned(), log })
    }

    /// Waits until it is ready.
    pub(crate) async fn ready(mut self) -> Result<Self, Failure> {
        let client = HttpClient::over_tcp();
        let mut looks = tokio::time::interval(Duration::from_millis(100));
        for _ in 0..LOOKS {
            looks.tick().await;
            let request = Request::get(format!("{}/ready", self.url)).body(Bytes::new())?;
            let answer = client.call(request, Duration::from_secs(5)).await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(self);
            }
            if let Some(status) = self.child.try_wait()? {
                let log = std::fs::read_to_string(&self.log)?;
                return Err(format!("{} ended with {status}:\n{log}", self.name).into());
            }
        }
        Err(format!("{} did not become ready", self.name).into())
    }

    /// Orders it to end, as an orchestrator does.
    pub(crate) fn terminate(&self) -> Result<(), Failure> {
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        Ok(())
    }

    /// Blocks until it has ended.
    pub(crate) fn wait(mut self) -> Result<(), Failure> {
        self.child.wait()?;
        Ok(())
    }

    /// The processor time that it has used so far, of all its threads.
    pub(crate) fn cpu(&self) -> Result<Duration, Failure> {
        cpu::of(self.child.id())
    }
}

/// Free again at once, and rarely given to anybody else so soon.
pub(crate) fn free_port() -> std::io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}
