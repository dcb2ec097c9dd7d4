//! What several members of a group may count on.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Harness;
use super::kit::{Scene, numbers, texts};
use super::member::{Member, drive};
use crate::{CommitError, TopicPartition};

const PARTITIONS: u32 = 4;

fn held(member: &Member) -> BTreeSet<TopicPartition> {
    member.holds.keys().cloned().collect()
}

/// Two members of one group, each with half of the partitions.
async fn two_sharing<H: Harness>(scene: &Scene<H>) -> (Member, Member) {
    let mut first = scene.join("group").await;
    first.until_holding(PARTITIONS as usize).await;
    let mut second = scene.join("group").await;
    drive(&mut [&mut first, &mut second], |members| {
        members.iter().all(|member| member.holds.len() == PARTITIONS as usize / 2)
    })
    .await;
    assert!(held(&first).is_disjoint(&held(&second)), "a partition has one owner");
    (first, second)
}

pub async fn a_second_member_begins_where_the_first_committed<H: Harness>() {
    let scene = Scene::<H>::new(PARTITIONS).await;
    for partition in 0..PARTITIONS {
        scene.write(partition, &numbers(0..5)).await;
    }
    let mut first = scene.join("group").await;
    first.until(|member| member.records.len() == 5 * PARTITIONS as usize).await;
    let kept_epochs = first.holds.clone();
    // Nothing is committed yet: the first commits when it hears of the revocation, before its ack.
    let mut second = scene.join("group").await;
    drive(&mut [&mut first, &mut second], |members| {
        members.iter().all(|member| member.holds.len() == PARTITIONS as usize / 2)
    })
    .await;
    assert!(held(&first).is_disjoint(&held(&second)));
    for (at, assignment) in &second.holds {
        assert_eq!(assignment.position, first.next[at], "it waited for the first one's commit");
        assert_eq!(assignment.note.as_deref(), Some("revoked"));
    }
    for (at, assignment) in &first.holds {
        assert_eq!(assignment.epoch, kept_epochs[at].epoch, "what stays is not touched: {at}");
    }
    for partition in 0..PARTITIONS {
        scene.write(partition, &["new".to_owned()]).await;
    }
    drive(&mut [&mut first, &mut second], |members| {
        members.iter().map(|member| member.records.len()).sum::<usize>() == 6 * PARTITIONS as usize
    })
    .await;
    assert_eq!(texts(&second.records), ["new", "new"], "nothing is delivered twice");
}

pub async fn a_leaving_member_hands_over_without_redelivery<H: Harness>() {
    let scene = Scene::<H>::new(PARTITIONS).await;
    let (mut first, mut second) = two_sharing(&scene).await;
    for partition in 0..PARTITIONS {
        scene.write(partition, &numbers(0..3)).await;
    }
    drive(&mut [&mut first, &mut second], |members| {
        members.iter().all(|member| member.records.len() == 3 * PARTITIONS as usize / 2)
    })
    .await;
    assert_eq!(first.commit_all("bye").await, []);
    let left = held(&first);
    first.close().await;
    second.until_holding(PARTITIONS as usize).await;
    for at in left {
        assert_eq!(second.holds[&at].note.as_deref(), Some("bye"));
    }
    for partition in 0..PARTITIONS {
        scene.write(partition, &["new".to_owned()]).await;
    }
    let before = 3 * PARTITIONS as usize / 2;
    second.until(|member| member.records.len() == before + PARTITIONS as usize).await;
    assert_eq!(texts(&second.records[before..]), vec!["new"; PARTITIONS as usize]);
}

pub async fn a_dropped_member_is_replaced_at_its_last_commit<H: Harness>() {
    let scene = Scene::<H>::new(PARTITIONS).await;
    let (mut first, mut second) = two_sharing(&scene).await;
    let lost = held(&first);
    for at in &lost {
        scene.write(at.partition, &numbers(0..4)).await;
    }
    first.until(|member| member.records.len() == 4 * lost.len()).await;
    let commits = lost.iter().map(|at| {
        let second_record = first.records.iter().filter(|record| record.at() == *at).nth(1);
        first.commit_of(at, second_record.unwrap().offset, "one")
    });
    assert_eq!(first.commit(commits.collect()).await, []);
    drop(first);
    second.until(|member| member.records.len() == 3 * lost.len()).await;
    for at in &lost {
        let of: Vec<_> =
            second.records.iter().filter(|record| record.at() == *at).cloned().collect();
        assert_eq!(texts(&of), numbers(1..4), "from the last commit on");
    }
}

pub async fn the_deadline_overrules_a_member_that_keeps_its_partitions<H: Harness>() {
    let scene = Scene::<H>::new(PARTITIONS).await;
    let mut subscription = scene.subscription("group");
    subscription.revoke_deadline = Duration::from_millis(200);
    let mut first = scene.subscribe(subscription.clone()).await;
    first.until_holding(PARTITIONS as usize).await;
    first.keeps_revoked = true;
    let before = first.holds.clone();
    let mut second = scene.subscribe(subscription).await;
    drive(&mut [&mut first, &mut second], |members| {
        members[1].holds.len() == PARTITIONS as usize / 2
    })
    .await;
    for (at, assignment) in &second.holds {
        assert!(assignment.epoch > before[at].epoch, "epochs rise across members");
        let late = crate::Commit {
            at: at.clone(),
            epoch: before[at].epoch,
            offset: 0,
            note: "late".to_owned(),
        };
        assert_eq!(first.commit(vec![late]).await, [CommitError::Stale(at.clone())]);
    }
    // An acknowledgement after the deadline takes nothing from the new owner.
    first.unacked.clear();
    assert_eq!(second.commit_all("second").await, []);
    for at in second.holds.keys() {
        scene.write(at.partition, &numbers(0..1)).await;
    }
    second.until(|member| member.records.len() == PARTITIONS as usize / 2).await;
}
