//! A process under measurement: what it has used, as the system counts it.

use serde::Serialize;
use tokio::process::{Child, Command};

use crate::{Failure, cpu};

/// Killed when dropped.
pub(super) struct Watched {
    child: Child,
    id: u32,
}

/// Resident memory, in MiB.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Memory {
    pub(super) now: f64,
    pub(super) peak: f64,
}

impl Watched {
    pub(super) fn start(mut command: Command) -> Result<Self, Failure> {
        let name = command.as_std().get_program().to_owned();
        let child = command.kill_on_drop(true).spawn().map_err(|error| {
            format!(
                "{} cannot be started: {error}\n  fix: cargo build --release --workspace --bins, or --binaries",
                name.to_string_lossy()
            )
        })?;
        let id = child.id().ok_or("a process has ended at its start")?;
        Ok(Self { child, id })
    }

    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Seconds of CPU so far, user and kernel.
    pub(super) fn cpu(&self) -> Result<f64, Failure> {
        Ok(cpu::of(self.id)?.as_secs_f64())
    }

    pub(super) fn memory(&self) -> Result<Memory, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id))?;
        Ok(Memory { now: mib(&status, "VmRSS:"), peak: mib(&status, "VmHWM:") })
    }

    /// An error if it has ended by itself.
    pub(super) fn check(&mut self) -> Result<(), Failure> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("a process under measurement ended with {status}").into()),
        }
    }

    /// Asks it to end, as an orchestrator does, and waits.
    pub(super) async fn stop(mut self) -> Result<(), Failure> {
        if let Some(id) = self.child.id() {
            Command::new("kill").arg(id.to_string()).status().await?;
        }
        self.child.wait().await?;
        Ok(())
    }

    /// kill -9.
    pub(super) async fn kill(mut self) -> Result<(), Failure> {
        Ok(self.child.kill().await?)
    }
}

fn mib(status: &str, name: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_mib() {
        let status = "VmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n";
        assert_eq!((mib(status, "VmHWM:"), mib(status, "VmRSS:")), (2.0, 1.0));
    }
}
