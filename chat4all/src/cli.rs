//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::dead_letters::{AuditArgs, DeadLettersArgs};

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
  chat4all account list                                 how each sending account is
  chat4all dead-letters list --newer-than 24h           what was given up

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
    /// Lists messages without an outcome, and says where each waits and why
    Open(OpenArgs),
    /// Shows the sending accounts, pauses and resumes them
    #[command(subcommand)]
    Account(AccountCommand),
    /// Lists, shows, redrives and discards what was given up
    DeadLetters(DeadLettersArgs),
    /// Lists what operators did
    Audit(AuditArgs),
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
#[command(after_help = OPEN_HELP)]
pub(crate) struct OpenArgs {
    /// Only those accepted longer ago than this: a number with s, m, h or d
    #[arg(long, value_name = "AGE")]
    pub older_than: Option<String>,
    /// Only those of this platform
    #[arg(long, value_name = "NAME")]
    pub platform: Option<String>,
    /// Only those of this account
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// The most messages that are shown
    #[arg(long, default_value_t = 100, value_name = "COUNT",
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    #[command(flatten)]
    pub api: ApiArgs,
}

const OPEN_HELP: &str = "\
Where a message can wait:
  router_backlog     before the router
  connector_backlog  before its connector, being called, or between two calls
  paced              for its account's pace, or for a pause of its receiver's
  parked             its account is paused, refused, throttled, or its breaker is open
  in_doubt           for a receipt: a call was made and no answer came
  projection_behind  for the store to hear of its outcome
  unknown            the log does not answer

Example:
  chat4all open --older-than 5m";

#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    /// The message's id
    #[arg(value_name = "MESSAGE_ID")]
    pub message_id: String,
    #[command(flatten)]
    pub api: ApiArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Lists every configured account: its state, what waits, and what was last wanted of it
    #[command(after_help = STATES)]
    List(AccountListArgs),
    /// Starts no further call for an account, until it is resumed
    ///
    /// Its messages wait in their order, and none of their attempts is counted. A message whose
    /// life ends meanwhile fails as expired. A pause survives restarts of everything.
    #[command(after_help = PAUSE_EXAMPLES)]
    Pause(AccountPauseArgs),
    /// Goes on with what has waited, at the account's pace
    Resume(AccountOrderArgs),
    /// Tries an account now whose circuit breaker is open, or that its platform refused
    ///
    /// The next message is tried at once; if that works, the others follow. Does not resume a
    /// paused account.
    CloseBreaker(AccountOrderArgs),
}

const STATES: &str = "\
States:
  active     calls start as messages come
  paused     an operator has paused it: chat4all account resume
  open       the platform fails, and is left alone until the time that is shown
  half_open  one call finds out whether the platform works again
  refused    the platform refuses the account, for example its credentials
  throttled  the platform asked the account to wait
  unknown    no connector has ever spoken of it
  silent     no connector has spoken of it for three minutes: is it running?

Exit codes:
  0 done   1 the API does not answer   64 bad arguments";

const PAUSE_EXAMPLES: &str = "\
Examples:
  chat4all account pause whatsapp:default --by maria --reason \"the number is being moved\"
  chat4all account pause whatsapp:default --wait     until its last call has ended
  chat4all account resume whatsapp:default --by maria

Exit codes:
  0 done   1 not confirmed in time, or no such account   64 bad arguments";

#[derive(Args, Debug)]
pub(crate) struct AccountListArgs {
    #[command(flatten)]
    pub api: ApiArgs,
}

#[derive(Args, Debug)]
pub(crate) struct AccountOrderArgs {
    /// The account: platform:account, as the list shows it
    #[arg(value_name = "ACCOUNT")]
    pub account: String,
    /// Who wants it; every operator sees it
    #[arg(long, env = "USER", default_value = "unknown", value_name = "NAME")]
    pub by: String,
    /// Why; every operator sees it
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    #[command(flatten)]
    pub api: ApiArgs,
}

#[derive(Args, Debug)]
pub(crate) struct AccountPauseArgs {
    #[command(flatten)]
    pub order: AccountOrderArgs,
    /// Wait until its connector follows, and its last call has ended
    #[arg(long, short)]
    pub wait: bool,
    /// How long to wait, in seconds
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub timeout: u64,
}

#[derive(Args, Debug)]
pub(crate) struct SimulatorArgs {
    /// Go on when standard input closes
    #[arg(long)]
    pub detached: bool,
}
