//! Signals, and who is whose child (proc(5)).

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// Sends a signal to a process that this test started.
pub fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("the process is there and ours");
}

/// Kills a process that may have ended meanwhile.
pub fn end(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ended_meanwhile = kill_process(pid, Signal::KILL);
    }
}

/// State and parent of a process, if it exists.
fn status(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may hold anything, also parentheses.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Whether it runs. One that only waits to be reaped does not.
pub fn runs(pid: u32) -> bool {
    status(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

/// The running children of a process.
pub fn children(parent: u32) -> Vec<u32> {
    let pids = fs::read_dir("/proc").expect("/proc");
    let pids = pids.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid| runs(*pid) && status(*pid).is_some_and(|(_, of)| of == parent)).collect()
}
