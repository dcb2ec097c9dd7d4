//! The executable: `chat4all` runs everything, `chat4all send` and `chat4all show` talk to it.

mod account;
mod cli;
mod client;
mod dead_letters;
mod follow;
mod open;
mod run;
mod show;
mod simulator_command;
mod simulator_process;
mod start_lines;
mod table;

use std::process::ExitCode;

use chat4all_process::{Failure, exit};
use clap::Parser;

use crate::cli::{Cli, Command};

/// What this executable is called.
const PROGRAM: &str = "chat4all";

fn main() -> ExitCode {
    let cli = Cli::parse_or_exit();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return Failure::new(exit::SOFTWARE, format!("no runtime: {error}")).say(PROGRAM);
        }
    };
    let result = runtime.block_on(async {
        match cli.command {
            None => run::run(&cli.config).await,
            Some(Command::Send(send)) => follow::send(&send).await,
            Some(Command::Show(show)) => show::show(&show).await,
            Some(Command::Open(open)) => open::open(&open).await,
            Some(Command::Account(command)) => account::run(&command).await,
            Some(Command::DeadLetters(letters)) => dead_letters::run(&letters).await,
            Some(Command::Audit(args)) => dead_letters::audit(&args).await,
            Some(Command::Simulator(simulator)) => {
                simulator_command::run(&cli.config, &simulator).await
            }
        }
    });
    // What is left are idle connections and timers.
    runtime.shutdown_background();
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.say(PROGRAM),
    }
}

impl Cli {
    /// Parses the arguments; a wrong one ends with the code for bad configuration.
    fn parse_or_exit() -> Self {
        match Self::try_parse() {
            Ok(cli) => cli,
            Err(error) => {
                let code = if error.use_stderr() { i32::from(exit::CONFIGURATION) } else { 0 };
                // Nothing can be done about a closed terminal.
                let _closed = error.print();
                std::process::exit(code)
            }
        }
    }
}
