//! The consumer loop of router and status-consumer when commits are slow or fail.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chat4all_contracts::EpochMs;
use chat4all_eventlog::faulty::{CommitFault, Faults, FaultyLog};
use chat4all_eventlog::group_loop::{self, Effect, Full, GroupLoopOptions, Handler};
use chat4all_eventlog::inline::{InlineLog, InlineOptions};
use chat4all_eventlog::{
    Admission, Cleanup, Commit, Consumer, EventLog, LogError, NewRecord, Patience, Placement,
    Producer, ProducerOptions, Record, Subscription, TopicPartition, TopicSpec, append,
};
use chat4all_process::{Clock, Random, Shutdown};
use futures::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio::time::sleep;

const TOPIC: &str = "topic";
const GROUP: &str = "group";

/// Commits that take their time, or fail.
#[derive(Default)]
struct Commits {
    take: Duration,
    fail: AtomicBool,
}

impl Faults for Commits {
    fn commit_fault(&self, _: &str, _: &mut [Commit]) -> Option<CommitFault> {
        if self.fail.load(Ordering::Relaxed) {
            return Some(CommitFault::Failed);
        }
        (!self.take.is_zero()).then_some(CommitFault::Slow(self.take))
    }
}

/// Counts effects, which take ten milliseconds.
#[derive(Default)]
struct Count(Arc<AtomicUsize>);

impl Handler for Count {
    fn start(&self, _: &Record) -> Result<Effect, Full> {
        let count = self.0.clone();
        Ok(Box::pin(async move {
            sleep(Duration::from_millis(10)).await; // sleep: the work
            count.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }))
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

struct World {
    producer: Arc<dyn Producer>,
    commits: Arc<Commits>,
    done: Arc<AtomicUsize>,
    stop: Shutdown,
    running: JoinHandle<Result<(), LogError>>,
}

impl World {
    async fn start(commits: Commits) -> Self {
        let clock = Clock::simulated(EpochMs::saturating(1_800_000_000_000));
        let random = Random::seeded(1);
        let commits = Arc::new(commits);
        let log = InlineLog::new(InlineOptions::default(), clock.clone(), random.fork());
        let log = FaultyLog::new(log, commits.clone());
        let (placement, retention) = (Placement::ByKey, Duration::from_secs(86_400));
        let (name, cleanup) = (TOPIC.to_owned(), Cleanup::Delete);
        let spec = TopicSpec { name, partitions: 1, placement, retention, cleanup };
        log.ensure_topics(vec![spec]).await.unwrap();
        let patience = Patience::Forever;
        let producer = log.producer(ProducerOptions { patience, admission: Admission::Progress });
        let consumer: Arc<dyn Consumer> = log
            .subscribe(Subscription {
                group: GROUP.to_owned(),
                topics: vec![TOPIC.to_owned()],
                max_batch: 10,
                revoke_deadline: Duration::from_secs(1),
            })
            .await
            .unwrap();
        let options = GroupLoopOptions {
            service: "test",
            group: GROUP,
            topics: vec![TOPIC.to_owned()],
            max_in_hand: 20,
            commit_interval: Duration::from_millis(100),
            revoke_deadline: Duration::from_secs(1),
            drain_deadline: Duration::from_secs(3),
        };
        let (stop, handler) = (Shutdown::new(), Count::default());
        let done = handler.0.clone();
        let running = tokio::spawn(group_loop::run(
            consumer,
            Arc::new(handler),
            options,
            clock,
            random,
            stop.clone(),
        ));
        Self { producer, commits, done, stop, running }
    }

    async fn write(&self, records: usize) {
        for _ in 0..records {
            let record = NewRecord {
                to: TopicPartition::new(TOPIC, 0),
                key: Bytes::new(),
                value: Bytes::new(),
                headers: Vec::new(),
                timestamp: EpochMs::saturating(1_800_000_000_000),
            };
            append(&*self.producer, record).await.unwrap();
        }
    }

    async fn done_after(&self, seconds: u64) -> usize {
        sleep(Duration::from_secs(seconds)).await; // sleep: simulated time
        self.done.load(Ordering::Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn work_goes_on_while_a_commit_takes_long() {
    let world = World::start(Commits { take: Duration::from_secs(4), ..Commits::default() }).await;
    world.write(200).await;
    assert_eq!(world.done_after(2).await, 200);
    world.stop.trigger();
    world.running.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_more_is_taken_while_no_commit_succeeds() {
    let world = World::start(Commits { fail: true.into(), ..Commits::default() }).await;
    world.write(100).await;
    assert_eq!(world.done_after(6).await, 100, "a short trouble costs nothing");
    world.write(100).await;
    assert_eq!(world.done_after(60).await, 100, "a crash would repeat all of it");
    world.commits.fail.store(false, Ordering::Relaxed);
    assert_eq!(world.done_after(6).await, 200);
    world.stop.trigger();
    world.running.await.unwrap().unwrap();
}
