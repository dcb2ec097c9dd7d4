//! What a run has come to: a table for people, JSON for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::board::{Board, Finding};
use super::verdict::Verdict;

/// Findings that a table shows; the file has all of them.
const SHOWN_FINDINGS: usize = 20;

/// One kind of trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What it is called.
    pub kind: String,
    /// How often it came about.
    pub count: u64,
    /// How long it took until everything went on: median and worst, if it was measured.
    pub recovery: Option<(Duration, Duration)>,
}

/// How the API answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// 503.
    pub unavailable: u64,
    /// None.
    pub unanswered: u64,
    /// The longest time, in milliseconds.
    pub slowest_ms: u64,
}

/// See the module.
pub struct Report {
    /// Makes the same schedule again.
    pub seed: u64,
    /// How long trouble went on.
    pub minutes: u64,
    /// Where everything is kept.
    pub folder: PathBuf,
    /// How the run ended, if not by itself.
    pub interrupted: bool,
    /// What became of the messages; absent if it could not be found out.
    pub verdict: Option<Verdict>,
    /// Two calls of a conversation at once. Not wrong by itself after an unplanned end.
    pub overlaps: u64,
    /// What clients heard.
    pub answers: Answers,
    /// What went wrong on purpose.
    pub troubles: Vec<Trouble>,
    /// Acts whose time had not come when the run was over.
    pub skipped: u64,
    /// What must not be.
    pub findings: Vec<Finding>,
}

/// What came about, by kind.
pub fn troubles(board: &Board) -> Vec<Trouble> {
    let mut recoveries = board.recoveries();
    let of = |times: &mut Vec<Duration>| {
        times.sort();
        Some((*times.get(times.len() / 2)?, *times.last()?))
    };
    let counts = board.counts().into_iter();
    counts
        .map(|(kind, count)| {
            let recovery = recoveries.get_mut(&kind).and_then(of);
            Trouble { kind, count, recovery }
        })
        .collect()
}

impl Report {
    /// Whether every invariant held, as far as it was looked at.
    pub fn held(&self) -> bool {
        self.findings.is_empty() && !self.interrupted && self.verdict.is_some()
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let troubles: Vec<Value> = self
            .troubles
            .iter()
            .map(|Trouble { kind, count, recovery }| {
                let (median, worst) = recovery.map(|(m, w)| (ms(m), ms(w))).unzip();
                json!({ "kind": kind, "count": count, "recovery_median_ms": median,
                    "recovery_worst_ms": worst })
            })
            .collect();
        let findings: Vec<Value> = self
            .findings
            .iter()
            .map(|it| json!({ "check": it.check, "message": it.message, "text": it.text }))
            .collect();
        json!({
            "held": self.held(), "interrupted": self.interrupted, "seed": self.seed,
            "minutes": self.minutes, "folder": self.folder,
            "messages": self.verdict.as_ref().map(messages), "overlaps": self.overlaps,
            "answers": { "503": self.answers.unavailable, "none": self.answers.unanswered,
                "slowest_ms": self.answers.slowest_ms },
            "troubles": troubles, "skipped": self.skipped, "findings": findings,
        })
    }

    /// For people.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // A String takes everything.
        let _infallible = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let Self { seed, minutes, .. } = self;
        writeln!(text, "torture: seed {seed}, {minutes} minutes of trouble")?;
        if let Some(verdict) = &self.verdict {
            text.push('\n');
            for (name, value, note) in rows(verdict) {
                writeln!(text, "{name:<24} {value:>9}  {note}")?;
            }
        }
        let Answers { unavailable, unanswered, slowest_ms } = self.answers;
        writeln!(
            text,
            "{:<24} {:>9}  two calls of a conversation at once",
            "overlaps", self.overlaps
        )?;
        writeln!(
            text,
            "{:<24} {unavailable:>9}  and {unanswered} without an answer; slowest answer {slowest_ms} ms",
            "answered 503"
        )?;
        writeln!(text, "\n{:<44} {:>5} {:>10} {:>10}", "trouble", "times", "median", "worst")?;
        for Trouble { kind, count, recovery } in &self.troubles {
            let shown = |time: Duration| format!("{:.1} s", time.as_secs_f64());
            let (median, worst) = recovery.map(|(m, w)| (shown(m), shown(w))).unzip();
            let (median, worst) = (median.unwrap_or_default(), worst.unwrap_or_default());
            writeln!(text, "{kind:<44} {count:>5} {median:>10} {worst:>10}")?;
        }
        if self.skipped > 0 {
            writeln!(text, "{} more were due when the time was over", self.skipped)?;
        }
        self.write_end(text)
    }

    fn write_end(&self, text: &mut String) -> std::fmt::Result {
        text.push('\n');
        for Finding { check, text: what, message } in self.findings.iter().take(SHOWN_FINDINGS) {
            let message = message.as_deref().map(|id| format!(" [{id}]")).unwrap_or_default();
            writeln!(text, "NOT HELD: {check}: {what}{message}")?;
        }
        if self.findings.len() > SHOWN_FINDINGS {
            writeln!(text, "and {} more", self.findings.len() - SHOWN_FINDINGS)?;
        }
        let result = match (self.interrupted, self.held()) {
            (true, _) => "interrupted: not everything was looked at",
            (false, true) => "every invariant held",
            (false, false) => "NOT every invariant held",
        };
        writeln!(text, "{result}; all of it is in {}", self.folder.display())
    }
}

fn rows(verdict: &Verdict) -> Vec<(String, u64, String)> {
    let status = |word| verdict.by_status.get(word).copied().unwrap_or(0);
    let row = |name: &str, value: u64, note: &str| (name.to_owned(), value, note.to_owned());
    let mut rows = vec![
        row("accepted", verdict.accepted, "answered 202"),
        row("delivered", status("DELIVERED"), ""),
        row("read", status("READ"), ""),
        row("sent", status("SENT"), "accepted, and the platform never reported more"),
        row("failed", status("FAILED"), ""),
    ];
    for (reason, count) in &verdict.failed {
        rows.push(row(&format!("  {reason}"), *count, ""));
    }
    if verdict.failed_after_end > 0 {
        let note = "accepted, then its connector died before it could say so";
        rows.push(row("  although accepted", verdict.failed_after_end, note));
    }
    let (arrived, failed) = (verdict.in_doubt_arrived, verdict.in_doubt_failed);
    let settled = format!("UNKNOWN for a while: {arrived} arrived, {failed} failed as in doubt");
    let twice = format!("{} of them accepted more than once", verdict.marked_twice);
    let left = &verdict.left;
    let cut_off = verdict.outlasted;
    let bound = verdict.repeatable();
    let ends = left.autopsies;
    let in_flight = format!("calls under way, at {ends} unplanned ends");
    let unnamed = "of these: no end left the message behind; at most those cut off";
    rows.extend([
        row("in doubt, not repeated", verdict.in_doubt, &settled),
        row("in doubt, repeated", verdict.doubted, "UNKNOWN until another call or a receipt"),
        row("possible duplicates", verdict.marked, &twice),
        row("duplicated", verdict.duplicates, "acceptances beyond the first of a message"),
        row("  without a mark", verdict.unmarked_duplicates, &format!("I6 allows {bound}:")),
        row("    in flight", left.in_flight, &in_flight),
        row(
            "    uncommitted",
            left.uncommitted,
            "completed after the last commit before such an end",
        ),
        row("    cut off", cut_off, "calls that outlasted the drain of a hand-over"),
        row("  unexplained", verdict.unexplained, unnamed),
        row("unsettled", verdict.unsettled, ""),
        row("lost", verdict.lost, ""),
        row("overtaken", verdict.overtaken, ""),
    ]);
    rows
}

fn messages(verdict: &Verdict) -> Value {
    let by: BTreeMap<&str, u64> = verdict.by_status.clone();
    json!({
        "accepted": verdict.accepted, "by_status": by, "failed": verdict.failed,
        "unsettled": verdict.unsettled, "lost": verdict.lost, "overtaken": verdict.overtaken,
        "in_doubt": { "repeated": verdict.doubted, "not_repeated": verdict.in_doubt,
            "arrived": verdict.in_doubt_arrived,
            "failed": verdict.in_doubt_failed },
        "possible_duplicates": { "messages": verdict.marked, "twice": verdict.marked_twice },
        "duplicated": { "acceptances": verdict.duplicates, "not_marked": verdict.unmarked_duplicates,
            "unexplained": verdict.unexplained, "in_flight": verdict.left.in_flight,
            "uncommitted": verdict.left.uncommitted, "ends": verdict.left.autopsies,
            "cut_off": verdict.outlasted, "handed_over": verdict.left.handed_over,
            "planned_ends": verdict.left.planned },
        "failed_after_end": verdict.failed_after_end,
    })
}
