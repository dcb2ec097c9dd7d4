//! The command line.

use clap::{Args, Parser, Subcommand};

use crate::stack::{Server, TestSignal};

/// Tasks of this repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0 done   1 something was found wrong   64 wrong usage   69 a tool or a server is not there   74 a file or the output cannot be written";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check the style rules over every file that git knows or would add
    Tidy,
    /// Run real Kafka and Cassandra on this machine, for development and tests
    #[command(subcommand)]
    Stack(StackCommand),
}

#[derive(Debug, Subcommand)]
pub enum StackCommand {
    /// Start the servers and wait until they answer
    Up {
        #[command(flatten)]
        servers: Selected,
    },
    /// Stop the servers; what they hold stays
    Down {
        #[command(flatten)]
        servers: Selected,
        /// Also delete what they hold
        #[arg(long)]
        wipe: bool,
    },
    /// Show what each server does: a table on a terminal, JSON otherwise
    Status {
        /// JSON also on a terminal
        #[arg(long)]
        json: bool,
    },
    /// Show what the servers wrote
    Logs {
        #[command(flatten)]
        servers: Selected,
        /// How many of the last lines
        #[arg(long, short = 'n', default_value_t = 50, value_name = "COUNT")]
        lines: usize,
        /// Go on with what they write, until Ctrl-C
        #[arg(long, short)]
        follow: bool,
    },
    /// Start one server, on what it held before
    Start {
        /// Which one
        server: Server,
    },
    /// Send a signal to one server, as a test of a crash does
    Kill {
        /// Which one
        server: Server,
        /// Which signal
        #[arg(long, value_enum, ignore_case = true, default_value = "KILL")]
        signal: TestSignal,
    },
}

/// Which servers.
#[derive(Args, Debug)]
pub struct Selected {
    /// Which servers [default: all]
    #[arg(value_name = "SERVER")]
    pub servers: Vec<Server>,
}
