//! What the parts of a run tell each other and its end: findings, recoveries, what is done now, and
//! the journal, which is the file of everything that happened.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::act::{Act, Lane};

/// The most findings that are kept; more of them say nothing new.
const MOST_FINDINGS: usize = 1_000;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The check, in the same words for each of its findings.
    pub check: &'static str,
    /// What was found.
    pub text: String,
    /// The message that it was found on.
    pub message: Option<String>,
}

/// See the module.
pub struct Board {
    began: Instant,
    journal: Mutex<File>,
    doing: Mutex<BTreeMap<Lane, String>>,
    findings: Mutex<Vec<Finding>>,
    counts: Mutex<BTreeMap<String, u64>>,
    recoveries: Mutex<BTreeMap<String, Vec<Duration>>>,
    log_trouble: Mutex<Option<Instant>>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // What panicked with it left a whole value.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Board {
    /// With a journal in this folder. The run begins now.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn new(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            began: Instant::now(),
            journal: Mutex::new(File::create(folder.join("journal.jsonl"))?),
            doing: Mutex::default(),
            findings: Mutex::default(),
            counts: Mutex::default(),
            recoveries: Mutex::default(),
            log_trouble: Mutex::default(),
        })
    }

    /// Since the begin.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The moment of the run with this time.
    pub fn at(&self, time: Duration) -> Instant {
        self.began + time
    }

    /// A line of the journal.
    pub fn note(&self, event: &str, mut details: Value) {
        let at_ms = u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX);
        details["event"] = event.into();
        details["at_ms"] = at_ms.into();
        // A full disk must not end the run: its end says what it knows all the same.
        let _full = writeln!(lock(&self.journal), "{details}");
    }

    /// An act begins.
    pub fn begins(&self, lane: Lane, act: &Act) {
        self.note("begins", act.to_json());
        *lock(&self.counts).entry(act.kind()).or_default() += 1;
        lock(&self.doing).insert(lane, act.to_string());
    }

    /// The act of a lane is over.
    pub fn ends(&self, lane: Lane) {
        lock(&self.doing).remove(&lane);
    }

    /// What is being done.
    pub fn doing(&self) -> Vec<String> {
        lock(&self.doing).values().cloned().collect()
    }

    /// Everything that an act hurt went on after this long.
    pub fn recovered(&self, kind: &str, after: Duration) {
        let ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        self.note("recovered", json!({ "kind": kind, "after_ms": ms }));
        lock(&self.recoveries).entry(kind.to_owned()).or_default().push(after);
    }

    /// Something was found.
    pub fn finds(&self, check: &'static str, message: Option<&str>, text: String) {
        self.note("finding", json!({ "check": check, "message": message, "text": text }));
        let mut findings = lock(&self.findings);
        if findings.len() < MOST_FINDINGS {
            findings.push(Finding { check, text, message: message.map(str::to_owned) });
        }
    }

    /// What was found so far.
    pub fn findings(&self) -> Vec<Finding> {
        lock(&self.findings).clone()
    }

    /// How many acts of each kind began.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        lock(&self.counts).clone()
    }

    /// The recoveries of each kind of act.
    pub fn recoveries(&self) -> BTreeMap<String, Vec<Duration>> {
        lock(&self.recoveries).clone()
    }

    /// The log, or the way to it, is in trouble now.
    pub fn log_is_troubled(&self) {
        *lock(&self.log_trouble) = Some(Instant::now());
    }

    /// Whether the log was in trouble within so long.
    pub fn log_was_troubled(&self, within: Duration) -> bool {
        lock(&self.log_trouble).is_some_and(|last| last.elapsed() < within)
    }
}
