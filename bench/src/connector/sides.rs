//! Who is measured: the connector as it is shipped, the bare loop, and the platform that both call.

use std::path::Path;
use std::process::Stdio;

use chat4all_contracts::topic;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::ConnectorArgs;
use super::ledger::{Look, Report};
use super::scenario::Scenario;
use super::watched::Watched;
use crate::{Failure, PATIENCE};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Floor,
    Connector,
}

impl Side {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Connector => "connector",
        }
    }

    /// Starts it on a topic, as a member of a group of its own.
    pub(super) fn start(
        self,
        args: &ConnectorArgs,
        scenario: &Scenario,
        source: (&str, &str),
        platform: &str,
        log: &Path,
    ) -> Result<Watched, Failure> {
        let mut command = match self {
            Self::Floor => bare(args, scenario, source, platform)?,
            Self::Connector => connector(args, scenario, source, platform),
        };
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(std::fs::File::options().create(true).append(true).open(log)?);
        Watched::start(command)
    }
}

fn bare(
    args: &ConnectorArgs,
    scenario: &Scenario,
    (topic, group): (&str, &str),
    platform: &str,
) -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["bare", "--kafka", &args.kafka.kafka, "--topic", topic, "--group", group])
        .args(["--statuses", topic::STATUS_UPDATES, "--platform", platform])
        .args(["--in-flight", &scenario.in_flight.to_string()]);
    Ok(command)
}

fn connector(
    args: &ConnectorArgs,
    scenario: &Scenario,
    (topic, group): (&str, &str),
    platform: &str,
) -> Command {
    let name = args.installation.platform();
    let section = format!("CHAT4ALL__CONNECTORS__{}", name.to_uppercase());
    let account = format!("CHAT4ALL__PLATFORMS__{}__ACCOUNTS__DEFAULT", name.to_uppercase());
    let mut command =
        Command::new(args.installation.binaries.join(format!("chat4all-connector-{name}")));
    command
        .arg("--config")
        .arg(&args.installation.config)
        .env("KAFKA_BOOTSTRAP_SERVERS", &args.kafka.kafka)
        .env("KAFKA_TOPIC", topic)
        .env("KAFKA_GROUP_ID", group)
        .env("CHAT4ALL__SIMULATION__URL", platform)
        .env(format!("{section}__LISTEN"), "127.0.0.1:0")
        .env(format!("{section}__POLICY__MAX_IN_FLIGHT"), scenario.in_flight.to_string())
        // The highest pace that can be configured: it holds nobody up.
        .env(format!("{account}__PER_SECOND"), "100000");
    // Those of the stack are not ours to pass on.
    for variable in ["CHAT4ALL_STACK_KAFKA", "CHAT4ALL_STACK_CASSANDRA", "CHAT4ALL_STACK_FOLDER"] {
        command.env_remove(variable);
    }
    command
}

/// The platform, a process of its own.
pub(super) struct Platform {
    /// Where it listens, as a URL.
    pub(super) url: String,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    /// Ends with this.
    _process: Watched,
}

#[derive(Deserialize)]
struct Begun {
    address: std::net::SocketAddr,
}

impl Platform {
    pub(super) async fn start(scenario: &Scenario, seed: u64) -> Result<Self, Failure> {
        let (least, most) = scenario.call_ms;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["stub", "--messages", &scenario.messages.to_string()])
            .args(["--conversations", &scenario.conversations.to_string()])
            .args(["--least-ms", &least.to_string(), "--most-ms", &most.to_string()])
            .args(["--seed", &seed.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = Watched::start(command)?;
        let child = process.child();
        let (Some(questions), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the platform has no pipes".into());
        };
        let mut answers = BufReader::new(output).lines();
        let Begun { address } = next(&mut answers).await?;
        Ok(Self { url: format!("http://{address}"), questions, answers, _process: process })
    }

    async fn ask<T: DeserializeOwned>(&mut self, question: &str) -> Result<T, Failure> {
        self.questions.write_all(question.as_bytes()).await?;
        next(&mut self.answers).await
    }

    pub(super) async fn look(&mut self) -> Result<Look, Failure> {
        self.ask("look\n").await
    }

    pub(super) async fn report(&mut self) -> Result<Report, Failure> {
        self.ask("report\n").await
    }
}

async fn next<T: DeserializeOwned>(
    answers: &mut Lines<BufReader<ChildStdout>>,
) -> Result<T, Failure> {
    let line = timeout(PATIENCE, answers.next_line()).await??.ok_or("the platform has ended")?;
    Ok(serde_json::from_str(&line)?)
}
