//! The API beside the least that can do the same: axum, one append, one insert; and for a page of a
//! conversation, one select. On the embedded log and store, or on the real servers.

mod embedded_floor;
mod floor;
mod load;
mod report;
mod served;
mod servers_floor;

use std::process::Command;

use clap::{Args, ValueEnum};
use tempfile::TempDir;

use crate::options::{Cassandra, Installation, Kafka, Output};
use crate::process::{Process, free_port};
use crate::{Failure, progress};

pub(crate) use floor::{ServeFloorArgs, serve as serve_floor};
pub(crate) use served::{ServeApiArgs, serve as serve_embedded};

use load::{Load, Measured};
use report::{Figures, Report};

/// What log and store are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum On {
    /// SQLite files: the API alone, without the services that share its process on a laptop
    Embedded,
    /// Kafka and Cassandra of `cargo xtask stack up`
    Servers,
}

/// What is measured.
#[derive(Args)]
pub(crate) struct ApiArgs {
    /// On what
    #[arg(long, value_enum, default_value_t = On::Embedded)]
    on: On,
    /// Messages of one round, after a tenth as many to warm up
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(100..))]
    messages: u32,
    /// Pages of one round
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(10..))]
    pages: u32,
    /// Messages of the conversation whose pages are read, 50 each
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..))]
    conversation: u32,
    /// Requests under way at a time
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    clients: u32,
    /// How often floor and API are measured, in turn; medians are shown
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    #[command(flatten)]
    installation: Installation,
    #[command(flatten)]
    kafka: Kafka,
    #[command(flatten)]
    cassandra: Cassandra,
    #[command(flatten)]
    output: Output,
}

/// One process that is measured; the floor is always the first of the two.
struct Side {
    process: Process,
    load: Load,
    accepted: Vec<Measured>,
    paged: Vec<Measured>,
}

/// Measures both sides in turn.
///
/// # Errors
/// If a process does not start, or a request is not answered as it should be.
pub(crate) async fn run(args: &ApiArgs) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let mut sides = Vec::new();
    for process in [floor_process(args, &folder)?, api_process(args, &folder)?] {
        let process = process.ready().await?;
        let load = Load::new(&process.url, &args.installation.receiver, args.clients);
        sides.push(Side { process, load, accepted: Vec::new(), paged: Vec::new() });
    }
    for side in &mut sides {
        side.load.post(args.messages / 10, 100).await?;
        side.load.fill(args.conversation).await?;
    }
    for round in 1..=args.rounds {
        for (side, name) in sides.iter_mut().zip(["floor", "API"]) {
            progress::say(&format!("round {round} of {}: {name}", args.rounds));
            let before = side.process.cpu()?;
            let mut accepted = side.load.post(args.messages, 1_000).await?;
            accepted.cpu = side.process.cpu()? - before;
            side.accepted.push(accepted);
            let before = side.process.cpu()?;
            let mut paged = side.load.read_pages(args.pages).await?;
            paged.cpu = side.process.cpu()? - before;
            side.paged.push(paged);
        }
    }
    progress::clear();
    let [floor, api] = [&sides[0], &sides[1]];
    let report = Report {
        on: args.on,
        rows: [
            ("POST to 202", Figures::of(&floor.accepted), Figures::of(&api.accepted)),
            ("page of 50", Figures::of(&floor.paged), Figures::of(&api.paged)),
        ],
    };
    args.output.show(&report.json(), || report.table())
}

/// The floor: this program again.
fn floor_process(args: &ApiArgs, folder: &TempDir) -> Result<Process, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["serve-floor", "--listen"]);
    let listen = free_port()?;
    command.arg(listen.to_string());
    match args.on {
        On::Embedded => {
            command.arg("--folder").arg(folder.path());
        }
        On::Servers => {
            command.args(["--kafka", &args.kafka.kafka]);
            command.args(["--cassandra", &args.cassandra.cassandra]);
        }
    }
    Process::start("floor", command, listen, folder)
}

fn api_process(args: &ApiArgs, folder: &TempDir) -> Result<Process, Failure> {
    let listen = free_port()?;
    let command = match args.on {
        On::Embedded => {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["serve-api", "--listen", &listen.to_string(), "--folder"]);
            command.arg(folder.path()).args(["--receiver", &args.installation.receiver]);
            command
        }
        On::Servers => {
            let mut command = Command::new(args.installation.binaries.join("chat4all-api"));
            command.arg("--config").arg(&args.installation.config);
            command.env("KAFKA_BOOTSTRAP_SERVERS", &args.kafka.kafka);
            command.env("CHAT4ALL__CASSANDRA__CONTACT_POINTS", &args.cassandra.cassandra);
            command.env("CHAT4ALL__CASSANDRA__KEYSPACE", "chat4all_bench");
            command.env("CHAT4ALL__API__LISTEN", listen.to_string());
            command
        }
    };
    Process::start("api", command, listen, folder)
}
