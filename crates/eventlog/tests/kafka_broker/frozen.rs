//! A member that is frozen past its session: another takes over, and the frozen one can do no harm
//! when it wakes. The test starts its own binary again as that member.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chat4all_contracts::EpochMs;
use chat4all_eventlog::kafka::KafkaLog;
use chat4all_eventlog::{
    Admission, Cleanup, Commit, CommitError, Consumer, ConsumerEvent, Epoch, EventLog, NewRecord,
    Patience, Placement, ProducerOptions, Subscription, TopicPartition, TopicSpec, append,
};
use tokio::time::timeout;

use crate::broker::{Broker, settings};

const CHILD: &str = "frozen::child_that_is_frozen";
const NAMES: &str = "CHAT4ALL_TEST_NAMES";
/// Only bounds a failure; the session is 6 s.
const PATIENCE: Duration = Duration::from_secs(60);

async fn join(log: &KafkaLog, group: &str, topic: &str) -> Arc<dyn Consumer> {
    let subscription = Subscription {
        group: group.to_owned(),
        topics: vec![topic.to_owned()],
        max_batch: 10,
        revoke_deadline: Duration::from_secs(1),
    };
    log.subscribe(subscription).await.unwrap()
}

async fn event(consumer: &dyn Consumer) -> ConsumerEvent {
    timeout(PATIENCE, consumer.next()).await.unwrap().unwrap()
}

fn say(line: &str) {
    std::io::stdout().lock().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// What the child does; an empty test where nobody has named its topic.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_is_frozen() {
    let Ok(names) = std::env::var(NAMES) else { return };
    let (group, topic) = names.split_once(' ').unwrap();
    let log = KafkaLog::new(&settings(100), "frozen", 1 << 20).unwrap();
    let consumer = join(&log, group, topic).await;
    let mut epoch = None;
    loop {
        match event(&*consumer).await {
            ConsumerEvent::Assigned(assigned) if epoch.is_none() => epoch = Some(assigned[0].epoch),
            ConsumerEvent::Records { .. } => say("received"),
            ConsumerEvent::Revoked(revoked) => {
                say(if revoked.lost { "lost" } else { "revoked" });
                let refused = commit(&*consumer, topic, epoch.unwrap(), 1, "late").await;
                say(&format!("{refused:?}"));
                return;
            }
            _ => {}
        }
    }
}

async fn commit(
    consumer: &dyn Consumer,
    topic: &str,
    epoch: Epoch,
    offset: u64,
    note: &str,
) -> Vec<CommitError> {
    let at = TopicPartition::new(topic, 0);
    let commits = vec![Commit { at, epoch, offset, note: note.to_owned() }];
    timeout(PATIENCE, consumer.commit(commits)).await.unwrap().unwrap()
}

/// Ends with its test.
struct Frozen(Child);

impl Frozen {
    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _ended_already = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_frozen_past_its_session_loses_its_partition_and_cannot_commit() {
    let broker = Broker::new();
    let (group, topic) = (broker.name("group"), broker.name("topic"));
    let log = KafkaLog::new(&settings(100), "test", 1 << 20).unwrap();
    let (placement, retention) = (Placement::ByKey, Duration::from_secs(86_400));
    let spec = TopicSpec {
        name: topic.clone(),
        partitions: 1,
        placement,
        retention,
        cleanup: Cleanup::Delete,
    };
    log.ensure_topics(vec![spec]).await.unwrap();
    let patience = Patience::Forever;
    let producer = log.producer(ProducerOptions { patience, admission: Admission::Progress });
    let record = NewRecord {
        to: TopicPartition::new(&topic, 0),
        key: Bytes::new(),
        value: Bytes::new(),
        headers: Vec::new(),
        timestamp: EpochMs::saturating(1_700_000_000_000),
    };
    for _ in 0..3 {
        append(&*producer, record.clone()).await.unwrap();
    }
    let exe = std::env::current_exe().unwrap();
    let mut child = Frozen(
        Command::new(exe)
            .args(["--exact", CHILD, "--nocapture"])
            .env(NAMES, format!("{group} {topic}"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let output = BufReader::new(child.0.stdout.take().unwrap());
    let mut lines = output.lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "received"));
    child.signal("-STOP");
    let consumer = join(&log, &group, &topic).await;
    let ConsumerEvent::Assigned(assigned) = event(&*consumer).await else {
        panic!("the survivor is not assigned the partition")
    };
    assert_eq!(assigned[0].position, 0, "the frozen one had committed nothing");
    let epoch = assigned[0].epoch;
    assert_eq!(commit(&*consumer, &topic, epoch, 2, "mine").await, []);
    child.signal("-CONT");
    let told: Vec<String> = lines
        .filter(|line| ["lost", "revoked"].contains(&&**line) || line.contains("Stale"))
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0], "lost");
    timeout(PATIENCE, consumer.close()).await.unwrap();
    let consumer = join(&log, &group, &topic).await;
    let ConsumerEvent::Assigned(assigned) = event(&*consumer).await else {
        panic!("not assigned again")
    };
    assert_eq!((assigned[0].position, assigned[0].note.as_deref()), (2, Some("mine")));
}
