//! Tasks of this repository: `cargo xtask <command>`.

mod cargo;
mod cli;
mod console;
mod failure;
mod interrupt;
mod monitoring;
mod process_record;
mod project;
mod services;
mod simulate;
mod stack;
mod tidy;
mod time_of_day;
mod torture;
mod wait;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use console::Console;
use failure::{Failure, OUTPUT, Outcome, USAGE};

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
        Command::Simulate(args) => simulate::run(&args),
        Command::Torture(args) => torture::run(&args, console),
        Command::Stack(command) => stack::run(&command, console),
        Command::Up(args) => services::up(&args, console),
        Command::Down => services::down(console),
        Command::MonitorCheck(args) => monitoring::check(&args, console),
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
    let count = report.findings.len();
    Err(Failure::unsuccessful(format!("tidy: {count} findings in {} files", report.files)))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn ran(arguments: &[&str]) -> (u8, String, String) {
        let arguments = ["xtask"].iter().chain(arguments).map(|&word| word.to_owned());
        let arguments: Vec<String> = arguments.collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut console = Console {
            out: &mut out,
            err: &mut err,
            out_is_terminal: false,
            err_is_terminal: false,
        };
        let code = run(&arguments, &mut console).unwrap();
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    fn names(command: &clap::Command) -> Vec<String> {
        command.get_subcommands().map(|command| command.get_name().to_owned()).collect()
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_lists_every_command() {
        let commands = names(&Cli::command());
        assert!(commands.contains(&"tidy".to_owned()) && commands.contains(&"stack".to_owned()));
        for argument in ["help", "--help", "-h"] {
            let (code, out, _) = ran(&[argument]);
            assert_eq!(code, 0);
            assert!(commands.iter().all(|name| out.contains(&format!("\n  {name} "))), "{out}");
        }
    }

    #[test]
    fn the_help_of_the_stack_lists_its_commands_its_needs_and_examples() {
        let root = Cli::command();
        let stack = root.find_subcommand("stack").unwrap();
        let (code, out, _) = ran(&["stack", "--help"]);
        assert_eq!(code, 0);
        assert!(names(stack).iter().all(|name| out.contains(&format!("\n  {name} "))), "{out}");
        for word in ["Java 17", "Maven", "19092", "19042", "CHAT4ALL_STACK_FOLDER", "Examples:"] {
            assert!(out.contains(word), "{word} is not in\n{out}");
        }
    }

    #[test]
    fn a_wrong_command_line_exits_with_64_and_says_how_it_is_used() {
        for arguments in [
            &[][..],
            &["tidier"],
            &["tidy", "--fix"],
            &["stack"],
            &["stack", "up", "redis"],
            &["stack", "kill"],
            &["stack", "kill", "kafka", "--signal", "HUP"],
            &["up", "--fast"],
            &["simulate", "--seeds", "0"],
            &["torture", "--minutes", "0"],
            &["torture", "--seed", "x"],
        ] {
            let (code, out, err) = ran(arguments);
            assert_eq!((code, out.as_str()), (USAGE, ""), "{arguments:?}");
            assert!(err.contains("Usage: cargo xtask") || err.contains("--help"), "{err}");
        }
    }
}
