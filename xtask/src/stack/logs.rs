//! Shows what the servers wrote.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::server::{Server, shown};
use super::settings::Settings;
use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::wait::pause;

/// The most that is read at once of a log.
const CHUNK: u64 = 256 << 10;

/// A log that is read from where it was left.
struct Tail {
    server: Server,
    file: File,
    /// The begin of a line whose end is not written yet.
    rest: String,
}

/// Writes the last lines of the logs; with `is_following`, also what is added, until this program
/// is ended.
///
/// # Errors
/// If there is no log, or it cannot be read.
pub fn logs(
    servers: &[Server],
    lines: usize,
    is_following: bool,
    settings: &Settings,
    console: &mut Console<'_>,
) -> Outcome {
    let is_one = servers.len() == 1;
    let mut tails = Vec::new();
    for &server in servers {
        let log = server.place(settings).log();
        let cannot = |error| Failure::file(format!("cannot read {}", shown(&log)), &error);
        let Some((tail, last)) = Tail::open(server, &log, lines).map_err(cannot)? else {
            console.line(server.name(), "has no log yet: it was never started here")?;
            continue;
        };
        write_lines(console.out, &last, server, is_one)?;
        tails.push(tail);
    }
    while is_following && !tails.is_empty() {
        for tail in &mut tails {
            let cannot = |error| Failure::file("cannot read the log", &error);
            let new = tail.added().map_err(cannot)?;
            write_lines(console.out, &new, tail.server, is_one)?;
        }
        console.out.flush()?;
        pause();
    }
    Ok(())
}

/// One log needs no name before each line.
fn write_lines(out: &mut dyn Write, text: &str, server: Server, is_one: bool) -> io::Result<()> {
    for line in text.lines() {
        if is_one {
            writeln!(out, "{line}")?;
        } else {
            writeln!(out, "{:<10}| {line}", server.name())?;
        }
    }
    Ok(())
}

impl Tail {
    /// Opens a log behind its last lines, which are answered; `None` if there is no log.
    fn open(server: Server, log: &Path, lines: usize) -> io::Result<Option<(Self, String)>> {
        let mut file = match File::open(log) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(CHUNK)))?;
        let mut tail = Self { server, file, rest: String::new() };
        let text = tail.added()?;
        let skipped = text.lines().count().saturating_sub(lines);
        let last = text.lines().skip(skipped).flat_map(|line| [line, "\n"]).collect();
        Ok(Some((tail, last)))
    }

    /// The whole lines that were added since the last time.
    fn added(&mut self) -> io::Result<String> {
        let mut bytes = Vec::new();
        (&mut self.file).take(CHUNK).read_to_end(&mut bytes)?;
        self.rest.push_str(&String::from_utf8_lossy(&bytes));
        let end = self.rest.rfind('\n').map_or(0, |at| at + 1);
        let rest = self.rest.split_off(end);
        Ok(std::mem::replace(&mut self.rest, rest))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_last_lines_are_shown_and_then_what_is_added_in_whole_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("server.log");
        assert!(Tail::open(Server::Kafka, &log, 2).unwrap().is_none());
        fs::write(&log, "one\ntwo\nthree\n").unwrap();
        let (mut tail, last) = Tail::open(Server::Kafka, &log, 2).unwrap().unwrap();
        assert_eq!(last, "two\nthree\n");
        let mut writer = File::options().append(true).open(&log).unwrap();
        writer.write_all(b"four\nfi").unwrap();
        assert_eq!(tail.added().unwrap(), "four\n");
        writer.write_all(b"ve\n").unwrap();
        assert_eq!(tail.added().unwrap(), "five\n");
        assert_eq!(tail.added().unwrap(), "");
    }

    #[test]
    fn lines_of_two_servers_say_whose_they_are() {
        let mut out = Vec::new();
        write_lines(&mut out, "a\nb\n", Server::Kafka, false).unwrap();
        write_lines(&mut out, "c\n", Server::Cassandra, true).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "kafka     | a\nkafka     | b\nc\n");
    }
}
