//! A process that goes on after this program has ended: which one it was, and whether it is still
//! there.
//!
//! A process id alone is given to another process once it is free. Here it goes with the moment
//! the process started and the boot of the machine, so that no other process is ever signalled.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// What tells one process from every other that this machine has run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessRecord {
    /// The process id.
    pub pid: u32,
    /// When it started, in clock ticks since the boot.
    start_ticks: u64,
    /// Which boot.
    boot: String,
    /// Where it listens, or nothing.
    pub address: String,
}

/// What a process does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs, or waits for something.
    Running,
    /// It was stopped by a signal and can be continued.
    Stopped,
    /// It has ended, whether its parent has taken note or not.
    Gone,
}

/// The fields of /proc/<pid>/stat that matter here.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    start_ticks: u64,
}

impl ProcessRecord {
    /// The record of a process that runs now.
    ///
    /// # Errors
    /// If it does not, or /proc cannot be read.
    pub fn of(pid: u32, address: String) -> io::Result<Self> {
        let stat = stat(pid)?;
        Ok(Self { pid, start_ticks: stat.start_ticks, boot: boot()?, address })
    }

    /// Reads a record; `None` if there is none.
    ///
    /// # Errors
    /// If the file cannot be read, or is not such a record.
    pub fn read(file: &Path) -> io::Result<Option<Self>> {
        match fs::read_to_string(file) {
            Ok(text) => Self::parse(&text).map(Some).ok_or_else(|| {
                let what = format!("{} is no record of a process", file.display());
                io::Error::new(io::ErrorKind::InvalidData, what)
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the record, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, file: &Path) -> io::Result<()> {
        let Self { pid, start_ticks, boot, address } = self;
        let record = json!({
            "pid": pid, "start_ticks": start_ticks, "boot": boot, "address": address,
        });
        let draft = file.with_extension("draft");
        fs::write(&draft, format!("{record}\n"))?;
        fs::rename(&draft, file)
    }

    fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        Some(Self {
            pid: u32::try_from(value.get("pid")?.as_u64()?).ok()?,
            start_ticks: value.get("start_ticks")?.as_u64()?,
            boot: value.get("boot")?.as_str()?.to_owned(),
            address: value.get("address")?.as_str()?.to_owned(),
        })
    }

    /// What the process does now. Another one with the same id is not it.
    pub fn state(&self) -> State {
        let is_boot = boot().is_ok_and(|boot| boot == self.boot);
        match stat(self.pid) {
            Ok(stat) if is_boot && stat.start_ticks == self.start_ticks => match stat.state {
                'Z' | 'X' if threads(self.pid) <= 1 => State::Gone,
                'T' | 't' => State::Stopped,
                _ => State::Running,
            },
            _ => State::Gone,
        }
    }

    /// Sends a signal; does nothing if the process is gone.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        match (self.state(), pid) {
            (State::Gone, _) | (_, None) => Ok(()),
            (_, Some(pid)) => match kill_process(pid, signal) {
                Err(rustix::io::Errno::SRCH) => Ok(()),
                other => Ok(other?),
            },
        }
    }

    /// How long it has been running, by the system's own count; `None` if /proc does not say.
    pub fn age(&self) -> Option<Duration> {
        let uptime = fs::read_to_string("/proc/uptime").ok()?;
        let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
        Some(Duration::from_secs_f64((uptime - seconds(self.start_ticks)).max(0.0)))
    }

    /// When it started, in seconds since 1970; `None` if /proc does not say.
    pub fn started_at(&self) -> Option<u64> {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        let boot = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
        let boot: u64 = boot.trim().parse().ok()?;
        Some(boot + self.start_ticks / rustix::param::clock_ticks_per_second().max(1))
    }
}

#[allow(clippy::cast_precision_loss)] // hundredths of a second
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second().max(1) as f64
}

/// Threads that are left. A killed process is a zombie while some of them still end, and has its
/// ports and files until the last one has.
fn threads(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

fn stat(pid: u32) -> io::Result<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_stat(&text).ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat is not readable")))
}

/// The name of the program stands in brackets and may hold spaces and brackets itself: fields are
/// counted after its end. The state is field 3, the start field 22, see proc_pid_stat(5).
fn parse_stat(text: &str) -> Option<Stat> {
    let mut fields = text[text.rfind(')')? + 1..].split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some(Stat { state, start_ticks: fields.nth(18)?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn this_process() -> ProcessRecord {
        ProcessRecord::of(std::process::id(), "127.0.0.1:1".to_owned()).unwrap()
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("process.json");
        assert_eq!(ProcessRecord::read(&file).unwrap(), None);
        let record = this_process();
        record.write(&file).unwrap();
        assert_eq!(ProcessRecord::read(&file).unwrap(), Some(record));
        fs::write(&file, "12345\n").unwrap();
        assert!(ProcessRecord::read(&file).is_err());
    }

    #[test]
    fn another_process_with_the_same_id_is_not_the_recorded_one() {
        let this = this_process();
        assert_eq!(this.state(), State::Running);
        let earlier = ProcessRecord { start_ticks: this.start_ticks - 1, ..this.clone() };
        assert_eq!(earlier.state(), State::Gone);
        let last_boot = ProcessRecord { boot: "another".to_owned(), ..this };
        assert_eq!(last_boot.state(), State::Gone);
        // A signal to it reaches nobody: this test goes on.
        last_boot.signal(Signal::KILL).unwrap();
    }

    #[test]
    fn a_process_that_ended_is_gone_before_its_parent_takes_note() {
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let record = ProcessRecord::of(child.id(), String::new()).unwrap();
        assert_eq!(record.state(), State::Running);
        record.signal(Signal::STOP).unwrap();
        let limit = Duration::from_secs(60);
        let is = |state| crate::wait::until(limit, |_| (record.state() == state).then_some(()));
        assert_eq!(is(State::Stopped), Some(()));
        record.signal(Signal::KILL).unwrap();
        assert_eq!(is(State::Gone), Some(()));
        child.wait().unwrap();
        assert_eq!(record.state(), State::Gone);
    }

    #[test]
    fn a_programs_name_may_hold_brackets_and_spaces() {
        let fields: Vec<String> = (4..=52).map(|field| field.to_string()).collect();
        let text = format!("7 (a) (b c)) S {}\n", fields.join(" "));
        assert_eq!(parse_stat(&text), Some(Stat { state: 'S', start_ticks: 22 }));
        assert_eq!(parse_stat("7 (a"), None);
    }

    #[test]
    fn the_age_and_the_start_of_this_process_are_known() {
        let this = this_process();
        assert!(this.age().unwrap() < Duration::from_secs(86_400));
        assert!(this.started_at().unwrap() > 1_700_000_000);
    }
}
