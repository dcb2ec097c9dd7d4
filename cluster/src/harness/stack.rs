//! Kafka and Cassandra of one test, on ports and in a folder of their own. `cargo xtask stack`
//! does the work: what is tested here is what developers use.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tokio::task::spawn_blocking;

use super::ports;
use super::programs;

/// The other ports of a server, as distances from the one for clients.
const KAFKA_DISTANCES: [i32; 3] = [1, 2, 3];
const CASSANDRA_DISTANCES: [i32; 2] = [-2_042, -1_843];

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    /// The log.
    Kafka,
    /// The store.
    Cassandra,
}

/// What a server can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ends it at once.
    Kill,
    /// Freezes it.
    Stop,
    /// Lets a frozen one go on.
    Cont,
}

/// The servers. Dropping it kills them and deletes what they hold.
pub struct Stack {
    folder: PathBuf,
    kafka_wire: Option<SocketAddrV4>,
    /// Where Kafka listens.
    pub kafka: SocketAddrV4,
    /// Where Cassandra listens.
    pub cassandra: SocketAddrV4,
    /// One stack at a time in a folder, whoever wants one. Goes with the process.
    _lock: File,
}

impl Server {
    /// As it is called on command lines and in paths.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Cassandra => "cassandra",
        }
    }
}

impl Stack {
    /// Starts both servers with nothing in them, once nobody else has some in this folder.
    pub async fn start(root: &Path, kafka_wire: Option<SocketAddrV4>) -> Self {
        let lock = spawn_blocking({
            let root = root.to_owned();
            move || lock(&root)
        });
        let lock = lock.await.expect("the lock is taken");
        let address =
            |distances: &[i32]| SocketAddrV4::new(Ipv4Addr::LOCALHOST, ports::free(distances));
        let stack = Self {
            folder: root.join("stack"),
            kafka_wire,
            kafka: address(&KAFKA_DISTANCES),
            cassandra: address(&CASSANDRA_DISTANCES),
            _lock: lock,
        };
        // A test that was killed may have left its servers.
        stack.run(&["down", "--wipe"]).await;
        stack.run(&["up"]).await;
        stack
    }

    /// Where a wire to Kafka leads.
    pub fn kafka_behind_wire(&self) -> SocketAddrV4 {
        SocketAddrV4::new(*self.kafka.ip(), self.kafka.port() + 3)
    }

    /// Starts a server on what it held, and waits until it answers.
    pub async fn start_again(&self, server: Server) {
        self.run(&["start", server.name()]).await;
    }

    /// Sends a signal, and waits until it has taken effect.
    pub async fn signal(&self, server: Server, signal: Signal) {
        let signal = match signal {
            Signal::Kill => "KILL",
            Signal::Stop => "STOP",
            Signal::Cont => "CONT",
        };
        self.run(&["kill", server.name(), "--signal", signal]).await;
    }

    /// Lets a frozen server go on, and starts one that is not there.
    pub async fn go_on(&self, server: Server) {
        let mut thaw = self.command(&["kill", server.name(), "--signal", "CONT"]);
        // One that is not there cannot be thawed.
        let _thawed = spawn_blocking(move || thaw.output()).await.expect("xtask is waited for");
        self.start_again(server).await;
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(programs::xtask());
        command.arg("stack").args(arguments).stdin(Stdio::null());
        // Ctrl-C is for whoever started it.
        command.process_group(0);
        command.env("CHAT4ALL_STACK_FOLDER", &self.folder);
        command.env("CHAT4ALL_STACK_KAFKA", self.kafka.to_string());
        command.env("CHAT4ALL_STACK_CASSANDRA", self.cassandra.to_string());
        if let Some(wire) = self.kafka_wire {
            command.env("CHAT4ALL_STACK_KAFKA_WIRE", wire.to_string());
        }
        // These servers live for two minutes: what the second compiler costs is never earned back.
        command.env("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1");
        command
    }

    async fn run(&self, arguments: &[&str]) {
        let mut command = self.command(arguments);
        let output = spawn_blocking(move || command.output()).await.expect("xtask is waited for");
        let output = output.expect("xtask runs");
        assert!(output.status.success(), "xtask stack {arguments:?}: {}", said(&output));
    }
}

fn lock(root: &Path) -> File {
    fs::create_dir_all(root).expect("the folder can be made");
    let lock = File::create(root.join("lock")).expect("the folder takes a file");
    lock.lock().expect("the file can be locked");
    lock
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}

impl Drop for Stack {
    fn drop(&mut self) {
        // Their data is not wanted any more: they need not end in good order. One that was killed
        // by the test already is no error.
        for arguments in [&["kill", "kafka"], &["kill", "cassandra"], &["down", "--wipe"]] {
            let output = self.command(arguments).output();
            if arguments[0] == "down"
                && let Some(failed) = output.ok().filter(|output| !output.status.success())
            {
                eprintln!("the servers could not be removed: {}", said(&failed));
            }
        }
    }
}
