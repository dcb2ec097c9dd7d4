//! One installation: a folder with a configuration, and the processes that run on it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use super::{Http, PATIENCE, Running, eventually, ports};

/// The listening keys, and the names of their ports.
const LISTENERS: [(&str, &str); 6] = [
    ("api", "api.listen"),
    ("router", "router.listen"),
    ("whatsapp", "connectors.whatsapp.listen"),
    ("instagram", "connectors.instagram.listen"),
    ("status-consumer", "status_consumer.listen"),
    ("simulator", "simulation.simulator.listen"),
];

/// A folder, ports of its own, and settings.
pub struct Installation {
    folder: TempDir,
    ports: BTreeMap<&'static str, u16>,
    settings: BTreeMap<String, String>,
    log_filter: String,
    executable: PathBuf,
    runs: usize,
}

/// A process that has ended by itself.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Installation {
    /// Quick platforms and a quick repetition of calls in doubt; everything else as by default.
    pub fn new() -> Self {
        let ports: [u16; LISTENERS.len()] = ports::free();
        let ports = LISTENERS.iter().zip(ports).map(|((name, _), port)| (*name, port)).collect();
        let folder = tempfile::tempdir().expect("a folder");
        let (settings, log_filter) = (BTreeMap::new(), "info".to_owned());
        let executable = PathBuf::from(env!("CARGO_BIN_EXE_chat4all"));
        let mut new = Self { folder, ports, settings, log_filter, executable, runs: 0 };
        for (name, key) in LISTENERS {
            let at = format!("\"127.0.0.1:{}\"", new.ports[name]);
            new = new.set(key, &at);
        }
        let data = format!("{:?}", new.data());
        new = new.set("data", &data);
        for platform in ["whatsapp", "instagram"] {
            new = new.set(&format!("connectors.{platform}.policy.in_doubt_wait_ms"), "1000");
        }
        new.latency_ms(20, 60).simulator("delivered_after", 10, 40).simulator("read_after", 10, 40)
    }

    /// Sets a key to a value as TOML writes it.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.insert(key.to_owned(), value.to_owned());
        self
    }

    fn simulator(self, key: &str, low: u32, high: u32) -> Self {
        let key = format!("simulation.simulator.{key}");
        self.set(&format!("{key}_min_ms"), &low.to_string())
            .set(&format!("{key}_max_ms"), &high.to_string())
    }

    /// How long the simulated platforms take for an answer.
    pub fn latency_ms(self, low: u32, high: u32) -> Self {
        self.simulator("latency", low, high)
    }

    /// The pace of both platforms' accounts, and their most calls at once.
    pub fn limits(mut self, per_second: u32, max_in_flight: u32) -> Self {
        for platform in ["whatsapp", "instagram"] {
            let account = format!("platforms.{platform}.accounts.default.per_second");
            let policy = format!("connectors.{platform}.policy.max_in_flight");
            self = self.set(&account, &per_second.to_string());
            self = self.set(&policy, &max_in_flight.to_string());
        }
        self
    }

    /// What is logged.
    pub fn log(mut self, filter: &str) -> Self {
        filter.clone_into(&mut self.log_filter);
        self
    }

    /// Runs from a copy of the executable, which the test may remove.
    pub fn own_executable(mut self) -> Self {
        let copy = self.folder.path().join("chat4all");
        fs::copy(&self.executable, &copy).expect("the folder takes a copy");
        self.executable = copy;
        self
    }

    pub fn executable(&self) -> &Path {
        &self.executable
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn port(&self, of: &str) -> u16 {
        self.ports[of]
    }

    /// `http://…` of a listener.
    pub fn url(&self, of: &str) -> String {
        format!("http://127.0.0.1:{}", self.port(of))
    }

    /// Writes the configuration and returns its path.
    pub fn write_config(&self) -> PathBuf {
        let mut text = String::new();
        for (key, value) in &self.settings {
            writeln!(text, "{key} = {value}").expect("a string takes everything");
        }
        let path = self.folder.path().join("chat4all.toml");
        fs::write(&path, text).expect("the folder takes a file");
        path
    }

    /// The executable, in the folder, free of this process's settings.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.executable);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CHAT4ALL")) {
            command.env_remove(name);
        }
        command.current_dir(self.folder.path()).env("CHAT4ALL_LOG", &self.log_filter);
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs the executable with arguments until it ends.
    pub async fn run(&self, args: &[&str]) -> Ended {
        let mut command = self.command();
        let output = timeout(PATIENCE, command.args(args).output()).await;
        let output = output.expect("it ends").expect("it starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ended {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// As [`Installation::run`], for a command that talks to the API.
    pub async fn client(&self, args: &[&str]) -> Ended {
        let api = self.url("api");
        let args: Vec<&str> = args.iter().copied().chain(["--api", &api]).collect();
        self.run(&args).await
    }

    /// Tries to start everything, which must end by itself.
    pub async fn try_start(&self) -> Ended {
        self.write_config();
        self.run(&[]).await
    }

    /// Starts everything and waits for the start line.
    pub async fn start(&mut self) -> Running {
        let config = self.write_config();
        self.runs += 1;
        let file = |kind: &str| self.folder.path().join(format!("run-{}.{kind}", self.runs));
        let (stdout, stderr) = (file("stdout"), file("stderr"));
        let mut command = self.command();
        command.arg("--config").arg(config);
        command.stdout(File::create(&stdout).expect("a file"));
        command.stderr(File::create(&stderr).expect("a file"));
        let mut child = command.spawn().expect("the executable starts");
        let started = eventually("the start line", async || {
            let line = fs::read_to_string(&stdout).ok().filter(|text| text.ends_with('\n'));
            let ended = child.try_wait().expect("it can be waited for");
            let text = || fs::read_to_string(&stderr).unwrap_or_default();
            assert!(ended.is_none(), "it ended with {ended:?}\n{}", text());
            line
        });
        let started: Value = serde_json::from_str(&started.await).expect("JSON");
        assert_eq!(started["event"], "started");
        Running::new(child, started, stderr)
    }

    /// Everything that all runs have written to their standard outputs.
    pub fn outputs(&self) -> String {
        let mut text = String::new();
        for entry in fs::read_dir(self.folder.path()).expect("the folder").flatten() {
            if entry.file_name().to_string_lossy().starts_with("run-") {
                text += &fs::read_to_string(entry.path()).expect("UTF-8");
            }
        }
        text
    }

    /// The metrics, as the API's port shows them.
    pub async fn metrics(&self, http: &Http) -> String {
        let url = format!("{}/metrics", self.url("api"));
        let answer = http.call(http::Method::GET, &url, &[], "").await;
        answer.map(|answer| answer.text).unwrap_or_default()
    }

    /// The sum of a metric's samples whose labels contain a text.
    pub async fn metric(&self, http: &Http, name: &str, labels: &str) -> u64 {
        let text = self.metrics(http).await;
        let samples = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        let samples = samples.filter(|line| line.contains(labels));
        let values = samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        values.sum::<f64>() as u64
    }
}
