//! The programs that the stack needs and does not bring: Java and Maven.

use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::wait::{Stopwatch, pause};

/// Both servers run on it; Cassandra 5.0 needs exactly such a one.
const JAVA: u32 = 17;
const INSTALL: &str = "on Debian and Ubuntu: apt-get install openjdk-17-jdk-headless maven; \
                       on Fedora: dnf install java-17-openjdk-devel maven";

/// A Java of the right version.
#[derive(Clone, Debug)]
pub struct Java {
    /// The program that runs it.
    pub java: PathBuf,
    /// The program that makes certificates.
    pub keytool: PathBuf,
}

/// Finds Java: `JAVA_HOME`, else the search path.
///
/// # Errors
/// If there is none, or one that is too old: with what was found, and how to install one.
pub fn java() -> Outcome<Java> {
    let program = |name: &str| match std::env::var_os("JAVA_HOME") {
        Some(home) => Path::new(&home).join("bin").join(name),
        None => PathBuf::from(name),
    };
    let java = Java { java: program("java"), keytool: program("keytool") };
    let shown = java.java.display();
    let missing = |what: String| {
        let fix = format!("install Java {JAVA}, {INSTALL}; or set JAVA_HOME to one");
        Failure::unavailable(format!("the stack needs Java {JAVA} or newer: {what}\n  fix: {fix}"))
    };
    let output = Command::new(&java.java)
        .arg("-version")
        .output()
        .map_err(|error| missing(format!("`{shown}` cannot be run ({error})")))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match parse_java(&said) {
        Some(JAVA..) => Ok(java),
        Some(version) => Err(missing(format!("`{shown}` is Java {version}"))),
        None => {
            let line = said.lines().next().unwrap_or("nothing").to_owned();
            Err(missing(format!("`{shown} -version` says: {line}")))
        }
    }
}

/// Finds Maven, on the search path.
///
/// # Errors
/// If there is none: with how to install one.
pub fn maven() -> Outcome<PathBuf> {
    let fix = format!("install Maven, {INSTALL}");
    let missing = |what| {
        Failure::unavailable(format!("the servers come through Maven: {what}\n  fix: {fix}"))
    };
    let output = Command::new("mvn")
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| missing(format!("`mvn` cannot be run ({error})")))?;
    if output.status.success() {
        return Ok(PathBuf::from("mvn"));
    }
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    Err(missing(format!("`mvn --version` fails: {}", said.lines().next().unwrap_or("nothing"))))
}

/// The major version in what `java -version` says: 17 of `"17.0.15"`, 8 of `"1.8.0_392"`.
fn parse_java(said: &str) -> Option<u32> {
    let quoted = said.split('"').nth(1)?;
    let mut numbers = quoted.split(|c: char| !c.is_ascii_digit());
    match numbers.next()?.parse().ok()? {
        1 => numbers.next()?.parse().ok(),
        major => Some(major),
    }
}

/// Runs a helper program to its end, showing the time.
///
/// # Errors
/// If it cannot be run or fails: with the end of what it said.
pub fn run(
    command: &mut Command,
    name: &str,
    what: &str,
    console: &mut Console<'_>,
) -> Outcome<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let cannot = |error: io::Error| {
        Failure::unavailable(format!("{name}: {what}: `{program}` cannot be run: {error}"))
    };
    let watch = Stopwatch::start();
    // A file, not a pipe: nobody has to read while the program runs.
    let mut said = tempfile::tempfile().map_err(cannot)?;
    let writer = || said.try_clone().map(Stdio::from);
    command.stdin(Stdio::null());
    command.stdout(writer().map_err(cannot)?).stderr(writer().map_err(cannot)?);
    let mut child = command.spawn().map_err(cannot)?;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(cannot)? {
            break status;
        }
        console.running(name, what, watch.elapsed())?;
        pause();
    };
    let mut text = String::new();
    said.rewind().and_then(|()| said.read_to_string(&mut text)).map_err(cannot)?;
    if status.success() {
        return Ok(text);
    }
    let last = last_lines(&text, 20);
    Err(Failure::unavailable(format!("{name}: {what}: `{program}` ended with {status}\n{last}")))
}

/// The end of a text, indented.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(count);
    lines[from..].iter().map(|line| format!("    {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_every_java_is_read() {
        for (said, version) in [
            ("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime\n", Some(17)),
            ("java version \"1.8.0_392\"\n", Some(8)),
            ("openjdk version \"21-ea\" 2023-09-19\n", Some(21)),
            ("openjdk version \"25\" 2025-09-16\n", Some(25)),
            ("The operation couldn't be completed.\n", None),
        ] {
            assert_eq!(parse_java(said), version, "{said}");
        }
    }

    #[test]
    fn a_helper_that_fails_says_what_it_said() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut console = Console {
            out: &mut out,
            err: &mut err,
            out_is_terminal: false,
            err_is_terminal: false,
        };
        let mut helper = |script: &str| {
            run(Command::new("sh").args(["-c", script]), "a", "helping", &mut console)
        };
        assert_eq!(helper("echo one; echo two >&2").unwrap(), "one\ntwo\n");
        let failure = helper("echo because; exit 3").unwrap_err();
        assert_eq!(failure.code, crate::failure::UNAVAILABLE);
        assert!(failure.text.contains("because") && failure.text.contains("exit status: 3"));
    }

    #[test]
    fn only_the_end_of_a_long_text_is_shown() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "    b\n    c\n");
        assert_eq!(last_lines("", 2), "");
    }
}
