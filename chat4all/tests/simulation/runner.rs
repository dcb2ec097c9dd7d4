//! Many runs on all cores. A run is single-threaded by nature; several share the machine.

use std::any::Any;
use std::cell::RefCell;
use std::io::{IsTerminal, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::ThreadId;
use std::time::Duration;

use tokio::time::Instant;

use crate::coverage::Coverage;
use crate::faults::Allowed;
use crate::log_faults::Injected;
use crate::watch::Violation;
use crate::world::{Finished, World};

thread_local! {
    /// Where this thread panicked last.
    static PANICKED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A seed that failed.
#[derive(Debug)]
pub struct Failed {
    pub seed: u64,
    pub violation: Violation,
    pub story: Vec<String>,
}

/// What many seeds came to.
#[derive(Debug, Default)]
pub struct Total {
    pub seeds: u64,
    pub coverage: Coverage,
    pub failed: Vec<Failed>,
    pub took: Duration,
}

/// Until when seeds are begun.
#[derive(Clone, Copy)]
pub enum Until {
    Seeds(u64),
    Time(Instant),
}

/// What each thread runs, and since when.
static RUNNING: Mutex<Vec<(ThreadId, u64, Instant)>> = Mutex::new(Vec::new());

/// A run takes a second; one that takes so long never ends, because its time stands still.
const STUCK: Duration = Duration::from_secs(300);

/// Ends the program when a run does not end: a thread cannot be ended from outside.
pub fn watch_for_stuck_runs() {
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap().block_on(async {
            loop {
                tokio::time::sleep(Duration::from_secs(5)).await; // sleep: how often it looks
                end_if_stuck();
            }
        })
    });
}

fn end_if_stuck() {
    let running = RUNNING.lock().unwrap();
    if let Some((_, seed, _)) = running.iter().find(|(_, _, since)| since.elapsed() > STUCK) {
        eprintln!("seed {seed} does not end: something goes on without its time moving");
        eprintln!("replay: {}", crate::report::replay(*seed));
        std::process::exit(1);
    }
}

/// Panics are kept for their run, not printed among the progress.
pub fn keep_panics() {
    std::panic::set_hook(Box::new(|panic| {
        PANICKED.with(|kept| *kept.borrow_mut() = Some(panic.to_string()));
    }));
}

/// Runs one seed; a panic is a violation.
pub fn run(seed: u64, allowed: &Allowed) -> Result<Finished, Box<Failed>> {
    PANICKED.with(|kept| kept.borrow_mut().take());
    let thread = std::thread::current().id();
    RUNNING.lock().unwrap().push((thread, seed, now()));
    let result = catch_unwind(AssertUnwindSafe(|| World::run(seed, allowed)));
    RUNNING.lock().unwrap().retain(|(other, _, _)| *other != thread);
    match result {
        Ok(finished) => match &finished.violation {
            None => Ok(finished),
            Some(violation) => {
                let violation = violation.clone();
                Err(Box::new(Failed { seed, violation, story: finished.story }))
            }
        },
        Err(panic) => {
            let (violation, story) = (panicked(&*panic), Vec::new());
            Err(Box::new(Failed { seed, violation, story }))
        }
    }
}

/// What this thread panicked with last.
pub fn last_panic() -> String {
    let kept = PANICKED.with(|kept| kept.borrow_mut().take());
    kept.unwrap_or_else(|| "it panicked".to_owned())
}

fn panicked(panic: &(dyn Any + Send)) -> Violation {
    let kept = PANICKED.with(|kept| kept.borrow_mut().take());
    let injected = panic.is::<Injected>();
    let unknown = if injected { "a simulated panic was not contained" } else { "unknown" };
    let text = kept.unwrap_or_else(|| unknown.to_owned());
    Violation { check: "nothing panics", text, message: None }
}

/// Runs a seed twice and compares.
fn run_twice(seed: u64, allowed: &Allowed) -> Result<Finished, Box<Failed>> {
    let first = run(seed, allowed)?;
    let second = run(seed, allowed)?;
    match first.history.difference(&second.history) {
        None => Ok(first),
        Some(text) => {
            let violation = Violation { check: "a seed repeats exactly", text, message: None };
            Err(Box::new(Failed { seed, violation, story: Vec::new() }))
        }
    }
}

/// Runs seeds from `from` on, each `twice_every`-th of them twice, until the end or the first few
/// that fail.
pub fn run_many(from: u64, until: Until, twice_every: u64, allowed: &Allowed) -> Total {
    let began = now();
    let (next, enough) = (AtomicU64::new(from), AtomicBool::new(false));
    let total = Mutex::new(Total::default());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while !enough.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let over = match until {
                        Until::Seeds(count) => seed >= from + count,
                        Until::Time(end) => now() >= end,
                    };
                    if over {
                        return;
                    }
                    let twice = seed.is_multiple_of(twice_every);
                    let result = if twice { run_twice(seed, allowed) } else { run(seed, allowed) };
                    let mut total = total.lock().unwrap();
                    total.add(result);
                    // A few show whether they have one cause.
                    enough.fetch_or(total.failed.len() >= 5, Ordering::Relaxed);
                    progress(&total, began);
                }
            });
        }
    });
    clear_progress();
    let mut total = total.into_inner().unwrap();
    total.took = began.elapsed();
    total.failed.sort_by_key(|failed| failed.seed);
    total
}

impl Total {
    fn add(&mut self, result: Result<Finished, Box<Failed>>) {
        self.seeds += 1;
        match result {
            Ok(finished) => self.coverage.merge(&finished.coverage),
            Err(failed) => self.failed.push(*failed),
        }
    }
}

/// For how long the runs themselves may take: outside a paused runtime this is the machine's clock.
pub fn now() -> Instant {
    Instant::now()
}

fn progress(total: &Total, began: Instant) {
    if std::io::stderr().is_terminal() {
        let seconds = began.elapsed().as_secs();
        let (seeds, failed) = (total.seeds, total.failed.len());
        let messages = total.coverage.get("run", "messages");
        let line = format!("{seeds} seeds, {messages} messages, {failed} failed, {seconds} s");
        // Progress that cannot be shown is no failure.
        let _unseen = write!(std::io::stderr(), "\r\x1b[K{line}");
    }
}

fn clear_progress() {
    if std::io::stderr().is_terminal() {
        let _unseen = write!(std::io::stderr(), "\r\x1b[K");
    }
}
