//! Why a platform may have got a message twice: what connectors left behind that ended, and calls
//! that a hand-over has cut off.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::harness::{Autopsy, Http, OUTLASTED};

/// What all autopsies found together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftBehind {
    /// How many there were.
    pub autopsies: u64,
    /// Calls under way.
    pub in_flight: u64,
    /// Completed, and not committed.
    pub uncommitted: u64,
    /// How many ends were planned: those of a drain.
    pub planned: u64,
    /// What these handed over although a platform had accepted it: calls in doubt.
    pub handed_over: u64,
    /// How often each message was left behind.
    pub messages: BTreeMap<String, u64>,
}

/// See the module.
#[derive(Default)]
pub struct Causes {
    left: Mutex<LeftBehind>,
    counters: Mutex<Counters>,
}

/// Counters of processes that come and go: the last values that each has shown.
#[derive(Default)]
struct Counters {
    processes: u64,
    /// By name: which process it is now, and where its metrics are.
    live: BTreeMap<String, (u64, u16)>,
    outlasted: BTreeMap<u64, u64>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // What panicked with it left whole numbers.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Causes {
    /// What an end left behind may be sent again, each message once.
    pub fn add(&self, found: &Autopsy) {
        let mut left = lock(&self.left);
        left.autopsies += 1;
        left.in_flight += found.in_flight as u64;
        left.uncommitted += found.uncommitted as u64;
        for id in &found.ids {
            *left.messages.entry(id.clone()).or_default() += 1;
        }
    }

    /// What a planned end hands over although a platform had accepted it.
    pub fn hand_over(&self, found: &Autopsy) {
        let mut left = lock(&self.left);
        left.planned += 1;
        left.handed_over += found.ids.len() as u64;
        for id in &found.ids {
            *left.messages.entry(id.clone()).or_default() += 1;
        }
    }

    /// Everything so far.
    pub fn left_behind(&self) -> LeftBehind {
        lock(&self.left).clone()
    }

    /// A connector was started.
    pub fn started(&self, name: &str, port: u16) {
        let mut counters = lock(&self.counters);
        counters.processes += 1;
        let process = counters.processes;
        counters.live.insert(name.to_owned(), (process, port));
    }

    /// A connector has ended; it had shown this of [`OUTLASTED`] last, if anybody had looked.
    pub fn ended(&self, name: &str, last: Option<u64>) {
        let mut counters = lock(&self.counters);
        if let Some((process, _)) = counters.live.remove(name)
            && let Some(outlasted) = last
        {
            counters.show(process, outlasted);
        }
    }

    /// Looks at the metrics of every connector that answers.
    pub async fn look(&self, http: &Http) {
        let live: Vec<(u64, u16)> = lock(&self.counters).live.values().copied().collect();
        for (process, port) in live {
            let url = format!("http://127.0.0.1:{port}/metrics");
            if let Some(text) = http.text(&url).await {
                lock(&self.counters).show(process, sum(&text, OUTLASTED));
            }
        }
    }

    /// How many calls hand-overs have cut off.
    pub fn outlasted(&self) -> u64 {
        lock(&self.counters).outlasted.values().sum()
    }
}

impl Counters {
    fn show(&mut self, process: u64, value: u64) {
        let shown = self.outlasted.entry(process).or_default();
        *shown = value.max(*shown);
    }
}

/// The sum of a metric's samples.
fn sum(text: &str, name: &str) -> u64 {
    let samples = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    let values = samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
    values.sum::<f64>() as u64
}

/// Acceptances that nothing explains, of messages with the number of their acceptances.
///
/// A message that is marked explains itself; each time that it was left behind explains one
/// repetition.
pub fn unexplained<'a>(
    accepted: impl Iterator<Item = (&'a str, u64)>,
    marked: &BTreeSet<String>,
    left: &LeftBehind,
) -> BTreeMap<String, u64> {
    let mut unexplained = BTreeMap::new();
    for (id, times) in accepted.filter(|(id, _)| !marked.contains(*id)) {
        let allowed = 1 + left.messages.get(id).copied().unwrap_or(0);
        if times > allowed {
            unexplained.insert(id.to_owned(), times - allowed);
        }
    }
    unexplained
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repetition_is_explained_by_a_mark_or_by_an_end_that_left_the_message_behind() {
        let marked = BTreeSet::from(["marked".to_owned()]);
        let messages = BTreeMap::from([("left".to_owned(), 1)]);
        let left = LeftBehind { messages, ..LeftBehind::default() };
        let accepted = [("once", 1), ("marked", 4), ("left", 2), ("again", 2)];
        let found = unexplained(accepted.into_iter(), &marked, &left);
        assert_eq!(found, BTreeMap::from([("again".to_owned(), 1)]));
        let accepted = [("left", 3)];
        let found = unexplained(accepted.into_iter(), &marked, &left);
        assert_eq!(found, BTreeMap::from([("left".to_owned(), 1)]));
    }

    #[test]
    fn a_process_that_ended_keeps_its_last_count() {
        let causes = Causes::default();
        causes.started("a", 1);
        causes.ended("a", Some(3));
        causes.started("a", 2);
        causes.ended("a", Some(2));
        causes.ended("b", Some(7));
        assert_eq!(causes.outlasted(), 5);
    }
}
