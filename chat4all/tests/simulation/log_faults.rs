//! What goes wrong between a process and the log, and what the watch hears of it.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chat4all_contracts::topic;
use chat4all_eventlog::faulty::{AppendFault, CommitFault, Faults};
use chat4all_eventlog::{Assignment, Commit, LogError, NewRecord, TopicPartition};

use crate::faults::{Dice, Fault};
use crate::watch::{Watch, base_of};

/// How long a group waits for a silent member: longer than the longest call.
pub const SESSION: Duration = Duration::from_secs(10);

/// A panic that was asked for: the hook does not tell it.
pub struct Injected;

/// An owner commits at least so often, unless a commit takes its time.
const REGULARLY: Duration = Duration::from_millis(1_500);

/// When a group's commits were sent.
#[derive(Clone, Copy, Default)]
struct Sent {
    last: Duration,
    /// The same, or zero where it says nothing of what the sender knew.
    judged: Duration,
}

/// One process's.
pub struct LogFaults {
    pub process: u64,
    pub dice: Dice,
    pub watch: Watch,
    /// Whether the process is dead.
    killed: AtomicBool,
    /// The commit under way of each group: when it was sent.
    sent: Mutex<BTreeMap<String, Sent>>,
    /// The last commit of each partition, whose note another one may get.
    notes: Mutex<BTreeMap<TopicPartition, Commit>>,
}

impl LogFaults {
    pub fn new(process: u64, dice: Dice, watch: Watch) -> Self {
        let killed = AtomicBool::new(false);
        Self { process, dice, watch, killed, sent: Mutex::default(), notes: Mutex::default() }
    }

    /// From now on nothing that the process does reaches the log.
    pub fn kill(&self) {
        self.killed.store(true, Ordering::Relaxed);
    }

    fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Relaxed)
    }

    /// Remembers when a commit of a group is sent; not at all for the first one after a long wait,
    /// during which the sender may have heard nothing.
    fn note_sending(&self, group: &str) {
        let (now, mut all) = (self.watch.now(), self.sent.lock().unwrap());
        let sent = all.entry(group.to_owned()).or_default();
        let waited = now.saturating_sub(sent.last) > REGULARLY;
        *sent = Sent { last: now, judged: if waited { Duration::ZERO } else { now } };
    }

    /// Gives the first commit the note of another partition, written for another offset.
    fn swap_note(&self, commits: &mut [Commit]) {
        let mut notes = self.notes.lock().unwrap();
        for commit in &mut *commits {
            notes.insert(commit.at.clone(), commit.clone());
        }
        let Some(first) = commits.first_mut() else { return };
        let other = notes.values().find(|other| {
            // A member that begins repeats the note that it was given: maybe a foreign one.
            let base = base_of(&other.note);
            other.at != first.at && base.is_some_and(|base| base != first.offset)
        });
        if let Some(other) = other
            && self.dice.roll(Fault::ForeignNote)
        {
            first.note.clone_from(&other.note);
        }
    }
}

impl Faults for LogFaults {
    fn append(&self, record: &NewRecord) -> Option<AppendFault> {
        if self.is_killed() {
            return Some(AppendFault::Lost);
        }
        let of_connector = &*record.to.topic == topic::STATUS_UPDATES;
        if of_connector && self.dice.roll_panic(Fault::PanicPublisher) {
            self.watch.remark("a publisher panics");
            resume_unwind(Box::new(Injected));
        }
        if self.dice.roll(Fault::AppendRefused) {
            return Some(AppendFault::Refused);
        }
        if self.dice.roll(Fault::AppendLost) {
            return Some(AppendFault::Lost);
        }
        self.dice.roll(Fault::AppendUnacked).then_some(AppendFault::Unacknowledged)
    }

    fn append_delay(&self, _: &NewRecord) -> Option<Duration> {
        let slow = self.dice.roll(Fault::AppendSlow);
        slow.then(|| self.dice.random().duration_between(Duration::ZERO, Duration::from_secs(2)))
    }

    fn appended(&self, record: &NewRecord) {
        self.watch.appended(self.process, record);
    }

    fn commit(&self, commits: &[Commit]) {
        let of_connector = commits.iter().any(|commit| commit.at.topic.ends_with("-outbound"));
        if self.is_killed() {
            return;
        }
        if of_connector && self.dice.roll_panic(Fault::PanicIntake) {
            self.watch.remark("an Intake panics");
            resume_unwind(Box::new(Injected));
        }
    }

    fn commit_fault(&self, group: &str, commits: &mut [Commit]) -> Option<CommitFault> {
        if self.is_killed() {
            return Some(CommitFault::Failed);
        }
        self.note_sending(group);
        if commits.iter().any(|commit| commit.at.topic.ends_with("-outbound")) {
            self.swap_note(commits);
        }
        if self.dice.roll(Fault::CommitRefused) {
            return Some(CommitFault::Refused);
        }
        if self.dice.roll(Fault::CommitFailed) {
            return Some(CommitFault::Failed);
        }
        if self.dice.roll(Fault::CommitUnacked) {
            return Some(CommitFault::Unacknowledged);
        }
        let slow = self.dice.roll(Fault::CommitSlow);
        let longest = Duration::from_secs(2);
        slow.then(|| {
            CommitFault::Slow(self.dice.random().duration_between(Duration::ZERO, longest))
        })
    }

    fn assigned(&self, group: &str, assignments: &[Assignment]) {
        self.watch.assigned(self.process, group, assignments);
    }

    fn committed(&self, group: &str, commits: &[Commit]) {
        let sent = self.sent.lock().unwrap().get(group).copied();
        self.watch.committed(group, commits, sent.unwrap_or_default().judged);
    }

    fn read(&self) -> Option<LogError> {
        if self.dice.roll_panic(Fault::PanicWorker) {
            self.watch.remark("a worker panics");
            resume_unwind(Box::new(Injected));
        }
        let failed = self.dice.roll(Fault::ReadFailed);
        failed.then(|| LogError::Unavailable("simulated".to_owned()))
    }

    fn lease(&self) -> Option<Duration> {
        Some(SESSION)
    }
}
