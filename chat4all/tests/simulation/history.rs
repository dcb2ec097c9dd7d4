//! What a run left behind, to be compared and judged: every record of every topic, the simulator's
//! ledger, the counted branches.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use chat4all_contracts::{EpochMs, StatusUpdate, topic};
use chat4all_eventlog::{EventLog, Record, TopicPartition};
use chat4all_process::Random;
use chat4all_process::http_client::{HttpClient, HttpPort};
use chat4all_simulator::{Settings, Simulator};
use metrics_util::debugging::{DebugValue, Snapshotter};
use serde_json::Value;

use crate::life::ledger;
use crate::network::Network;
use crate::world::World;

/// The most records of a partition that its connector may hold: a full window and one batch.
const WINDOWS: u64 = 2;

/// See the module.
pub struct History {
    /// When it ended, of its own time.
    pub ended: EpochMs,
    pub records: Vec<Record>,
    pub ledger: Value,
}

impl History {
    /// What differs from another run of the same seed, if anything does.
    pub fn difference(&self, other: &History) -> Option<String> {
        let pairs = self.records.iter().zip(&other.records).filter(|(ours, theirs)| ours != theirs);
        // The first in time leads to the cause.
        if let Some((ours, theirs)) = pairs.min_by_key(|(ours, _)| ours.timestamp) {
            let text = |record: &Record| {
                let value = String::from_utf8_lossy(&record.value);
                format!("{record:?} of {:?}: {value}", record.timestamp)
            };
            return Some(format!("{}\ndiffers from\n{}", text(ours), text(theirs)));
        }
        if self.records.len() != other.records.len() {
            return Some(format!("{} records, then {}", self.records.len(), other.records.len()));
        }
        if self.ledger != other.ledger {
            return Some("the ledgers differ".to_owned());
        }
        let (ours, theirs) = (self.ended, other.ended);
        (ours != theirs).then(|| format!("it ended at {ours:?}, then at {theirs:?}"))
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
    pub fn history(&self) -> History {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (records, ledger) = runtime.block_on(async {
            let mut records = Vec::new();
            for topic in self.installation.topology.topics(&self.installation.platforms) {
                for partition in 0..topic.partitions {
                    let at = TopicPartition::new(&topic.name, partition);
                    records.extend(self.log.read(&at, 0, 1_000_000).await.unwrap());
                }
            }
            (records, self.read_ledger().await)
        });
        History { ended: self.now, records, ledger }
    }

    /// The ledger, read by a simulator that does nothing else.
    async fn read_ledger(&self) -> Value {
        let network = Network::default();
        let http: Arc<dyn HttpPort> = Arc::new(HttpClient::over(network.clone()));
        let (clock, random) = (self.clock.clone(), Random::seeded(0));
        let database = self.ledger.clone();
        let simulator =
            Simulator::open(Settings::default(), database, http.clone(), clock, random).await;
        network.listen("127.0.0.1:8090", simulator.unwrap().router());
        ledger(&*http, 100_000).await
    }
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

    pub fn refresh(&self) {
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

    /// A metric's sums by the value of `label`, as of the last [`Metrics::refresh`].
    pub fn by_label(&self, name: &str, label: &str) -> BTreeMap<String, u64> {
        let mut found = BTreeMap::new();
        for ((metric, labels), sum) in &*self.sums.borrow() {
            let value = labels.iter().find(|(key, _)| metric == name && key == label);
            if let Some((_, value)) = value {
                *found.entry(value.clone()).or_default() += *sum as u64;
            }
        }
        found
    }

    /// I7: nobody holds more than he may.
    pub fn check_bounds(&self, world: &World) {
        self.refresh();
        for served in world.installation.served.values() {
            let topic = &served.source.topic;
            let partitions = u64::from(served.spec.partitions());
            let most = served.policy.window.get() * WINDOWS * partitions;
            let parked = self.by_label("chat4all_deliveries_parked", "platform");
            let name = served.platform.name().as_str();
            let parked = parked.get(name).copied().unwrap_or(0);
            // Two connectors of a platform count into the same gauge.
            if parked > most * 2 {
                let text = format!("{parked} parked from {topic}, at most {most}");
                world.watch.object("everything is bounded", None, text);
            }
        }
    }
}
