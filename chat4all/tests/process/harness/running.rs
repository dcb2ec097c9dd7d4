//! A running `chat4all` and the simulator beside it: signals, and their end.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::Value;
use tokio::process::Child;
use tokio::time::timeout;

use super::{PATIENCE, eventually, processes};

/// How many lines of a process's log a failing test shows.
const LAST_WORDS: usize = 40;

/// A running `chat4all`. Dropping it kills it and its simulators.
pub struct Running {
    child: Child,
    pid: u32,
    /// The start line.
    pub started: Value,
    simulators: Vec<u32>,
    stderr: PathBuf,
}

impl Running {
    /// A process that has printed its start line.
    pub fn new(child: Child, started: Value, stderr: PathBuf) -> Self {
        let pid = child.id().expect("it has not been waited for");
        Self { child, pid, started, simulators: processes::children(pid), stderr }
    }

    /// The simulator beside it, as soon as there is one that is not known yet.
    pub async fn simulator(&mut self) -> u32 {
        eventually("a simulator", async || {
            let pid = *processes::children(self.pid).first()?;
            if !self.simulators.contains(&pid) {
                self.simulators.push(pid);
            }
            Some(pid)
        })
        .await
    }

    /// Kills its simulator, as `kill -9` does, and waits for the next one.
    pub async fn kill_simulator(&mut self) {
        let pid = self.simulator().await;
        processes::signal(pid, Signal::KILL);
        eventually("the simulator's end", async || (!processes::runs(pid)).then_some(())).await;
        assert_ne!(self.simulator().await, pid);
    }

    /// Kills it as `kill -9` does; its simulator lives on for a moment.
    pub async fn kill(mut self) -> Vec<u32> {
        self.simulator().await;
        processes::signal(self.pid, Signal::KILL);
        self.child.wait().await.expect("it can be waited for");
        std::mem::take(&mut self.simulators)
    }

    /// Kills it, and waits until its simulator has ended by itself.
    pub async fn kill_and_wait(self) {
        let simulators = self.kill().await;
        eventually("the end of the simulator with its parent", async || {
            (!simulators.iter().any(|pid| processes::runs(*pid))).then_some(())
        })
        .await;
    }

    /// Sends SIGTERM and returns the exit code; its simulator has ended by then.
    pub async fn terminate(mut self) -> Option<i32> {
        processes::signal(self.pid, Signal::TERM);
        let ended = timeout(PATIENCE, self.child.wait()).await.expect("it ends");
        for pid in &self.simulators {
            assert!(!processes::runs(*pid), "the simulator outlived its parent's clean end");
        }
        ended.expect("it can be waited for").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let text = fs::read_to_string(&self.stderr).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let last = lines.len().saturating_sub(LAST_WORDS);
            eprintln!("process {} has said last:\n{}", self.pid, lines[last..].join("\n"));
        }
        if self.child.id().is_some() {
            let children = processes::children(self.pid);
            // First the parent, which would start another simulator; its end closes their inputs.
            let _ended_meanwhile = self.child.start_kill();
            for pid in children {
                processes::end(pid);
            }
        }
    }
}
