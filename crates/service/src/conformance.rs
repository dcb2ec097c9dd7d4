//! What every service's executable does, as one suite that each one's own tests run.
//!
//! A test calls [`service_conformance!`](crate::service_conformance) with its [`Executable`].
//! Nothing here needs a server: what is said about Kafka is that it is away, or does not answer.

// The suite is test code that lives in the library so that the services' packages can run it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

/// How long anything may take before a test fails. It bounds failures and synchronises nothing.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An executable, and a configuration that is enough for it.
#[derive(Clone, Copy)]
pub struct Executable {
    /// Its path: `env!("CARGO_BIN_EXE_…")`.
    pub path: &'static str,
    /// What it is called.
    pub name: &'static str,
    /// A file that is enough, without its address.
    pub file: &'static str,
    /// The key of its address.
    pub listen_key: &'static str,
}

/// A process that has ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Executable {
    /// The executable in a folder of its own, free of this process's settings.
    pub fn command(&self, folder: &tempfile::TempDir) -> Command {
        let mut command = Command::new(self.path);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CHAT4ALL") || name.starts_with("KAFKA_") {
                command.env_remove(&*name);
            }
        }
        command.current_dir(folder.path()).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs it to its end with a file and variables.
    pub async fn run(&self, file: &str, args: &[&str], variables: &[(&str, &str)]) -> Ended {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("chat4all.toml"), file).unwrap();
        let mut command = self.command(&folder);
        command.args(args).envs(variables.iter().copied());
        let output = timeout(PATIENCE, command.output()).await.expect("it ends").unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Ended {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// What `--check` says to a file and variables; it must be content.
    pub async fn checked(&self, file: &str, variables: &[(&str, &str)]) -> Value {
        let ended = self.run(file, &["--check"], variables).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        serde_json::from_str(&ended.stdout).unwrap()
    }

    /// What it says to a file and variables that it must refuse.
    pub async fn refused(&self, file: &str, variables: &[(&str, &str)]) -> String {
        let ended = self.run(file, &[], variables).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(64), ""), "{ended:?}");
        assert!(ended.stderr.contains("fix: "), "{}", ended.stderr);
        ended.stderr
    }
}

pub async fn the_help_says_what_it_reads_and_how_it_ends(executable: Executable) {
    let ended = executable.run("", &["--help"], &[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for word in ["--config", "--check", "KAFKA_BOOTSTRAP_SERVERS", "Examples:", "64 ", "70 "] {
        assert!(ended.stdout.contains(word), "{word} is missing in {}", ended.stdout);
    }
    assert!(ended.stdout.contains(&format!("{} --check", executable.name)), "{}", ended.stdout);
    let wrong = executable.run("", &["--colour"], &[]).await;
    assert_eq!(wrong.code, Some(64), "{wrong:?}");
}

pub async fn a_check_says_what_would_run_and_touches_nothing(executable: Executable) {
    // Were a port bound or a broker called, this address and these brokers would not do.
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let variables =
        [(variable(executable.listen_key), address.as_str()), (SERVERS.to_owned(), "nowhere:1")];
    let variables = variables.each_ref().map(|(name, value)| (name.as_str(), *value));
    let checked = executable.checked(executable.file, &variables).await;
    assert_eq!(checked["event"], "checked");
    assert_eq!(format!("chat4all-{}", checked["service"].as_str().unwrap()), executable.name);
    assert_eq!((&checked["listen"], &checked["kafka"]), (&address.into(), &"nowhere:1".into()));
    assert!(!checked["topics"].as_object().unwrap().is_empty(), "{checked}");
}

pub async fn a_wrong_configuration_is_refused_with_its_key(executable: Executable) {
    for (extra, words) in [
        ("[colours]\n", ["colours", "is not a known section"]),
        ("[kafka]\ncolour = 1\n", ["kafka.colour", "is not a known key"]),
        ("[kafka]\nbootstrap_servers = 'a'\n", ["kafka.bootstrap_servers = a", "host:port"]),
        ("[topics]\nretention_hours = 1\n", ["topics.retention_hours = 1", "72 to 87600"]),
    ] {
        let told = executable.refused(&format!("{}{extra}", executable.file), &[]).await;
        assert!(words.iter().all(|word| told.contains(word)), "{words:?}: {told}");
    }
    let misspelt = executable.refused(executable.file, &[("CHAT4ALL_KAFKA__X", "1")]).await;
    assert!(misspelt.contains("CHAT4ALL_KAFKA__X"), "{misspelt}");
    let listen = (variable(executable.listen_key), "everywhere");
    let told = executable.refused(executable.file, &[(&listen.0, listen.1)]).await;
    assert!(told.contains(&format!("{} = everywhere", executable.listen_key)), "{told}");
    let missing = executable.run("", &["--config", "nowhere.toml"], &[]).await;
    assert_eq!(missing.code, Some(64), "{missing:?}");
}

pub async fn our_own_variable_is_stronger_than_the_plain_one(executable: Executable) {
    let file = format!("{}[kafka]\nbootstrap_servers = 'file:1'\n", executable.file);
    let kafka = async |variables: &[(&str, &str)]| {
        let checked = executable.checked(&file, variables).await;
        (checked["kafka"].as_str().unwrap().to_owned(), checked["warnings"].to_string())
    };
    assert_eq!(kafka(&[]).await.0, "file:1");
    let plain = (SERVERS, "plain:1");
    let ours = ("CHAT4ALL__KAFKA__BOOTSTRAP_SERVERS", "ours:1");
    assert_eq!(kafka(&[plain]).await.0, "plain:1");
    let (servers, warnings) = kafka(&[plain, ours]).await;
    assert_eq!(servers, "ours:1");
    assert!(warnings.contains("KAFKA_BOOTSTRAP_SERVERS is ignored"), "{warnings}");
}

pub async fn a_port_in_use_is_refused_with_its_key(executable: Executable) {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let listen = (variable(executable.listen_key), address.as_str());
    let told = executable.refused(executable.file, &[(&listen.0, listen.1)]).await;
    assert!(told.contains(&format!("{} = {address}", executable.listen_key)), "{told}");
}

pub async fn without_kafka_it_answers_probes_and_ends_when_it_is_told(executable: Executable) {
    // A broker that is away, and one that takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = silent.local_addr().map(|at| (silent, at.to_string())).unwrap();
    for servers in ["127.0.0.1:1", &silent.1] {
        let mut running = Running::start(executable, servers).await;
        let health = running.get("/health").await;
        assert!(health.ends_with(r#"{"status":"healthy"}"#), "{health}");
        let ready = running.get("/ready").await;
        assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("\"log\":"), "{ready}");
        let metrics = running.get("/metrics").await;
        assert!(metrics.contains("# HELP chat4all_"), "{metrics}");
        let early = running.get("/v1/messages").await;
        assert!(early.starts_with("HTTP/1.1 503") && early.contains("retry-after"), "{early}");
        assert_eq!(running.terminate().await, Some(0));
    }
}

const SERVERS: &str = "KAFKA_BOOTSTRAP_SERVERS";

fn variable(key: &str) -> String {
    format!("CHAT4ALL__{}", key.replace('.', "__").to_uppercase())
}

/// A process that answers probes.
struct Running {
    child: Child,
    _stderr: Lines<BufReader<ChildStderr>>,
    address: String,
    _folder: tempfile::TempDir,
}

impl Running {
    async fn start(executable: Executable, servers: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("chat4all.toml"), executable.file).unwrap();
        let mut command = executable.command(&folder);
        command.env(variable(executable.listen_key), "127.0.0.1:0").env(SERVERS, servers);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = timeout(PATIENCE, async {
            loop {
                let line = stderr.next_line().await.unwrap().expect("it runs");
                let line: Value = serde_json::from_str(&line).unwrap_or_default();
                if let Some(endpoint) = line["endpoint"].as_str() {
                    break endpoint.trim_start_matches("http://").to_owned();
                }
            }
        });
        let address = address.await.expect("it says where it listens");
        Self { child, _stderr: stderr, address, _folder: folder }
    }

    /// The whole answer as text.
    async fn get(&mut self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = timeout(PATIENCE, stream.read_to_string(&mut answer)).await;
        read.expect("an answer").unwrap();
        answer
    }

    async fn terminate(&mut self) -> Option<i32> {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
        timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap().code()
    }
}

/// Runs the suite on an [`Executable`].
#[macro_export]
macro_rules! service_conformance {
    ($executable:expr) => {
        $crate::service_conformance!(@each $executable,
            the_help_says_what_it_reads_and_how_it_ends,
            a_check_says_what_would_run_and_touches_nothing,
            a_wrong_configuration_is_refused_with_its_key,
            our_own_variable_is_stronger_than_the_plain_one,
            a_port_in_use_is_refused_with_its_key,
            without_kafka_it_answers_probes_and_ends_when_it_is_told
        );
    };
    (@each $executable:expr, $($case:ident),*) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::conformance::$case($executable).await;
            }
        )*
    };
}
