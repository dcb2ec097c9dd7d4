//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Sends and receives chat messages on many platforms through one HTTP API.
///
/// Without a command it runs everything in one process: the API, the router, a connector for each
/// platform and the status-consumer, with its data in ./data. A platform without credentials is
/// simulated, so it works at once on any machine.
#[derive(Debug, Parser)]
#[command(name = "chat4all", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub config: ConfigArgs,
    #[command(subcommand)]
    pub command: Option<Command>,
}

const EXAMPLES: &str = "\
Examples:
  chat4all                                              run everything; Ctrl-C drains and stops
  chat4all send whatsapp:+5511999990000 \"Olá\" --follow  send, and watch the statuses come
  chat4all show 019a0b1c-…                              what became of a message

Environment:
  CHAT4ALL__API__LISTEN=127.0.0.1:9000   any key of the configuration file, upper case, __ for a dot
  CHAT4ALL_LOG=debug                     what is logged (to standard error)

Exit codes:
  0 done   1 the message failed, or is not known   64 bad configuration or arguments   70 internal";

/// Which configuration.
#[derive(Args, Clone, Debug)]
pub(crate) struct ConfigArgs {
    /// The configuration file [default: chat4all.toml, if it is there]
    #[arg(long, short, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sends one message through a running Chat4All
    Send(SendArgs),
    /// Shows a message and its statuses
    Show(ShowArgs),
    /// Runs the simulator of the platforms alone; ends when its standard input closes
    Simulator(SimulatorArgs),
}

/// How a running Chat4All is reached.
#[derive(Args, Clone, Debug)]
pub(crate) struct ApiArgs {
    /// The address of its API
    #[arg(long, env = "CHAT4ALL_API", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    pub api: String,
    /// JSON instead of lines for people [default: when the output is no terminal]
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct SendArgs {
    /// To whom: platform:address
    #[arg(value_name = "RECEIVER")]
    pub receiver: String,
    /// The text
    #[arg(value_name = "TEXT")]
    pub text: String,
    /// The conversation; messages of one are delivered in order [default: the receiver]
    #[arg(long, value_name = "ID")]
    pub conversation: Option<String>,
    /// The sending account [default: the platform's]
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Makes a repeated command safe: the same key sends once
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Watch the statuses until the message is READ or FAILED
    #[arg(long, short)]
    pub follow: bool,
    /// How long to watch, in seconds
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub timeout: u64,
    #[command(flatten)]
    pub api: ApiArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    /// The message's id
    #[arg(value_name = "MESSAGE_ID")]
    pub message_id: String,
    #[command(flatten)]
    pub api: ApiArgs,
}

#[derive(Args, Debug)]
pub(crate) struct SimulatorArgs {
    /// Go on when standard input closes
    #[arg(long)]
    pub detached: bool,
}
