//! The simulator beside us: the same executable as a child process. It is restarted when it dies,
//! and ends with us, however we end, because it watches its standard input.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use chat4all_process::backoff::{Backoff, BackoffPolicy};
use chat4all_process::{Failure, Random, Shutdown, exit};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use crate::cli::ConfigArgs;

/// What the child says when its port is served.
pub(crate) const READY: &str = "ready";

/// How long the child may take to say so; it waits some of this for its port.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the child may take to end. What it has not sent is in its ledger.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a dead child is waited for before the next is started.
const RESTART: BackoffPolicy =
    BackoffPolicy::new(Duration::from_millis(50), Duration::from_secs(5));

/// A child and its lifeline.
struct Running {
    child: Child,
    /// Closed = end. Held apart from the child, because waiting for a child closes its input.
    lifeline: ChildStdin,
}

/// A running simulator.
pub(crate) struct SimulatorProcess {
    running: Running,
    config: ConfigArgs,
}

impl SimulatorProcess {
    /// Starts the child and waits until it serves its port.
    pub(crate) async fn start(config: &ConfigArgs) -> Result<Self, Failure> {
        let running = start_child(config).await?;
        Ok(Self { running, config: config.clone() })
    }

    /// Restarts the child whenever it ends, until `stop`; then closes its input and waits.
    pub(crate) async fn keep_alive(self, random: Random, stop: Shutdown) {
        let Self { mut running, config } = self;
        let mut backoff = Backoff::new(RESTART, random);
        while let Some(ended) = stop.unless(running.child.wait()).await {
            let status = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
            tracing::warn!(status, "the simulator ended; starting it again");
            match stop.unless(start_again(&config, &mut backoff)).await {
                Some(again) => running = again,
                None => return,
            }
        }
        let Running { mut child, lifeline } = running;
        drop(lifeline);
        if timeout(STOP_TIMEOUT, child.wait()).await.is_err() {
            tracing::warn!("the simulator did not end in time and is killed");
        }
    }
}

/// Tries until a child runs.
async fn start_again(config: &ConfigArgs, backoff: &mut Backoff) -> Running {
    loop {
        tokio::time::sleep(backoff.next_half_jittered()).await;
        match start_child(config).await {
            Ok(running) => {
                backoff.reset();
                return running;
            }
            Err(Failure { text, .. }) => {
                tracing::error!(error = text, "the simulator could not be started");
            }
        }
    }
}

/// The program that we are. On Linux by its handle, not by its path: a release may have replaced
/// the file since we started.
fn executable() -> std::io::Result<PathBuf> {
    let ours = Path::new("/proc/self/exe");
    if ours.exists() { Ok(ours.to_owned()) } else { std::env::current_exe() }
}

async fn start_child(config: &ConfigArgs) -> Result<Running, Failure> {
    let software = |error: std::io::Error| {
        Failure::new(exit::SOFTWARE, format!("the simulator could not be started: {error}"))
    };
    let mut command = Command::new(executable().map_err(software)?);
    command.arg0("chat4all");
    if let Some(file) = &config.config {
        command.arg("--config").arg(file);
    }
    command.arg("simulator").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    // A group of its own: Ctrl-C is for us, and we end it when it is no longer needed.
    command.process_group(0);
    let mut child = command.spawn().map_err(software)?;
    let (Some(output), Some(lifeline)) = (child.stdout.take(), child.stdin.take()) else {
        return Err(Failure::new(exit::SOFTWARE, "the simulator has no pipes to us"));
    };
    let mut lines = BufReader::new(output).lines();
    match timeout(START_TIMEOUT, lines.next_line()).await {
        Ok(Ok(Some(line))) if line == READY => Ok(Running { child, lifeline }),
        Ok(_) => Err(ended_early(child.wait().await)),
        Err(_) => Err(Failure::new(exit::SOFTWARE, "the simulator did not get ready within 10 s")),
    }
}

/// The child has said on standard error what was wrong; its code is ours.
fn ended_early(status: std::io::Result<ExitStatus>) -> Failure {
    let code = status.ok().and_then(|status| status.code());
    let code = code.and_then(|code| u8::try_from(code).ok()).filter(|code| *code != 0);
    Failure::new(code.unwrap_or(exit::SOFTWARE), "the simulator ended before it was ready")
}
