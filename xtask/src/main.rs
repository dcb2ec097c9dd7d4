//! Tasks of this repository: `cargo xtask <command>`.

mod cli;
mod console;
mod failure;
mod process_record;
mod project;
mod stack;
mod tidy;
mod time_of_day;
mod wait;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use console::Console;
use failure::{Failure, OUTPUT, Outcome, UNSUCCESSFUL, USAGE};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let mut console = Console {
        out_is_terminal: io::stdout().is_terminal(),
        err_is_terminal: io::stderr().is_terminal(),
        out: &mut io::stdout(),
        err: &mut io::stderr(),
    };
    let code = run(&arguments, &mut console);
    ExitCode::from(code.unwrap_or(OUTPUT))
}

/// Runs one command line, which begins with the program's name; answers the exit code. An error is
/// one of writing the output.
fn run(arguments: &[String], console: &mut Console<'_>) -> io::Result<u8> {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return explain(&error, console),
    };
    let outcome = match cli.command {
        Command::Tidy => tidy(console),
        Command::Stack(command) => stack::run(&command, console),
    };
    match outcome {
        Ok(()) => Ok(0),
        Err(Failure { code, text }) => {
            console.line("error:", &text)?;
            Ok(code)
        }
    }
}

/// Help that was asked for, or what is wrong with the command line.
fn explain(error: &clap::Error, console: &mut Console<'_>) -> io::Result<u8> {
    let text = error.render();
    let is_wrong = error.use_stderr();
    let (writer, is_terminal) = match is_wrong {
        true => (&mut *console.err, console.err_is_terminal),
        false => (&mut *console.out, console.out_is_terminal),
    };
    match is_terminal {
        true => write!(writer, "{}", text.ansi())?,
        false => write!(writer, "{text}")?,
    }
    Ok(if is_wrong { USAGE } else { 0 })
}

fn tidy(console: &mut Console<'_>) -> Outcome {
    let report = tidy::check_tree().map_err(Failure::unavailable)?;
    for finding in &report.findings {
        writeln!(console.out, "{finding}")?;
    }
    if report.findings.is_empty() {
        writeln!(console.out, "tidy: {} files, nothing to report", report.files)?;
        return Ok(());
    }
    let text = format!("tidy: {} findings in {} files", report.findings.len(), report.files);
    Err(Failure { code: UNSUCCESSFUL, text })
}
