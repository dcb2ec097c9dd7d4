//! One process of a service: what it runs, its signals, its end, its metrics.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::programs::program;
use super::{Http, PATIENCE, POLL, eventually};

/// How many lines of a process's log a failing test shows.
const LAST_WORDS: usize = 30;

/// Calls that a hand-over of their partition has cut off: the next owner makes them again.
pub const OUTLASTED: &str = "chat4all_calls_outlasted_drain_total";

/// What a process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Stands in for the platforms.
    Simulator,
    /// What clients talk to.
    Api,
    /// Sends messages on to their platforms' topics.
    Router,
    /// Writes what became of messages to the store.
    StatusConsumer,
    /// Of the platform with this name.
    Connector(&'static str),
}

impl Role {
    /// The five services, in the order in which they are restarted.
    pub const SERVICES: [Self; 5] = [
        Self::Api,
        Self::Router,
        Self::Connector("whatsapp"),
        Self::Connector("instagram"),
        Self::StatusConsumer,
    ];

    /// Of its first process.
    pub fn name(self) -> String {
        match self {
            Self::Simulator => "simulator".to_owned(),
            Self::Api => "api".to_owned(),
            Self::Router => "router".to_owned(),
            Self::StatusConsumer => "status-consumer".to_owned(),
            Self::Connector(platform) => format!("connector-{platform}"),
        }
    }

    /// The key of the address where it listens.
    pub fn listen(self) -> String {
        match self {
            Self::Simulator => "simulation.simulator.listen".to_owned(),
            Self::Api => "api.listen".to_owned(),
            Self::Router => "router.listen".to_owned(),
            Self::StatusConsumer => "status_consumer.listen".to_owned(),
            Self::Connector(platform) => format!("connectors.{platform}.listen"),
        }
    }

    /// Its consumer group, and the topics that this reads.
    pub fn group(self) -> Option<(String, Vec<String>)> {
        let topics = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        match self {
            Self::Simulator | Self::Api => None,
            Self::Router => Some(("chat4all-router".to_owned(), topics(&["messages"]))),
            Self::StatusConsumer => {
                let read = topics(&["messages", "status-updates", "receipts"]);
                Some(("chat4all-status-consumer".to_owned(), read))
            }
            Self::Connector(platform) => {
                let group = format!("{platform}-connector-group");
                Some((group, vec![format!("{platform}-outbound")]))
            }
        }
    }
}

/// A process. Dropping it kills it.
pub struct Service {
    /// Tells it from other processes of its role.
    pub name: String,
    /// Where it listens.
    pub port: u16,
    child: Child,
    pid: Pid,
    stdout: PathBuf,
    log: PathBuf,
}

impl Service {
    /// Starts it with a configuration file; its output goes to the folder.
    pub fn spawn(role: Role, name: &str, port: u16, config: &Path, folder: &Path) -> Self {
        let mut command = Command::new(program(&format!("chat4all-{}", role.name())));
        let is_ours = |name: &str| name.starts_with("CHAT4ALL") || name.starts_with("KAFKA_");
        for (name, _) in std::env::vars().filter(|(name, _)| is_ours(name)) {
            command.env_remove(name);
        }
        let listen = format!("CHAT4ALL__{}", role.listen().replace('.', "__").to_uppercase());
        command.env(listen, format!("127.0.0.1:{port}")).env("CHAT4ALL_LOG", "info");
        command.arg("--config").arg(config).current_dir(folder);
        // Ctrl-C is for whoever started it.
        command.process_group(0);
        let (stdout, log) =
            (folder.join(format!("{name}.out")), folder.join(format!("{name}.log")));
        // The log goes on over restarts; the start line is that of this process.
        let append = File::options().create(true).append(true).open(&log).expect("a file");
        command.stdin(Stdio::null()).stderr(append);
        command.stdout(File::create(&stdout).expect("a file"));
        let child = command.kill_on_drop(true).spawn().expect("the executable starts");
        let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let pid = pid.expect("it has not been waited for");
        Self { name: name.to_owned(), port, child, pid, stdout, log }
    }

    /// Waits until it says that it runs.
    pub async fn started(&mut self) -> Value {
        let what = format!("{} has started", self.name);
        let (stdout, log, child) = (&self.stdout, &self.log, &mut self.child);
        let line = eventually(&what, async || {
            let ended = child.try_wait().expect("it can be waited for");
            assert!(ended.is_none(), "it ended with {ended:?}\n{}", last_words(log));
            fs::read_to_string(stdout).ok().filter(|text| text.ends_with('\n'))
        });
        serde_json::from_str(&line.await).unwrap_or_default()
    }

    /// Whether it runs no more.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it can be waited for").is_some()
    }

    /// `http://…` of this process.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("the process is there and ours");
    }

    /// `kill -9`, and its end.
    pub async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.wait().await.expect("it can be waited for");
    }

    /// SIGTERM; its exit code.
    pub async fn terminate(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.ended().await.code()
    }

    /// SIGTERM; its exit code, and the last sum of a metric that it showed.
    pub async fn terminate_reading(&mut self, http: &Http, metric: &str) -> (Option<i32>, u64) {
        let mut last = self.metric(http, metric, "").await.unwrap_or(0);
        self.signal(Signal::TERM);
        loop {
            // Metrics are served until the last moment; once they are not, the end is near.
            match self.metric(http, metric, "").await {
                Some(value) => last = value,
                None => return (self.ended().await.code(), last),
            }
            tokio::time::sleep(POLL).await; // sleep: another process tells nobody when
        }
    }

    async fn ended(&mut self) -> ExitStatus {
        let ended = timeout(PATIENCE, self.child.wait()).await;
        ended.unwrap_or_else(|_| panic!("{} does not end", self.name)).expect("an end")
    }

    /// The sum of a metric's samples whose labels contain a text; `None` if nobody answers.
    pub async fn metric(&self, http: &Http, name: &str, labels: &str) -> Option<u64> {
        let text = http.text(&format!("{}/metrics", self.url())).await?;
        let samples = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        let samples = samples.filter(|line| line.contains(labels));
        let values = samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        Some(values.sum::<f64>() as u64)
    }

    /// Waits until a platform's connector has so many calls in flight.
    pub async fn in_mid_flight(&self, http: &Http, calls: u64) {
        eventually(&format!("{} has {calls} calls in flight", self.name), async || {
            let in_flight = self.metric(http, "chat4all_deliveries_in_flight", "").await?;
            (in_flight >= calls).then_some(())
        })
        .await;
    }
}

fn last_words(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n")
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{} has said last, in {}:", self.name, self.log.display());
            eprintln!("{}", last_words(&self.log));
        }
        // A frozen one dies too; one that has been waited for is no error.
        let _ended_meanwhile = self.child.start_kill();
    }
}
