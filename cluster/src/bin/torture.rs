//! `cargo xtask torture` builds this and the services, and runs it.

// Its output is for whoever started it.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::PathBuf;
use std::process::ExitCode;

use chat4all_cluster::torture::{NotRun, Options, run};
use chat4all_process::Random;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// An invariant did not hold.
const NOT_HELD: u8 = 1;
/// `EX_UNAVAILABLE` of sysexits.h: servers or services do not start.
const UNAVAILABLE: u8 = 69;
/// As shells say it of a program that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

/// Hurts separate services on real servers, under load, and judges what became of the messages.
#[derive(Debug, Parser)]
#[command(name = "chat4all-torture")]
struct Cli {
    /// How long trouble goes on
    #[arg(long, default_value_t = 5)]
    minutes: u64,
    /// Makes the schedule [default: any]
    #[arg(long)]
    seed: Option<u64>,
    /// New messages in a second
    #[arg(long, default_value_t = 60)]
    per_second: u64,
    /// Conversations, each with a client of its own
    #[arg(long, default_value_t = 400)]
    conversations: usize,
    /// Where everything is kept
    #[arg(long, value_name = "FOLDER")]
    root: PathBuf,
    /// JSON instead of a table
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(UNAVAILABLE, &format!("no runtime: {error}")),
    };
    let code = runtime.block_on(torture(cli));
    // Threads of clients that wait for nobody.
    runtime.shutdown_background();
    code
}

fn failed(code: u8, text: &str) -> ExitCode {
    eprintln!("torture: {text}");
    ExitCode::from(code)
}

async fn torture(cli: Cli) -> ExitCode {
    // Short enough to be typed, and to be a number in any JSON.
    let seed = cli.seed.unwrap_or_else(|| Random::system().between(0, 999_999_999));
    let root = match std::path::absolute(&cli.root) {
        Ok(root) => root,
        Err(error) => return failed(UNAVAILABLE, &format!("no folder: {error}")),
    };
    let options = Options {
        seed,
        minutes: cli.minutes,
        per_second: cli.per_second,
        conversations: cli.conversations,
        root,
    };
    eprintln!("torture: seed {seed}, {} minutes of trouble", options.minutes);
    let stop = match stop_signals() {
        Ok(stop) => stop,
        Err(error) => return failed(UNAVAILABLE, &format!("no signal handlers: {error}")),
    };
    let report = match run(options, stop).await {
        Ok(report) => report,
        Err(NotRun::Interrupted) => return failed(INTERRUPTED, "interrupted before it had begun"),
        Err(NotRun::Unavailable(text)) => return failed(UNAVAILABLE, &text),
    };
    if cli.json {
        println!("{:#}", report.to_json());
    } else {
        print!("{}", report.to_text());
    }
    match (report.interrupted, report.held()) {
        (true, _) => ExitCode::from(INTERRUPTED),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::from(NOT_HELD),
    }
}

/// Ctrl-C, or an order to end.
fn stop_signals() -> std::io::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            biased;
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
