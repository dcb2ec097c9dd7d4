//! What a run left behind, to be compared and judged: every record of every topic, the simulator's
//! ledger, the counted branches.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chat4all_contracts::{EpochMs, Status, StatusUpdate, topic};
use chat4all_eventlog::{EventLog, Record, TopicPartition};
use metrics_util::debugging::{DebugValue, Snapshotter};
use serde_json::Value;

use crate::world::World;

/// See the module.
pub struct History {
    pub seed: u64,
    /// When it ended, of its own time.
    pub ended: EpochMs,
    pub records: Vec<Record>,
    pub ledger: Value,
    pub coverage: Coverage,
}

/// How often each thing occurred that the seeds must show.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    seeds: u64,
    messages: u64,
    calls: u64,
    breaker_opened: u64,
    retries: u64,
    in_doubt: u64,
    throttled: u64,
    refused_accounts: u64,
    redeliveries: u64,
    duplicates_skipped: u64,
    early_receipts: u64,
    failed: u64,
}

impl Coverage {
    pub fn add(&mut self, other: &Coverage) {
        self.seeds += other.seeds;
        self.messages += other.messages;
        self.calls += other.calls;
        self.breaker_opened += other.breaker_opened;
        self.retries += other.retries;
        self.in_doubt += other.in_doubt;
        self.throttled += other.throttled;
        self.refused_accounts += other.refused_accounts;
        self.redeliveries += other.redeliveries;
        self.duplicates_skipped += other.duplicates_skipped;
        self.early_receipts += other.early_receipts;
        self.failed += other.failed;
    }

    /// Whether everything occurred that must.
    pub fn is_complete(&self) -> bool {
        let must_occur = [
            self.breaker_opened,
            self.retries,
            self.in_doubt,
            self.throttled,
            self.refused_accounts,
            self.redeliveries,
            self.duplicates_skipped,
            self.early_receipts,
            self.failed,
        ];
        must_occur.iter().all(|count| *count > 0)
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} seeds, {} messages, {} calls: breaker opened {}, retries {}, in doubt {}, \
             throttled {}, refused accounts {}, redeliveries {}, duplicates skipped {}, early receipts {}, failed {}",
            self.seeds,
            self.messages,
            self.calls,
            self.breaker_opened,
            self.retries,
            self.in_doubt,
            self.throttled,
            self.refused_accounts,
            self.redeliveries,
            self.duplicates_skipped,
            self.early_receipts,
            self.failed
        )
    }
}

impl History {
    /// Asserts that two runs of a seed were the same, byte for byte.
    pub fn assert_same(&self, other: &History) {
        let seed = self.seed;
        for (ours, theirs) in self.records.iter().zip(&other.records) {
            let differs = |what: &str| {
                format!("seed {seed}: {what} of {ours:?} differs from {theirs:?} in the second run")
            };
            assert!(ours.at() == theirs.at(), "{}", differs("the place"));
            assert!(ours.timestamp == theirs.timestamp, "{}", differs("the time"));
            assert!(ours == theirs, "{}", differs("the content"));
        }
        assert_eq!(self.records.len(), other.records.len(), "seed {seed}: records");
        assert_eq!(self.ledger, other.ledger, "seed {seed}: ledger");
        assert_eq!(self.ended, other.ended, "seed {seed}: end");
    }

    /// The records of a topic.
    pub fn topic<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = &'a Record> {
        self.records.iter().filter(move |record| &*record.topic == topic)
    }

    /// The status updates, in the order of their partitions.
    pub fn statuses(&self) -> impl Iterator<Item = StatusUpdate> {
        self.topic(topic::STATUS_UPDATES).map(|record| StatusUpdate::parse(&record.value).unwrap())
    }
}

impl World {
    /// Gathers what a finished run left behind.
    pub fn history(&self, metrics: &Metrics) -> History {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let installation = World::installation();
        let (records, ledger) = runtime.block_on(async {
            let mut records = Vec::new();
            for topic in installation.topology.topics(&installation.platforms) {
                for partition in 0..topic.partitions {
                    let at = TopicPartition::new(&topic.name, partition);
                    records.extend(self.log.read(&at, 0, 1_000_000).await.unwrap());
                }
            }
            (records, self.read_ledger().await)
        });
        let mut history = History {
            seed: self.seed,
            ended: self.now,
            records,
            ledger,
            coverage: Coverage::default(),
        };
        history.coverage = coverage(&history, metrics);
        history
    }
}

fn coverage(history: &History, metrics: &Metrics) -> Coverage {
    let outbound = |record: &&Record| record.topic.ends_with("-outbound");
    let appended = history.records.iter().filter(outbound).count() as u64;
    let consumed = metrics
        .sum("chat4all_records_consumed_total", "topic", |topic| topic.ends_with("-outbound"));
    let is = |expected: &'static str| move |value: &str| value == expected;
    Coverage {
        seeds: 1,
        messages: history.topic(topic::MESSAGES).count() as u64,
        calls: metrics.calls(),
        breaker_opened: metrics.sum("chat4all_breaker_transitions_total", "to", is("open")),
        retries: metrics.sum("chat4all_retries_total", "platform", |_| true),
        in_doubt: metrics.sum("chat4all_deliveries_total", "outcome", is("in_doubt")),
        throttled: metrics.sum("chat4all_deliveries_total", "outcome", is("throttled")),
        refused_accounts: metrics.sum("chat4all_deliveries_total", "outcome", is("account")),
        redeliveries: consumed.saturating_sub(appended),
        duplicates_skipped: metrics.sum("chat4all_duplicates_skipped_total", "platform", |_| true),
        early_receipts: early_receipts(history),
        failed: history.statuses().filter(|update| update.status == Status::Failed).count() as u64,
    }
}

/// Receipts that were in the log before our own report of the acceptance.
fn early_receipts(history: &History) -> u64 {
    let mut sent = BTreeSet::new();
    let mut early = BTreeSet::new();
    for update in history.statuses() {
        match update.status {
            Status::Sent => drop(sent.insert(update.message_id)),
            Status::Delivered | Status::Read
                if update.external_id.is_none() && !sent.contains(&update.message_id) =>
            {
                early.insert(update.message_id);
            }
            _ => {}
        }
    }
    early.len() as u64
}

/// A metric's name and labels.
type Series = (String, Vec<(String, String)>);

/// The metrics of a run, as the code itself counted. A snapshot takes the counters away, so sums
/// are kept here.
pub struct Metrics {
    snapshotter: Snapshotter,
    sums: RefCell<BTreeMap<Series, f64>>,
}

impl Metrics {
    pub fn new(snapshotter: Snapshotter) -> Self {
        Self { snapshotter, sums: RefCell::default() }
    }

    fn refresh(&self) {
        let mut sums = self.sums.borrow_mut();
        for (key, _, _, value) in self.snapshotter.snapshot().into_vec() {
            let key = key.key();
            let label = |label: &metrics::Label| (label.key().to_owned(), label.value().to_owned());
            let key = (key.name().to_owned(), key.labels().map(label).collect());
            match value {
                DebugValue::Counter(n) => *sums.entry(key).or_default() += n as f64,
                // Also taken away, so this sums up what was added since.
                DebugValue::Gauge(added) => *sums.entry(key).or_default() += added.into_inner(),
                DebugValue::Histogram(_) => {}
            }
        }
    }

    /// The sum of a metric's series whose `label` satisfies `chosen`.
    pub fn sum(&self, name: &str, label: &str, chosen: impl Fn(&str) -> bool) -> u64 {
        self.refresh();
        let sums = self.sums.borrow();
        let has = |labels: &[(String, String)]| labels.iter().any(|(k, v)| k == label && chosen(v));
        let chosen = sums.iter().filter(|((n, labels), _)| n == name && has(labels));
        chosen.map(|(_, value)| *value as u64).sum()
    }

    /// Calls to platforms that have ended.
    pub fn calls(&self) -> u64 {
        self.sum("chat4all_deliveries_total", "platform", |_| true)
    }

    /// Calls to platforms under way.
    pub fn in_flight(&self) -> u64 {
        self.sum("chat4all_deliveries_in_flight", "platform", |_| true)
    }
}
