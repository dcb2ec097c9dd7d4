//! Reading without a group.

use super::Harness;
use super::kit::{Scene, numbers, texts, within};
use crate::Bounds;

pub async fn a_range_is_read_within_its_bounds<H: Harness>() {
    let scene = Scene::<H>::new(2).await;
    let positions = scene.write(0, &numbers(0..20)).await;
    let (log, at) = (scene.log(), scene.at(0));
    let read = async |from: u64, max: usize| {
        texts(&within("reading", log.read(&at, from, max)).await.unwrap())
    };
    assert_eq!(read(0, 5).await, numbers(0..5));
    assert_eq!(read(positions[10].offset, 5).await, numbers(10..15));
    assert_eq!(read(positions[15].offset, 100).await, numbers(15..20));
    assert_eq!(read(positions[0].offset, 0).await, numbers(0..0));
    assert_eq!(read(positions[19].offset + 1, 5).await, numbers(0..0));
    assert_eq!(read(u64::MAX / 2, 5).await, numbers(0..0));
    let empty = within("reading", log.read(&scene.at(1), 0, 5)).await.unwrap();
    assert!(empty.is_empty());
}

pub async fn bounds_follow_appends_and_retention<H: Harness>() {
    let scene = Scene::<H>::new(2).await;
    let (log, at) = (scene.log(), scene.at(0));
    let empty = Bounds { start: 0, end: 0 };
    assert_eq!(log.bounds(&at).await, Ok(empty));
    scene.write_old(0, &numbers(0..1_500)).await;
    let positions = scene.write(0, &numbers(1_500..1_510)).await;
    let full = log.bounds(&at).await.unwrap();
    assert_eq!(full.start, 0);
    assert!(full.end > positions[9].offset);
    scene.harness.expire().await;
    let shortened = log.bounds(&at).await.unwrap();
    assert!(0 < shortened.start && shortened.start <= positions[0].offset, "{shortened:?}");
    assert_eq!(shortened.end, full.end);
    assert_eq!(log.bounds(&scene.at(1)).await, Ok(empty));
    let left = within("reading", log.read(&at, 0, 100)).await.unwrap();
    assert_eq!(texts(&left), numbers(1_500..1_510), "before the start reads from the start");
    drop(log);
    let scene = scene.reopen().await;
    let log = scene.log();
    assert_eq!(log.bounds(&at).await, Ok(shortened), "bounds survive");
    let next = scene.write(0, &["next".to_owned()]).await[0];
    assert!(next.offset >= shortened.end, "an offset is never used twice");
}

pub async fn a_log_answers<H: Harness>() {
    let scene = Scene::<H>::new(1).await;
    assert_eq!(within("an answer", scene.log().check()).await, Ok(()));
}
