//! Following a partition without a group, and topics that keep the newest record of each key.

use std::sync::Arc;

use bytes::Bytes;
use chat4all_contracts::EpochMs;
use futures::FutureExt;
use futures::future::join_all;

use super::kit::{GIVES_UP, Scene, numbers, text, texts, within};
use super::{COMPACTED, Harness, OLD_MS, RETENTION};
use crate::{
    Cleanup, EventLog, Followed, Follower, LogError, NewRecord, Placement, Record, TopicPartition,
    TopicSpec, append,
};

/// Everything up to the end, and that it said so.
async fn until_caught_up(follower: &mut dyn Follower) -> Vec<Record> {
    let mut all = Vec::new();
    loop {
        match within("following", follower.next()).await.unwrap() {
            Followed::Records(records) => {
                assert!(!records.is_empty(), "a batch of nothing");
                all.extend(records);
            }
            Followed::CaughtUp => return all,
        }
    }
}

/// The next `count` records, in however many batches.
async fn next_records(follower: &mut dyn Follower, count: usize) -> Vec<Record> {
    let mut all = Vec::new();
    while all.len() < count {
        match within("following", follower.next()).await.unwrap() {
            Followed::Records(records) => all.extend(records),
            Followed::CaughtUp => panic!("it says only once that it has caught up"),
        }
    }
    all
}

async fn follow(log: &Arc<dyn EventLog>, at: &TopicPartition) -> Box<dyn Follower> {
    within("following", log.follow(at)).await.unwrap()
}

pub async fn a_follower_reads_everything_says_so_and_goes_on<H: Harness>() {
    let scene = Scene::<H>::new(2).await;
    scene.write(0, &numbers(0..600)).await;
    scene.write(1, &["of another partition".to_owned()]).await;
    let mut follower = follow(&scene.log(), &scene.at(0)).await;
    assert_eq!(texts(&until_caught_up(&mut *follower).await), numbers(0..600));
    // It waits when the records come, and it does not when they are there already.
    let waiting = next_records(&mut *follower, 1);
    let one = ["600".to_owned()];
    let (waited, _) = tokio::join!(waiting, scene.write(0, &one));
    assert_eq!(texts(&waited), one);
    scene.write(0, &numbers(601..610)).await;
    assert_eq!(texts(&next_records(&mut *follower, 9).await), numbers(601..610));
    drop(follower);
    let scene = scene.reopen().await;
    let mut again = follow(&scene.log(), &scene.at(0)).await;
    assert_eq!(texts(&until_caught_up(&mut *again).await), numbers(0..610), "from the start");
}

pub async fn a_follower_of_an_empty_partition_has_caught_up_at_once<H: Harness>() {
    let scene = Scene::<H>::new(1).await;
    let mut follower = follow(&scene.log(), &scene.at(0)).await;
    assert_eq!(texts(&until_caught_up(&mut *follower).await), numbers(0..0));
    scene.write(0, &numbers(0..1)).await;
    assert_eq!(texts(&next_records(&mut *follower, 1).await), numbers(0..1));
}

pub async fn every_follower_gets_every_record<H: Harness>() {
    let scene = Scene::<H>::new(1).await;
    let mut first = follow(&scene.log(), &scene.at(0)).await;
    scene.write(0, &numbers(0..5)).await;
    let mut second = follow(&scene.log(), &scene.at(0)).await;
    assert_eq!(texts(&until_caught_up(&mut *second).await), numbers(0..5));
    let mut seen = until_caught_up(&mut *first).await;
    let left = 5 - seen.len();
    seen.extend(next_records(&mut *first, left).await);
    assert_eq!(texts(&seen), numbers(0..5));
}

pub async fn following_may_be_cancelled_without_losing_a_record<H: Harness>() {
    let scene = Scene::<H>::new(1).await;
    let mut follower = follow(&scene.log(), &scene.at(0)).await;
    until_caught_up(&mut *follower).await;
    let mut seen = Vec::new();
    for n in 0..20 {
        // Begun and given up, at whatever point the adapter then is.
        if let Some(event) = follower.next().now_or_never() {
            seen.push(event.unwrap());
        }
        scene.write(0, &numbers(n..n + 1)).await;
        if let Some(event) = follower.next().now_or_never() {
            seen.push(event.unwrap());
        }
    }
    let mut records = Vec::new();
    for event in seen {
        match event {
            Followed::Records(batch) => records.extend(batch),
            Followed::CaughtUp => panic!("it says only once that it has caught up"),
        }
    }
    let left = 20 - records.len();
    records.extend(next_records(&mut *follower, left).await);
    assert_eq!(texts(&records), numbers(0..20));
}

pub async fn an_unknown_partition_cannot_be_followed<H: Harness>() {
    let scene = Scene::<H>::new(1).await;
    let at = scene.at(1);
    let refused = within("a refusal", scene.log().follow(&at)).await.err();
    assert_eq!(refused, Some(LogError::UnknownPartition(at)));
}

fn compacted<H: Harness>(scene: &Scene<H>) -> TopicSpec {
    TopicSpec {
        name: scene.harness.name(&format!("topic{COMPACTED}")),
        partitions: 1,
        placement: Placement::ByKey,
        retention: RETENTION,
        cleanup: Cleanup::Compact,
    }
}

pub async fn the_newest_record_of_every_key_stays<H: Harness>() {
    let scene = Scene::<H>::new(1).await;
    let spec = compacted(&scene);
    let at = TopicPartition::new(&spec.name, 0);
    within("a topic", scene.log().ensure_topics(vec![spec])).await.unwrap();
    let producer = scene.log().producer(GIVES_UP);
    let any = scene.record(0, "");
    let record = |n: usize| NewRecord {
        to: at.clone(),
        key: Bytes::from(format!("key-{}", n % 3)),
        timestamp: EpochMs::saturating(OLD_MS),
        value: n.to_string().into(),
        ..any.clone()
    };
    let acks = (0..1_100).map(|n| producer.enqueue(record(n)).expect("the queue has room"));
    let acked = within("the acks", join_all(acks)).await;
    let offsets: Vec<u64> = acked.into_iter().map(|ack| ack.unwrap().offset).collect();
    drop(producer);
    scene.harness.expire().await;
    let scene = scene.reopen().await;
    let mut follower = follow(&scene.log(), &at).await;
    let kept = until_caught_up(&mut *follower).await;
    for (n, offset) in offsets.iter().enumerate().skip(1_097) {
        let found = kept.iter().find(|record| text(record) == n.to_string());
        assert_eq!(found.map(|record| record.offset), Some(*offset), "{n} keeps its offset");
    }
    assert!(kept.windows(2).all(|pair| pair[0].offset < pair[1].offset), "in order");
    let producer = scene.log().producer(GIVES_UP);
    let next = within("an append", append(&*producer, record(1_100))).await.unwrap();
    assert!(next.offset > offsets[1_099], "an offset is never used twice");
    assert_eq!(texts(&next_records(&mut *follower, 1).await), ["1100"]);
    let read = within("reading", scene.log().read(&at, offsets[1_099], 10)).await.unwrap();
    assert_eq!(texts(&read), ["1099", "1100"]);
}

pub async fn a_topic_keeps_its_way_of_cleaning_up<H: Harness>() {
    let scene = Scene::<H>::new(1).await;
    let log = scene.log();
    let spec = compacted(&scene);
    within("a topic", log.ensure_topics(vec![spec.clone()])).await.unwrap();
    within("a topic", log.ensure_topics(vec![spec.clone()])).await.unwrap();
    let deleting = TopicSpec { cleanup: Cleanup::Delete, ..spec };
    let refused = within("a refusal", log.ensure_topics(vec![deleting.clone()])).await;
    assert!(matches!(refused, Err(LogError::TopicMismatch { .. })), "{refused:?}");
    drop(log);
    let scene = scene.reopen().await;
    let refused = within("a refusal", scene.log().ensure_topics(vec![deleting])).await;
    assert!(matches!(refused, Err(LogError::TopicMismatch { .. })), "{refused:?}");
}
