//! Benchmarks on real servers. A figure alone says more about the machine than about the program,
//! so each stands beside its floor: the least that the same work can cost, written on the bare
//! clients and measured in the same run, in turn.

mod api;
mod connector;
mod cpu;
mod floor;
mod options;
mod platform;
mod process;
mod progress;
mod report;
mod services;
mod statistics;
mod whole;

use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use chat4all_process::http_client::{HttpClient, HttpPort};
use clap::{Parser, Subcommand};
use http::Request;
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::connector::{BareArgs, ConnectorArgs, StubArgs};
use crate::floor::Floor;
use crate::options::{Cassandra, Installation, Kafka, Output};
use crate::platform::Platform;
use crate::report::Measured;
use crate::services::Services;

/// As the connectors have it; the feature says why.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measures the services on real servers, beside the bare cost of the same work.
#[derive(Parser)]
#[command(name = "chat4all-bench", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Needs the servers of `cargo xtask stack up`, nothing else that uses their topics (`cargo xtask down`),
and the services in release: cargo build --release --workspace --bins

Examples:
  cargo run --release -p chat4all-bench -- idle
  cargo run --release -p chat4all-bench -- idle --messages 1000 --json idle.json
  cargo run --release -p chat4all-bench -- api                 # needs no servers
  cargo run --release -p chat4all-bench -- api --on servers
  cargo run --release -p chat4all-bench -- connector --only S1,S4
  cargo xtask up --release --detach && cargo run --release -p chat4all-bench -- whole";

#[derive(Subcommand)]
enum Command {
    /// One message at a time: POST to 202 beside one append and one insert; POST to the call at
    /// the platform beside two hops through the log
    Idle(Idle),
    /// Many messages at a time: POST to 202, and pages of a conversation, beside axum with one
    /// append, one insert, one select
    Api(api::ApiArgs),
    /// A connector under load beside a bare loop that does the same work: goodput, CPU, memory, lag,
    /// and what a kill -9 costs
    Connector(ConnectorArgs),
    /// What a message costs altogether, from POST to READ: the CPU of every process of the running
    /// installation, servers included
    Whole(whole::WholeArgs),
    /// The bare loop; started by `connector`
    #[command(hide = true)]
    Bare(BareArgs),
    /// The platform; started by `connector`
    #[command(hide = true)]
    Stub(StubArgs),
    #[command(hide = true)]
    ServeApi(api::ServeApiArgs),
    #[command(hide = true)]
    ServeFloor(api::ServeFloorArgs),
}

#[derive(clap::Args)]
struct Idle {
    /// How many messages, after a tenth as many to warm up
    #[arg(long, default_value_t = 300)]
    messages: u32,
    #[command(flatten)]
    installation: Installation,
    #[command(flatten)]
    kafka: Kafka,
    #[command(flatten)]
    cassandra: Cassandra,
    #[command(flatten)]
    output: Output,
}

#[allow(clippy::print_stderr)] // the program's last word
fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chat4all-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `false` if what was measured must not be.
fn run(command: Command) -> Result<bool, Failure> {
    // Its one thread is its own affair.
    if let Command::Stub(args) = command {
        return connector::run_stub(args).map(|()| true);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let done = |()| true;
        match command {
            Command::Idle(args) => idle(&args).await.map(done),
            Command::Api(args) => api::run(&args).await.map(done),
            Command::Connector(args) => connector::run(&args).await,
            Command::Whole(args) => whole::run(&args).await.map(done),
            Command::Bare(args) => connector::run_bare(args).await.map(done),
            Command::Stub(args) => connector::run_stub(args).map(done),
            Command::ServeApi(args) => api::serve_embedded(&args).await.map(done),
            Command::ServeFloor(args) => api::serve_floor(&args).await.map(done),
        }
    });
    runtime.shutdown_background();
    ended
}

/// How long anything may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(30);

async fn idle(args: &Idle) -> Result<(), Failure> {
    let (platform, mut calls) = Platform::listen().await?;
    let services = Services::start(args, platform.address).await?;
    let mut floor = Floor::new(&args.kafka.kafka, &args.cassandra.cassandra).await?;
    let client = HttpClient::over_tcp();
    let mut measured = Measured::default();
    let warm_up = args.messages / 10;
    for n in 0..warm_up + args.messages {
        let stored = floor.append_and_insert().await?;
        let before = Instant::now();
        post(&client, &services.api, &args.installation.receiver, n).await?;
        let answered = before.elapsed();
        let called = loop {
            match timeout(PATIENCE, calls.recv()).await? {
                // One that was made twice, or for an earlier run.
                Some((text, _)) if text != n.to_string() => {}
                Some((_, at)) => break at - before,
                None => return Err("the platform has ended".into()),
            }
        };
        let hops = floor.two_hops().await?;
        if n >= warm_up {
            measured.add(stored, answered, hops, called);
        }
    }
    services.stop().await?;
    args.output.show(&measured.json(), || measured.table())
}

async fn post(client: &impl HttpPort, api: &str, receiver: &str, n: u32) -> Result<(), Failure> {
    let body = json!({
        "conversation_id": format!("bench-{}", n % 50),
        "receiver_id": receiver,
        "content": n.to_string(),
    });
    let request = Request::post(format!("{api}/v1/messages"))
        .header("content-type", "application/json")
        .body(Bytes::from(body.to_string()))?;
    let answer = client.call(request, PATIENCE).await?;
    match answer.status().as_u16() {
        202 => Ok(()),
        status => {
            let text = String::from_utf8_lossy(answer.body());
            Err(format!("POST was answered {status}: {text}").into())
        }
    }
}
