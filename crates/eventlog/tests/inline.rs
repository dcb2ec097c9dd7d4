//! The log in memory passes the suite, under a paused clock and with delayed acknowledgements.

// Helpers of tests are tests, which clippy sees only in functions marked as such.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;
use std::time::Duration;

use chat4all_contracts::EpochMs;
use chat4all_eventlog::conformance::{Harness, NEW_MS, Setup, Space, expire_at};
use chat4all_eventlog::inline::{InlineLog, InlineOptions};
use chat4all_eventlog::{Cleanup, EventLog, Placement, eventlog_conformance};
use chat4all_process::{Clock, Random};

fn open(setup: Setup, ack_delay: Option<(Duration, Duration)>) -> Arc<InlineLog> {
    let options = InlineOptions {
        max_record_bytes: setup.max_record_bytes,
        queue_records: setup.queue_records,
        max_bytes: (setup.room != Space::Plenty).then_some(2 << 20),
        floor_bytes: if setup.room == Space::UnderTheFloor { 2 << 20 } else { 0 },
        ack_delay,
        ..InlineOptions::default()
    };
    let clock = Clock::simulated(EpochMs::saturating(NEW_MS));
    InlineLog::new(options, clock, Random::seeded(1))
}

struct Immediate(Arc<InlineLog>);

impl Harness for Immediate {
    async fn open(setup: Setup) -> Option<Self> {
        Some(Self(open(setup, None)))
    }

    fn log(&self) -> Arc<dyn EventLog> {
        self.0.clone()
    }

    async fn reopen(self) -> Self {
        // Memory plays the disk here: what a kill ends are the handles on it.
        self
    }

    async fn expire(&self) {
        self.0.retain_once(expire_at());
    }
}

struct Delayed(Immediate);

impl Harness for Delayed {
    async fn open(setup: Setup) -> Option<Self> {
        let delay = (Duration::from_millis(1), Duration::from_millis(50));
        Some(Self(Immediate(open(setup, Some(delay)))))
    }

    fn log(&self) -> Arc<dyn EventLog> {
        self.0.log()
    }

    async fn reopen(self) -> Self {
        self
    }

    async fn expire(&self) {
        self.0.expire().await;
    }
}

mod immediate {
    chat4all_eventlog::eventlog_conformance!(super::Immediate, tokio::test(start_paused = true));
}

mod delayed {
    use super::*;
    eventlog_conformance!(Delayed, tokio::test(start_paused = true));
}

mod the_runtime {
    use bytes::Bytes;
    use chat4all_eventlog::{
        Admission, Commit, Consumer, ConsumerEvent, NewRecord, Patience, Producer, ProducerOptions,
        Subscription, TopicPartition, TopicSpec,
    };
    use tokio::runtime::{Builder, Runtime};

    use super::*;

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
    }

    fn record(n: u64) -> NewRecord {
        NewRecord {
            to: TopicPartition::new("topic", 0),
            key: Bytes::new(),
            value: Bytes::from(n.to_string()),
            headers: Vec::new(),
            timestamp: EpochMs::saturating(NEW_MS),
        }
    }

    async fn ensure(log: &InlineLog, partitions: u32) {
        let retention = Duration::from_secs(3600);
        let topic = TopicSpec {
            name: "topic".to_owned(),
            partitions,
            placement: Placement::ByKey,
            retention,
            cleanup: Cleanup::Delete,
        };
        log.ensure_topics(vec![topic]).await.unwrap();
    }

    async fn join(log: &InlineLog) -> Arc<dyn Consumer> {
        let subscription = Subscription {
            group: "group".to_owned(),
            topics: vec!["topic".to_owned()],
            max_batch: 10,
            revoke_deadline: Duration::from_secs(1),
        };
        log.subscribe(subscription).await.unwrap()
    }

    fn patient(log: &InlineLog) -> Arc<dyn Producer> {
        let patience = Patience::Forever;
        log.producer(ProducerOptions { patience, admission: Admission::Progress })
    }

    #[test]
    fn of_the_members_may_be_killed_and_another_goes_on() {
        let setup = || (Duration::from_secs(1), Duration::from_secs(2));
        let log = runtime().block_on(async { open(Setup::default(), Some(setup())) });
        let first = runtime();
        first.block_on(async {
            ensure(&log, 1).await;
            let consumer = join(&log).await;
            assert!(matches!(consumer.next().await, Ok(ConsumerEvent::Assigned(_))));
            // Two members in the middle of whatever they do; the second waits for a partition.
            for consumer in [consumer, join(&log).await] {
                tokio::spawn(async move {
                    loop {
                        if let ConsumerEvent::Records { epoch, records } =
                            consumer.next().await.unwrap()
                        {
                            let (at, offset) = (records[0].at(), records[0].offset + 1);
                            let note = String::new();
                            let commits = vec![Commit { at, epoch, offset, note }];
                            consumer.commit(commits).await.unwrap();
                        }
                    }
                });
            }
            let producer = patient(&log);
            let ack = producer.enqueue(record(0)).unwrap();
            assert_eq!(ack.await.unwrap().offset, 0);
            // In the log, and killed before the acknowledgement.
            drop(producer.enqueue(record(1)).unwrap());
        });
        drop(first);
        runtime().block_on(async {
            let consumer = join(&log).await;
            let Ok(ConsumerEvent::Assigned(assigned)) = consumer.next().await else {
                panic!("the partition is free at once")
            };
            assert_eq!((assigned[0].position, assigned[0].end), (1, 2));
            let Ok(ConsumerEvent::Records { records, .. }) = consumer.next().await else {
                panic!("the unacknowledged record is there")
            };
            assert_eq!(&records[0].value[..], b"1");
        });
    }

    #[test]
    fn decides_when_an_ack_comes_by_its_seed_only() {
        let run = || {
            let range = (Duration::from_millis(1), Duration::from_secs(1));
            runtime().block_on(async {
                let log = open(Setup::default(), Some(range));
                ensure(&log, 1).await;
                let producer = patient(&log);
                let start = tokio::time::Instant::now();
                let mut delays = Vec::new();
                for n in 0..100 {
                    producer.enqueue(record(n)).unwrap().await.unwrap();
                    delays.push(start.elapsed());
                }
                delays
            })
        };
        assert_eq!(run(), run());
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_hasty_producer_ends_in_doubt() {
        let delay = (Duration::from_secs(2), Duration::from_secs(3));
        let log = open(Setup::default(), Some(delay));
        ensure(&log, 1).await;
        let patience = Patience::GiveUpAfter(Duration::from_secs(1));
        let hasty = log.producer(ProducerOptions { patience, admission: Admission::NewWork });
        let error = hasty.enqueue(record(0)).unwrap().await.unwrap_err();
        assert!(error.is_in_doubt(), "{error}");
        let read = log.read(&TopicPartition::new("topic", 0), 0, 10).await.unwrap();
        assert_eq!(read.len(), 1, "in doubt, and written");
    }

    #[test]
    fn keeps_no_held_record_of_a_producer_that_is_gone() {
        runtime().block_on(async {
            let setup = Setup { room: Space::Little, ..Setup::default() };
            let log = open(setup, None);
            ensure(&log, 1).await;
            let large = |n| NewRecord {
                value: Bytes::from(vec![b'.'; 200_000]),
                timestamp: EpochMs::saturating(1),
                ..record(n)
            };
            let producer = patient(&log);
            let acks: Vec<_> = (0..20).map(|n| producer.enqueue(large(n)).unwrap()).collect();
            drop((producer, acks));
            log.retain_once(expire_at());
            let left = log.read(&TopicPartition::new("topic", 0), 0, 100).await.unwrap();
            assert!(left.is_empty(), "{} records", left.len());
        });
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_consumer_that_retention_overtakes_hears_of_it() {
        let log = open(Setup::default(), None);
        ensure(&log, 2).await;
        let producer = patient(&log);
        let consumer = join(&log).await;
        assert!(matches!(consumer.next().await, Ok(ConsumerEvent::Assigned(_))));
        let at = TopicPartition::new("topic", 0);
        consumer.pause(&at);
        let old = NewRecord { timestamp: EpochMs::saturating(1), ..record(0) };
        producer.enqueue(old).unwrap().await.unwrap();
        log.retain_once(expire_at());
        producer.enqueue(record(1)).unwrap().await.unwrap();
        consumer.resume(&at);
        let event = consumer.next().await.unwrap();
        let ConsumerEvent::Stopped { at: stopped, .. } = event else {
            panic!("a record was skipped in silence: {event:?}")
        };
        assert_eq!(stopped, at);
    }
}
