//! The arguments of `chat4all dead-letters` and `chat4all audit`.

use clap::{Args, Subcommand};

use crate::cli::ApiArgs;

const EXIT_CODES: &str = "\
Exit codes:
  0 done, a dry run, or nothing matched   1 something was refused or failed, or the API does not answer
  64 bad arguments   70 internal";

const EXAMPLES: &str = "\
Examples:
  chat4all dead-letters list --reason expired --newer-than 24h
  chat4all dead-letters show message:order-42:0 --content
  chat4all dead-letters redrive --reason exhausted --older-than 15m        a dry run
  chat4all dead-letters redrive --reason exhausted --older-than 15m --yes --by ana
  chat4all dead-letters discard record:messages:3:42 --why \"test data\" --yes";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DeadLettersArgs {
    #[command(subcommand)]
    pub command: DeadLettersCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// Lists what was given up and waits, oldest acceptance first; never shows content
    #[command(after_help = EXIT_CODES)]
    List(ListArgs),
    /// Shows one letter, and what operators did with it
    #[command(after_help = EXIT_CODES)]
    Show(ShowLetterArgs),
    /// Sends messages that were given up once more, as the same messages; a dry run without --yes
    #[command(after_help = EXIT_CODES)]
    Redrive(RedriveArgs),
    /// Takes letters off the list for good; a dry run without --yes
    #[command(after_help = EXIT_CODES)]
    Discard(DiscardArgs),
}

/// Which letters.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct FilterArgs {
    /// Only of this platform
    #[arg(long, value_name = "NAME")]
    pub platform: Option<String>,
    /// Only of this sending account
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Only given up for this reason: see docs/errors.md
    #[arg(long, value_name = "REASON")]
    pub reason: Option<String>,
    /// Only of this conversation
    #[arg(long, value_name = "ID")]
    pub conversation: Option<String>,
    /// Only accepted longer ago than this, such as 15m, 2h, 1d
    #[arg(long, value_name = "AGE")]
    pub older_than: Option<String>,
    /// Only accepted since this long ago
    #[arg(long, value_name = "AGE")]
    pub newer_than: Option<String>,
}

impl FilterArgs {
    /// The API's names of the fields that are given, with their values.
    pub(super) fn fields(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("platform", &self.platform),
            ("account", &self.account),
            ("reason", &self.reason),
            ("conversation_id", &self.conversation),
            ("older_than", &self.older_than),
            ("newer_than", &self.newer_than),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect()
    }
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub filter: FilterArgs,
    /// The most letters
    #[arg(long, default_value_t = 50, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    #[command(flatten)]
    pub api: ApiArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ShowLetterArgs {
    /// The letter's id, as `list` shows it
    #[arg(value_name = "LETTER_ID")]
    pub id: String,
    /// Also the message's text, or the unreadable record: personal data
    #[arg(long)]
    pub content: bool,
    #[command(flatten)]
    pub api: ApiArgs,
}

/// What both commands need.
#[derive(Args, Debug)]
pub(crate) struct ActArgs {
    /// The letters' ids, as `list` shows them; or a filter, or --all
    #[arg(value_name = "LETTER_ID")]
    pub ids: Vec<String>,
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Every open letter
    #[arg(long)]
    pub all: bool,
    /// The most letters of a filter
    #[arg(long, default_value_t = 1_000, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// Do it; without this, only say what would be done, and ask on a terminal
    #[arg(long, short)]
    pub yes: bool,
    /// Who does it, for the record
    #[arg(long, env = "USER", value_name = "NAME")]
    pub by: Option<String>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub why: Option<String>,
    #[command(flatten)]
    pub api: ApiArgs,
}

#[derive(Args, Debug)]
pub(crate) struct RedriveArgs {
    #[command(flatten)]
    pub act: ActArgs,
    /// For how many seconds from now the messages may be tried [default: as for a new message]
    #[arg(long, value_name = "SECONDS")]
    pub expires_in: Option<u32>,
}

#[derive(Args, Debug)]
pub(crate) struct DiscardArgs {
    #[command(flatten)]
    pub act: ActArgs,
}

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct AuditArgs {
    /// The most commands
    #[arg(long, default_value_t = 50, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    #[command(flatten)]
    pub api: ApiArgs,
}
