//! What producers may count on.

use bytes::Bytes;
use chat4all_contracts::EpochMs;
use futures::future::join_all;

use super::kit::{GIVES_UP, PATIENT, Scene, numbers, text, texts, within};
use super::{Harness, NEW_MS, RETENTION, Setup};
use crate::{
    AppendError, Bounds, Cleanup, LogError, NewRecord, Placement, Producer, TopicPartition,
    TopicSpec, append,
};

/// Enqueues in the order given, waiting for room, then waits for every ack.
async fn enqueue_all(producer: &dyn Producer, records: Vec<NewRecord>) -> Vec<u64> {
    let mut acks = Vec::new();
    let mut offsets = Vec::new();
    for record in records {
        let mut record = Box::new(record);
        loop {
            match producer.enqueue(*record) {
                Ok(ack) => break acks.push(ack),
                Err(refused) => record = refused,
            }
            // Acks that nobody polls may keep their place in the queue.
            for ack in std::mem::take(&mut acks) {
                offsets.push(within("an ack", ack).await.unwrap().offset);
            }
            within("room", producer.room()).await;
        }
    }
    for ack in acks {
        offsets.push(within("an ack", ack).await.unwrap().offset);
    }
    offsets
}

pub async fn many_producers_share_one_order<H: Harness>() {
    const PRODUCERS: u32 = 8;
    const EACH: usize = 100;
    let scene = Scene::<H>::new(3).await;
    let writers = (0..PRODUCERS).map(|producer| {
        let scene = &scene;
        async move {
            let log_producer = scene.producer();
            let mut acked = Vec::new();
            for n in 0..EACH {
                let value = format!("{producer}:{n}");
                let record = scene.record(producer % 3, value.clone());
                let position = append(&*log_producer, record).await.unwrap();
                acked.push((position.partition, position.offset, value));
            }
            acked
        }
    });
    let mut acked: Vec<_> = within("appending", join_all(writers)).await.concat();
    acked.sort();
    let mut read = Vec::new();
    for partition in 0..3 {
        for record in scene.read(partition).await {
            read.push((partition, record.offset, text(&record).to_owned()));
        }
    }
    assert_eq!(acked, read, "every record lies where its ack says");
    for producer in 0..PRODUCERS {
        let prefix = format!("{producer}:");
        let of: Vec<_> =
            read.iter().filter_map(|(_, _, text)| text.strip_prefix(&prefix)).collect();
        assert_eq!(of, numbers(0..EACH), "a producer's records keep their order");
    }
    let mut member = scene.join("group").await;
    member.until(|member| member.records.len() == read.len()).await;
    for partition in 0..3 {
        let of = |record: &&crate::Record| record.partition == partition;
        let consumed: Vec<_> = member.records.iter().filter(of).cloned().collect();
        assert_eq!(texts(&consumed), texts(&scene.read(partition).await), "one order for all");
    }
}

pub async fn records_are_written_in_the_order_of_the_calls<H: Harness>() {
    for options in [GIVES_UP, PATIENT] {
        let scene = Scene::<H>::new(1).await;
        let producer = scene.log().producer(options);
        let records = numbers(0..2_000).into_iter().map(|text| scene.record(0, text)).collect();
        let offsets = enqueue_all(&*producer, records).await;
        assert!(offsets.windows(2).all(|pair| pair[0] < pair[1]), "offsets rise");
        let read = scene.read(0).await;
        assert_eq!(texts(&read), numbers(0..2_000));
        assert_eq!(read.iter().map(|record| record.offset).collect::<Vec<_>>(), offsets);
    }
}

pub async fn a_dropped_ack_still_writes<H: Harness>() {
    let scene = Scene::<H>::new(1).await;
    let producer = scene.producer();
    drop(producer.enqueue(scene.record(0, "0")).unwrap());
    within("an append", append(&*producer, scene.record(0, "1"))).await.unwrap();
    assert_eq!(texts(&scene.read(0).await), ["0", "1"]);
}

pub async fn every_part_of_a_record_comes_back<H: Harness>() {
    let scene = Scene::<H>::new(2).await;
    let header = |name: &str, value: &'static [u8]| (name.to_owned(), Bytes::from_static(value));
    let records = [
        NewRecord { key: Bytes::new(), ..scene.record(1, "") },
        NewRecord {
            key: Bytes::from_static(b"\x00\xff"),
            headers: vec![
                header("traceparent", b"00-1"),
                header("twice", b"a"),
                header("empty", b""),
                header("twice", b"\x00\xff\xfe"),
            ],
            timestamp: EpochMs::saturating(NEW_MS + 123),
            ..scene.record(1, vec![0u8, 159, 146, 150])
        },
        scene.record(1, vec![7u8; 200_000]),
    ];
    let producer = scene.producer();
    for record in records.clone() {
        within("an append", append(&*producer, record)).await.unwrap();
    }
    let mut member = scene.join("group").await;
    member.until(|member| member.records.len() == records.len()).await;
    for read in [member.records, scene.read(1).await] {
        let read: Vec<NewRecord> = read
            .into_iter()
            .map(|record| NewRecord {
                to: record.at(),
                key: record.key,
                value: record.value,
                headers: record.headers,
                timestamp: record.timestamp,
            })
            .collect();
        assert!(read == records, "a record comes back as it went in");
    }
}

pub async fn a_record_over_the_limit_is_refused_alone<H: Harness>() {
    let setup = Setup { max_record_bytes: 10_000, ..Setup::default() };
    let Some(scene) = Scene::<H>::with(1, setup).await else { return };
    let producer = scene.producer();
    let of_size = |bytes: usize| NewRecord {
        key: Bytes::new(),
        headers: vec![("name".to_owned(), Bytes::from_static(b"value"))],
        ..scene.record(0, vec![1u8; bytes - 9])
    };
    let refused = within("a refusal", append(&*producer, of_size(10_001))).await;
    assert_eq!(refused, Err(AppendError::TooLarge { bytes: 10_001, max: 10_000 }));
    within("an append", append(&*producer, of_size(10_000))).await.unwrap();
    assert_eq!(scene.read(0).await.len(), 1);
}

pub async fn an_unknown_partition_is_refused<H: Harness>() {
    let scene = Scene::<H>::new(2).await;
    let producer = scene.producer();
    let refused = within("a refusal", append(&*producer, scene.record(2, "x"))).await;
    assert_eq!(refused, Err(AppendError::UnknownPartition));
    let elsewhere = TopicPartition::new(&scene.harness.name("nowhere"), 0);
    let record = NewRecord { to: elsewhere.clone(), ..scene.record(0, "x") };
    let refused = within("a refusal", append(&*producer, record)).await;
    assert_eq!(refused, Err(AppendError::UnknownPartition));
    let log = scene.log();
    assert!(matches!(log.partitions(&elsewhere.topic).await, Err(LogError::UnknownPartition(_))));
    assert!(matches!(log.bounds(&elsewhere).await, Err(LogError::UnknownPartition(_))));
    assert!(matches!(log.read(&scene.at(2), 0, 1).await, Err(LogError::UnknownPartition(_))));
    let mut subscription = scene.subscription("group");
    subscription.topics.push(elsewhere.topic.to_string());
    assert!(matches!(log.subscribe(subscription).await, Err(LogError::UnknownPartition(_))));
}

pub async fn a_full_queue_hands_the_record_back<H: Harness>() {
    let setup = Setup { queue_records: 16, ..Setup::default() };
    let Some(scene) = Scene::<H>::with(1, setup).await else { return };
    for options in [GIVES_UP, PATIENT] {
        let producer = scene.log().producer(options);
        let before = scene.read(0).await.len();
        let (mut acks, mut handed_back) = (Vec::new(), None);
        for n in 0..1_000_000 {
            let record = scene.record(0, n.to_string());
            match producer.enqueue(record.clone()) {
                Ok(ack) => acks.push(ack),
                Err(refused) => {
                    assert!(*refused == record, "the record itself is handed back");
                    handed_back = Some(refused);
                    break;
                }
            }
        }
        let handed_back = handed_back.expect("a queue of 16 is full at some time");
        let accepted = acks.len();
        for ack in acks {
            within("an ack", ack).await.unwrap();
        }
        within("room", producer.room()).await;
        let ack = producer.enqueue(*handed_back).expect("there is room after all acks");
        within("an ack", ack).await.unwrap();
        let written = texts(&scene.read(0).await);
        assert_eq!(written[before..], numbers(0..accepted + 1));
    }
}

pub async fn topics_are_made_once_and_never_changed<H: Harness>() {
    let scene = Scene::<H>::new(3).await;
    let log = scene.log();
    let other = scene.harness.name("other");
    let spec = |name: &str, partitions| TopicSpec {
        name: name.to_owned(),
        partitions,
        placement: Placement::ByKey,
        retention: RETENTION,
        cleanup: Cleanup::Delete,
    };
    scene.write(2, &numbers(0..1)).await;
    let both = vec![spec(&scene.topic, 3), spec(&other, 1)];
    for _ in 0..2 {
        within("ensuring topics", log.ensure_topics(both.clone())).await.unwrap();
    }
    assert_eq!(log.partitions(&scene.topic).await, Ok(3));
    assert_eq!(log.partitions(&other).await, Ok(1));
    assert_eq!(texts(&scene.read(2).await), ["0"], "an existing topic keeps its records");
    let changed = within("a refusal", log.ensure_topics(vec![spec(&scene.topic, 4)])).await;
    let Err(LogError::TopicMismatch { topic, rule }) = changed else {
        panic!("another partition count must be refused: {changed:?}")
    };
    assert_eq!(*topic, *scene.topic);
    assert!(rule.contains('3') && rule.contains('4'), "both counts are named: {rule}");
    assert_eq!(log.partitions(&scene.topic).await, Ok(3));
    drop(log);
    let scene = scene.reopen().await;
    assert_eq!(scene.log().partitions(&scene.topic).await, Ok(3));
}

pub async fn a_topic_of_named_partitions_grows_and_never_shrinks<H: Harness>() {
    let scene = Scene::<H>::new(1).await;
    let log = scene.log();
    let name = scene.harness.name("named");
    let spec = |partitions| TopicSpec {
        name: name.clone(),
        partitions,
        placement: Placement::Named,
        retention: RETENTION,
        cleanup: Cleanup::Delete,
    };
    for (asked, has) in [(1, 1), (3, 3), (2, 3)] {
        within("ensuring", log.ensure_topics(vec![spec(asked)])).await.unwrap();
        assert_eq!(log.partitions(&name).await, Ok(has));
    }
    let last = TopicPartition::new(&name, 2);
    let empty = Bounds { start: 0, end: 0 };
    assert_eq!(within("bounds", log.bounds(&last)).await, Ok(empty));
    drop(log);
    let scene = scene.reopen().await;
    assert_eq!(scene.log().partitions(&name).await, Ok(3));
}
