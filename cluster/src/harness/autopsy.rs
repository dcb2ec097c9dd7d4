//! What a connector leaves behind that is killed, frozen or cut off from its log: which calls it had
//! under way, and what it had finished without a commit. That, and nothing else, may be sent again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chat4all_contracts::Message;
use chat4all_eventlog::kafka::{KafkaLog, KafkaSettings};
use chat4all_eventlog::tracker::{OffsetTracker, Received};
use chat4all_eventlog::{EventLog, Record, TopicPartition};
use serde_json::Value;

use super::groups::{Committed, Group};
use super::{Cluster, Ledger, Report, Role};

const STATUSES: &str = "status-updates";

/// So many of the last statuses of each partition are looked through. What was not committed is
/// among them: it was completed within seconds.
const LAST_STATUSES: u64 = 50_000;

/// What had been committed and published at a connector's last moment.
pub struct LastMoment {
    /// Whose messages it delivers.
    pub platform: &'static str,
    committed: Vec<Committed>,
    /// Partitions of other instances, which go on.
    alive: BTreeSet<TopicPartition>,
    /// How many status events each partition held.
    statuses: BTreeMap<u32, u64>,
}

/// Messages that a platform has accepted and whose end was not committed: the successor sends
/// them again.
#[derive(Debug)]
pub struct Autopsy {
    /// Whose messages the connector delivers.
    pub platform: &'static str,
    /// No status of theirs was in the log: their calls were under way. Without those of instances that
    /// live.
    pub in_flight: usize,
    /// Their status was in the log: they were completed after the last commit. Without those of
    /// instances that live.
    pub uncommitted: usize,
    /// Milliseconds between the first and the last of these completions.
    pub uncommitted_ms: u64,
    /// The ids of all of them, and of what living instances had not committed: they may have to give
    /// partitions away to a successor.
    pub ids: BTreeSet<String>,
}

impl Autopsy {
    /// The most duplicates that this end can cause.
    pub fn repeatable(&self) -> u64 {
        (self.in_flight + self.uncommitted) as u64
    }
}

impl LastMoment {
    /// Of a connector, straight after it has been killed or frozen; or straight before its log goes
    /// away, which then knows of a little less than was committed.
    pub async fn of(cluster: &Cluster, platform: &'static str) -> Self {
        let (committed, log) = (committed(cluster, platform).await, log(cluster));
        let mut statuses = BTreeMap::new();
        for partition in 0..log.partitions(STATUSES).await.expect("the topic") {
            let at = TopicPartition::new(STATUSES, partition);
            statuses.insert(partition, log.bounds(&at).await.expect("its ends").end);
        }
        Self { platform, committed, alive: BTreeSet::new(), statuses }
    }

    /// To be called a few commits later, before a successor owns anything: where commits have gone on,
    /// another instance lives.
    pub async fn look_who_lives(&mut self, cluster: &Cluster) {
        let now = committed(cluster, self.platform).await;
        let went_on = now.into_iter().filter(|now| !self.committed.contains(now));
        self.alive = went_on.map(|now| now.at).collect();
    }

    /// Holds against it what the platform had accepted before a successor sent anything.
    pub async fn examine(self, cluster: &Cluster, accepted: &BTreeSet<String>) -> Autopsy {
        let log = log(cluster);
        let completed = self.completions(&log).await;
        let (mut in_flight, mut times, mut ids) = (0, Vec::new(), BTreeSet::new());
        for (id, at) in self.open(&log).await {
            if !accepted.contains(&id) {
                continue;
            }
            match completed.get(&id) {
                _ if self.alive.contains(&at) => {}
                Some(at_ms) => times.push(*at_ms),
                None => in_flight += 1,
            }
            ids.insert(id);
        }
        let span = times.iter().max().zip(times.iter().min());
        let uncommitted_ms = span.map_or(0, |(last, first)| last - first);
        let (platform, uncommitted) = (self.platform, times.len());
        Autopsy { platform, in_flight, uncommitted, uncommitted_ms, ids }
    }

    /// When each message was completed: what receipts report comes earlier or later, and a doubt that
    /// is told is no end.
    async fn completions(&self, log: &KafkaLog) -> BTreeMap<String, u64> {
        let mut completed = BTreeMap::new();
        for (partition, end) in &self.statuses {
            let at = TopicPartition::new(STATUSES, *partition);
            let from = end.saturating_sub(LAST_STATUSES);
            for record in read_all(log, &at, from).await.iter().filter(|r| r.offset < *end) {
                let status: Value = serde_json::from_slice(&record.value).expect("JSON");
                let is_of_call = status["attempt"].is_u64();
                if !is_of_call || status["reason"] == "possible_duplicate" {
                    continue;
                }
                let id = status["message_id"].as_str().expect("an id").to_owned();
                completed.entry(id).or_insert(record.timestamp.as_ms());
            }
        }
        completed
    }

    /// The messages that were not committed as done, and where they lie.
    async fn open(&self, log: &KafkaLog) -> BTreeMap<String, TopicPartition> {
        let mut open = BTreeMap::new();
        for Committed { at, position, note } in &self.committed {
            let end = log.bounds(at).await.expect("its ends").end;
            let (mut tracker, unusable) = OffsetTracker::resume(*position, Some(note), end);
            assert_eq!(unusable, None, "the note of the last commit can be used");
            for record in read_all(log, at, *position).await {
                if tracker.receive(record.offset, record.timestamp) == Received::New {
                    let message = Message::parse(&record.value, record.timestamp);
                    let id = message.expect("a message").message_id;
                    open.insert(id.as_str().to_owned(), at.clone());
                }
            }
        }
        open
    }
}

/// The last moments of the connectors of all platforms, when their log goes away. No process dies, but
/// if it is away for longer than a session, what could not be committed is done again.
#[derive(Default)]
pub struct LastMoments(Vec<(LastMoment, BTreeSet<String>)>);

impl LastMoments {
    /// To be called straight before.
    pub async fn of(cluster: &Cluster) -> Self {
        let mut moments = Vec::new();
        for platform in cluster.config.platforms() {
            moments.push((LastMoment::of(cluster, platform).await, BTreeSet::new()));
        }
        Self(moments)
    }

    /// With what the platforms have accepted, once no call starts any more: to be called while the
    /// log is away.
    pub async fn accepted(mut self, cluster: &Cluster) -> Self {
        for (last, accepted) in &mut self.0 {
            *accepted = Ledger::accepted(cluster, last.platform).await;
        }
        self
    }

    /// To be called once the log is back.
    pub async fn examine(self, cluster: &Cluster, report: &mut Report) {
        for (last, accepted) in self.0 {
            let found = last.examine(cluster, &accepted).await;
            let bound = cluster.config.repeatable_without_log(found.platform);
            report.autopsy(found, bound);
        }
    }
}

async fn committed(cluster: &Cluster, platform: &'static str) -> Vec<Committed> {
    let group = Group::of(cluster, Role::Connector(platform)).expect("connectors read the log");
    group.committed().await
}

fn log(cluster: &Cluster) -> Arc<KafkaLog> {
    let kafka = cluster.stack.kafka.to_string();
    let settings = KafkaSettings { bootstrap_servers: kafka, ..KafkaSettings::default() };
    KafkaLog::new(&settings, "test", 1 << 20).expect("clients")
}

async fn read_all(log: &KafkaLog, at: &TopicPartition, from: u64) -> Vec<Record> {
    log.read(at, from, 1_000_000).await.expect("the log can be read")
}
