//! What only Kafka can do to a log: topics made by others, positions that retention has passed,
//! another way of sharing partitions.

use std::time::Duration;

use bytes::Bytes;
use chat4all_contracts::EpochMs;
use chat4all_eventlog::conformance::{Harness, NEW_MS, OLD_MS, Setup, consuming, handing_over};
use chat4all_eventlog::kafka::{GroupProtocol, KafkaLog, KafkaSettings, StartAt};
use chat4all_eventlog::tracker::OffsetTracker;
use chat4all_eventlog::{
    Admission, Cleanup, ConsumerEvent, EventLog, LogError, NewRecord, Patience, Placement,
    ProducerOptions, Subscription, TopicPartition, TopicSpec, append,
};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use std::sync::Arc;
use tokio::time::timeout;

use crate::broker::{Broker, address, settings};

/// Only bounds a failure.
const PATIENCE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);
const PATIENT: ProducerOptions =
    ProducerOptions { patience: Patience::Forever, admission: Admission::Progress };

fn log(settings: &KafkaSettings) -> Arc<KafkaLog> {
    KafkaLog::new(settings, "test", 1 << 20).unwrap()
}

fn spec(name: &str, partitions: u32, placement: Placement) -> TopicSpec {
    TopicSpec {
        name: name.to_owned(),
        partitions,
        placement,
        retention: DAY,
        cleanup: Cleanup::Delete,
    }
}

/// A log with one topic of one partition.
async fn scene(
    change: impl FnOnce(&Broker, &mut KafkaSettings),
) -> (Broker, Arc<KafkaLog>, String) {
    let broker = Broker::new();
    let mut settings = settings(10_000);
    change(&broker, &mut settings);
    let (log, topic) = (log(&settings), broker.name("topic"));
    log.ensure_topics(vec![spec(&topic, 1, Placement::ByKey)]).await.unwrap();
    (broker, log, topic)
}

async fn write(log: &KafkaLog, topic: &str, ms: u64, values: Vec<Vec<u8>>) {
    let producer = log.producer(PATIENT);
    let records = values.into_iter().map(|value| NewRecord {
        to: TopicPartition::new(topic, 0),
        key: Bytes::new(),
        value: value.into(),
        headers: Vec::new(),
        timestamp: EpochMs::saturating(ms),
    });
    let acks: Vec<_> = records.map(|record| producer.enqueue(record).unwrap()).collect();
    for ack in acks {
        ack.await.unwrap();
    }
}

fn subscription(broker: &Broker, topic: &str) -> Subscription {
    Subscription {
        group: broker.name("group"),
        topics: vec![topic.to_owned()],
        max_batch: 10,
        revoke_deadline: Duration::from_secs(1),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_that_retention_passes_stops_the_partition_and_names_the_command() {
    // Little is fetched ahead, so that the position is soon behind the log's start.
    let (broker, log, topic) = scene(|_, settings| {
        settings.prefetch_records = chat4all_process::config::Bounded::new(1);
        settings.prefetch_mib = chat4all_process::config::Bounded::new(1);
    })
    .await;
    write(&log, &topic, OLD_MS, vec![vec![b'.'; 50_000]; 400]).await;
    write(&log, &topic, NEW_MS, vec![b"new".to_vec()]).await;
    let consumer = log.subscribe(subscription(&broker, &topic)).await.unwrap();
    let mut received = 0;
    let why = loop {
        match timeout(PATIENCE, consumer.next()).await.unwrap().unwrap() {
            ConsumerEvent::Records { records, .. } => {
                if received == 0 {
                    broker.delete_before(NEW_MS).await;
                }
                received += records.len();
                assert!(records.iter().all(|r| &r.value[..] != b"new"), "records were skipped");
            }
            ConsumerEvent::Stopped { at, why } => {
                assert_eq!((&*at.topic, at.partition), (&*topic, 0));
                break why;
            }
            _ => {}
        }
    };
    assert!(0 < received && received < 400, "{received}");
    let command = format!("--group {} --topic {topic}:0 --reset-offsets", broker.name("group"));
    assert!(why.contains(&command), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_group_on_an_old_topic_starts_where_configuration_says() {
    for (start_at, expected) in [(StartAt::Earliest, "5"), (StartAt::Latest, "late")] {
        let (broker, log, topic) = scene(|broker, settings| {
            settings.start_at.insert(broker.name("group"), start_at);
        })
        .await;
        let numbered = |range: std::ops::Range<u8>| -> Vec<Vec<u8>> {
            range.map(|n| n.to_string().into_bytes()).collect()
        };
        write(&log, &topic, OLD_MS, numbered(0..5)).await;
        write(&log, &topic, NEW_MS, numbered(5..8)).await;
        broker.delete_before(NEW_MS).await;
        let consumer = log.subscribe(subscription(&broker, &topic)).await.unwrap();
        let first = loop {
            match timeout(PATIENCE, consumer.next()).await.unwrap().unwrap() {
                ConsumerEvent::Assigned(_) if start_at == StartAt::Latest => {
                    write(&log, &topic, NEW_MS, vec![b"late".to_vec()]).await;
                }
                ConsumerEvent::Records { records, .. } => break records[0].value.clone(),
                ConsumerEvent::Stopped { why, .. } => panic!("stopped: {why}"),
                _ => {}
            }
        };
        assert_eq!(&first[..], expected.as_bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_group_keeps_its_place_when_the_log_loses_its_first_records() {
    let (broker, log, topic) = scene(|_, _| {}).await;
    let consumer = log.subscribe(subscription(&broker, &topic)).await.unwrap();
    let event = timeout(PATIENCE, consumer.next()).await.unwrap().unwrap();
    assert!(matches!(event, ConsumerEvent::Assigned(_)), "{event:?}");
    timeout(PATIENCE, consumer.close()).await.unwrap();
    let asked = || {
        let config = settings_of(&broker.name("group"));
        let client: BaseConsumer = config.create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition(&topic, 0);
        client.committed_offsets(list, PATIENCE).unwrap().elements()[0].offset()
    };
    assert_eq!(asked(), Offset::Offset(0), "it committed where it began");
}

fn settings_of(group: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address()).set("group.id", group);
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_elses_note_is_read_and_not_used() {
    let (broker, log, topic) = scene(|_, _| {}).await;
    write(&log, &topic, NEW_MS, vec![b"0".to_vec(), b"1".to_vec()]).await;
    let note = "nöt ours \u{1F980}, and no base64 either";
    let client: BaseConsumer = settings_of(&broker.name("group")).create().unwrap();
    let mut list = TopicPartitionList::new();
    let mut element = list.add_partition(&topic, 0);
    element.set_offset(Offset::Offset(1)).unwrap();
    element.set_metadata(note);
    client.commit(&list, CommitMode::Sync).unwrap();
    drop(client);
    let consumer = log.subscribe(subscription(&broker, &topic)).await.unwrap();
    let ConsumerEvent::Assigned(assigned) =
        timeout(PATIENCE, consumer.next()).await.unwrap().unwrap()
    else {
        panic!("not assigned first")
    };
    let assignment = &assigned[0];
    assert_eq!((assignment.position, assignment.note.as_deref()), (1, Some(note)));
    let (tracker, unusable) =
        OffsetTracker::resume(assignment.position, assignment.note.as_deref(), assignment.end);
    assert!(unusable.is_some());
    assert_eq!((tracker.position(), tracker.note().as_str()), (1, ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_with_other_settings_is_refused_with_the_command_that_mends_it() {
    let broker = Broker::new();
    let (log, topic) = (log(&settings(100)), broker.name("topic"));
    let wrong = [
        ("retention.ms", "1000", "86400000"),
        ("cleanup.policy", "compact", "delete"),
        ("max.message.bytes", "1000", "1052672"),
    ];
    for (index, (name, value, right)) in wrong.into_iter().enumerate() {
        let topic = format!("{topic}-{index}");
        let admin: AdminClient<DefaultClientContext> = settings_of("unused").create().unwrap();
        // Everything else is as it must be.
        let needed = [("retention.ms", "-1"), ("max.message.bytes", "2000000"), (name, value)];
        let new = needed
            .into_iter()
            .fold(NewTopic::new(&topic, 1, TopicReplication::Fixed(1)), |new, (name, value)| {
                new.set(name, value)
            });
        let made = admin.create_topics([&new], &AdminOptions::new()).await.unwrap();
        made[0].as_ref().unwrap();
        let error = log.ensure_topics(vec![spec(&topic, 1, Placement::ByKey)]).await.unwrap_err();
        let LogError::TopicMismatch { rule, .. } = &error else { panic!("{error}") };
        let command = format!(
            "kafka-configs.sh --alter --entity-type topics --add-config {name}={right} \
             --bootstrap-server {} --entity-name {topic}",
            address()
        );
        assert!(rule.contains(&command), "{rule}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_topics_are_not_created_a_missing_one_is_named_with_its_command() {
    let broker = Broker::new();
    let settings = KafkaSettings { create_topics: false, ..settings(100) };
    let (log, topic) = (log(&settings), broker.name("topic"));
    let error = log.ensure_topics(vec![spec(&topic, 3, Placement::ByKey)]).await.unwrap_err();
    let LogError::TopicMismatch { rule, .. } = &error else { panic!("{error}") };
    let command = "kafka-topics.sh --create --partitions 3";
    assert!(rule.contains(command) && rule.contains(&topic), "{rule}");
    let (partitions, known) = (log.partitions(&topic).await, LogError::UnknownPartition);
    assert_eq!(partitions, Err(known(TopicPartition::new(&topic, 0))), "nothing was created");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_start_together_make_the_topics_once() {
    let broker = Broker::new();
    let specs = vec![
        spec(&broker.name("keyed"), 3, Placement::ByKey),
        spec(&broker.name("named"), 2, Placement::Named),
    ];
    let logs: Vec<_> = (0..5).map(|_| log(&settings(100))).collect();
    let ensured = logs.iter().map(|log| log.ensure_topics(specs.clone()));
    for ensured in futures::future::join_all(ensured).await {
        ensured.unwrap();
    }
    assert_eq!(logs[0].partitions(&specs[0].name).await, Ok(3));
    assert_eq!(logs[0].partitions(&specs[1].name).await, Ok(2));
}

/// As the suite's harness, with partitions shared by the brokers (KIP-848).
struct SharedByTheBrokers {
    broker: Broker,
    log: Arc<KafkaLog>,
}

fn shared_by_the_brokers() -> Arc<KafkaLog> {
    log(&KafkaSettings { group_protocol: GroupProtocol::Consumer, ..settings(10_000) })
}

impl Harness for SharedByTheBrokers {
    async fn open(_: Setup) -> Option<Self> {
        Some(Self { broker: Broker::new(), log: shared_by_the_brokers() })
    }

    fn log(&self) -> Arc<dyn EventLog> {
        self.log.clone()
    }

    async fn reopen(self) -> Self {
        Self { log: shared_by_the_brokers(), ..self }
    }

    async fn expire(&self) {
        self.broker.delete_before(NEW_MS).await;
    }

    fn name(&self, name: &str) -> String {
        self.broker.name(name)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_shared_by_the_brokers_are_handed_over_after_the_commit() {
    handing_over::a_second_member_begins_where_the_first_committed::<SharedByTheBrokers>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_shared_by_the_brokers_resumes_at_its_commit() {
    consuming::an_unclean_stop_redelivers_from_the_last_commit::<SharedByTheBrokers>().await;
    consuming::restart_begins_again_at_the_last_commit::<SharedByTheBrokers>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_can_be_read_after_a_close() {
    let (_, log, topic) = scene(|_, _| {}).await;
    let producer = log.producer(PATIENT);
    let record = NewRecord {
        to: TopicPartition::new(&topic, 0),
        key: Bytes::new(),
        value: Bytes::from_static(b"last"),
        headers: Vec::new(),
        timestamp: EpochMs::saturating(NEW_MS),
    };
    // Nobody waits for the acknowledgement; the end of the process does.
    drop(producer.enqueue(record.clone()).unwrap());
    log.close().await;
    drop(producer);
    let read = log.read(&TopicPartition::new(&topic, 0), 0, 10).await.unwrap();
    assert_eq!(read.len(), 1);
    append(&*log.producer(PATIENT), record).await.unwrap();
}
