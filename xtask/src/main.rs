//! Tasks of this repository: `cargo xtask <command>`.

mod tidy;

use std::io::{self, Write};
use std::process::ExitCode;

/// What each command is called, and what it does in one line.
const COMMANDS: &[(&str, &str)] = &[
    ("tidy", "check the style rules over every file that git knows or would add"),
    ("help", "show this text"),
];

/// The command did its work and found something wrong.
const UNSUCCESSFUL: u8 = 1;
/// `EX_USAGE` of sysexits.h: the command line is wrong.
const USAGE: u8 = 64;
/// `EX_UNAVAILABLE` of sysexits.h: git or a file could not be read, nothing was checked.
const UNAVAILABLE: u8 = 69;
/// `EX_IOERR` of sysexits.h: the output could not be written.
const OUTPUT: u8 = 74;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let code = run(&arguments, &mut io::stdout().lock(), &mut io::stderr().lock());
    ExitCode::from(code.unwrap_or(OUTPUT))
}

/// Runs one command line; answers the exit code. An error is one of writing the output.
fn run(arguments: &[String], out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["help" | "--help" | "-h"] | ["tidy", "--help" | "-h"] => {
            write!(out, "{}", help())?;
            Ok(0)
        }
        ["tidy"] => tidy(out, err),
        _ => {
            match arguments.as_slice() {
                [] => writeln!(err, "error: a command is missing\n")?,
                ["tidy", extra, ..] => writeln!(err, "error: tidy takes no argument: {extra}\n")?,
                [other, ..] => writeln!(err, "error: there is no command {other}\n")?,
            }
            write!(err, "{}", help())?;
            Ok(USAGE)
        }
    }
}

fn tidy(out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let report = match tidy::check_tree() {
        Ok(report) => report,
        Err(error) => {
            writeln!(err, "error: {error}")?;
            return Ok(UNAVAILABLE);
        }
    };
    for finding in &report.findings {
        writeln!(out, "{finding}")?;
    }
    if report.findings.is_empty() {
        writeln!(out, "tidy: {} files, nothing to report", report.files)?;
        return Ok(0);
    }
    writeln!(err, "tidy: {} findings in {} files", report.findings.len(), report.files)?;
    Ok(UNSUCCESSFUL)
}

fn help() -> String {
    let mut text = "Usage: cargo xtask <command>\n\nCommands:\n".to_owned();
    for (name, does) in COMMANDS {
        text.push_str(&format!("  {name:<8}{does}\n"));
    }
    text.push_str("\nExit codes: 0 fine, 1 something found, 64 wrong usage, 69 could not check\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(arguments: &[&str]) -> (u8, String, String) {
        let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = run(&arguments, &mut out, &mut err).unwrap();
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn help_lists_every_command() {
        for argument in ["help", "--help", "-h"] {
            let (code, out, _) = ran(&[argument]);
            assert_eq!(code, 0);
            assert!(COMMANDS.iter().all(|(name, _)| out.contains(name)), "{out}");
        }
    }

    #[test]
    fn a_wrong_command_line_exits_with_64_and_says_what_there_is() {
        for arguments in [&[][..], &["tidier"], &["tidy", "--fix"]] {
            let (code, out, err) = ran(arguments);
            assert_eq!((code, out.as_str()), (USAGE, ""));
            assert!(err.starts_with("error: ") && err.contains("Commands:"), "{err}");
        }
    }
}
