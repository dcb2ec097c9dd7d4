//! Positions that the log no longer has: never a silent reset.

use super::Harness;
use super::kit::{Scene, numbers, texts};

pub async fn a_group_without_commit_on_a_shortened_log_is_stopped<H: Harness>() {
    let scene = Scene::<H>::new(1).await;
    scene.write_old(0, &numbers(0..5)).await;
    scene.write(0, &numbers(5..10)).await;
    scene.consume_and_commit("committed", 10).await;
    scene.harness.expire().await;
    let mut new = scene.join("new").await;
    new.until(|member| !member.stopped.is_empty()).await;
    assert!(new.stopped.contains_key(&scene.at(0)), "the partition is named");
    assert!(new.records.is_empty() && new.holds.is_empty(), "and nothing of it is delivered");
    let mut committed = scene.join("committed").await;
    committed.until_holding(1).await;
    scene.write(0, &["new".to_owned()]).await;
    committed.until(|member| !member.records.is_empty()).await;
    assert_eq!(texts(&committed.records), ["new"]);
    assert!(committed.stopped.is_empty());
}

pub async fn a_commit_that_fell_out_of_the_log_is_stopped<H: Harness>() {
    let scene = Scene::<H>::new(1).await;
    scene.write_old(0, &numbers(0..5)).await;
    scene.write(0, &numbers(5..10)).await;
    let mut member = scene.join("group").await;
    member.until(|member| member.records.len() == 10).await;
    let third = member.records[2].offset;
    assert_eq!(member.commit(vec![member.commit_of(&scene.at(0), third, "")]).await, []);
    member.close().await;
    scene.harness.expire().await;
    let scene = scene.reopen().await;
    let mut member = scene.join("group").await;
    member.until(|member| !member.stopped.is_empty()).await;
    assert!(member.records.is_empty(), "no record is skipped in silence");
}

pub async fn a_commit_beyond_the_end_is_stopped<H: Harness>() {
    let scene = Scene::<H>::new(1).await;
    scene.write(0, &numbers(0..5)).await;
    let mut member = scene.join("group").await;
    member.until_holding(1).await;
    assert_eq!(member.commit(vec![member.commit_of(&scene.at(0), 1_000, "")]).await, []);
    member.close().await;
    let scene = scene.reopen().await;
    let mut member = scene.join("group").await;
    member.until(|member| !member.stopped.is_empty()).await;
    assert!(member.records.is_empty());
}

pub async fn a_stopped_partition_leaves_the_others_alone<H: Harness>() {
    let scene = Scene::<H>::new(2).await;
    scene.write_old(0, &numbers(0..5)).await;
    scene.write(1, &numbers(0..5)).await;
    scene.harness.expire().await;
    let mut member = scene.join("group").await;
    member.until(|member| member.records.len() == 5 && !member.stopped.is_empty()).await;
    assert_eq!(texts(&member.records), numbers(0..5));
    assert_eq!(member.stopped.keys().collect::<Vec<_>>(), [&scene.at(0)]);
    assert_eq!(member.commit_all("").await, []);
}
