//! Little room: refusals are heard, order stays, reading goes on.

use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;

use super::kit::{GIVES_UP, PATIENT, Scene, numbers, within};
use super::{Harness, Setup, Space};
use crate::{Admission, AppendError, ProducerOptions, append};

const RECORD_BYTES: usize = 64 << 10;
/// Far more than [`Space::Little`] holds.
const MANY: usize = 10_000;

/// A record of some size that begins with `n`.
fn value(n: usize) -> Vec<u8> {
    let mut value = format!("{n} ").into_bytes();
    value.resize(RECORD_BYTES, b'.');
    value
}

fn number(value: &[u8]) -> usize {
    let end = value.iter().position(|byte| *byte == b' ').unwrap();
    std::str::from_utf8(&value[..end]).unwrap().parse().unwrap()
}

/// Appends old records until the log is full; answers how many it took.
async fn fill<H: Harness>(scene: &Scene<H>) -> usize {
    let producer = scene.log().producer(GIVES_UP);
    for n in 0..MANY {
        match within("an answer", append(&*producer, scene.old_record(0, value(n)))).await {
            Ok(_) => {}
            Err(AppendError::Full) => return n,
            Err(error) => panic!("a full log is refused as full, not as: {error}"),
        }
    }
    panic!("a log with little room took {MANY} records");
}

async fn stored<H: Harness>(scene: &Scene<H>) -> Vec<usize> {
    scene.read(0).await.iter().map(|record| number(&record.value)).collect()
}

pub async fn a_full_log_refuses_and_still_reads<H: Harness>() {
    let setup = Setup { room: Space::Little, ..Setup::default() };
    let Some(scene) = Scene::<H>::with(1, setup).await else { return };
    let taken = fill(&scene).await;
    assert!(taken > 0);
    assert_eq!(
        stored(&scene).await,
        (0..taken).collect::<Vec<_>>(),
        "what was refused is not there"
    );
    let mut member = scene.join("group").await;
    member.until(|member| member.records.len() == taken).await;
    scene.harness.expire().await;
    let producer = scene.producer();
    let position = within("an append", append(&*producer, scene.record(0, value(taken)))).await;
    assert!(position.is_ok(), "there is room again: {position:?}");
}

pub async fn a_patient_producer_keeps_its_order_through_a_full_log<H: Harness>() {
    let setup = Setup { room: Space::Little, ..Setup::default() };
    let Some(scene) = Scene::<H>::with(1, setup).await else { return };
    let taken = fill(&scene).await;
    let producer = scene.log().producer(PATIENT);
    // Later ones are small and would fit where the first does not.
    let values = (MANY..MANY + 20)
        .map(|n| if n < MANY + 3 { value(n) } else { format!("{n} ").into_bytes() });
    let records: Vec<_> = values.map(|value| scene.record(0, value)).collect();
    let queued = |record| producer.enqueue(record).expect("the queue has room");
    let mut acks: Vec<_> = records.into_iter().map(queued).collect();
    // Long enough for some tries, in which an adapter that overtakes would do so.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(acks.iter_mut().all(|ack| ack.now_or_never().is_none()), "nothing overtakes");
    scene.harness.expire().await;
    let acked = within("the acks", join_all(acks)).await;
    let offsets: Vec<u64> = acked.into_iter().map(|ack| ack.unwrap().offset).collect();
    assert!(offsets.windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(stored(&scene).await, (MANY..MANY + 20).collect::<Vec<_>>(), "after {taken} old");
}

pub async fn what_a_full_log_holds_back_is_bounded<H: Harness>() {
    let setup = Setup { room: Space::Little, queue_records: 8, ..Setup::default() };
    let Some(scene) = Scene::<H>::with(1, setup).await else { return };
    fill(&scene).await;
    let producer = scene.log().producer(PATIENT);
    let mut handed_back = None;
    for n in 0..MANY {
        match producer.enqueue(scene.record(0, value(n))) {
            // A record that nobody waits for keeps its place all the same.
            Ok(ack) => drop(ack),
            Err(record) => {
                handed_back = Some((n, record));
                break;
            }
        }
    }
    let (held, record) = handed_back.expect("a queue of 8 is full at some time");
    let (room, ()) = tokio::join!(within("room", producer.room()), scene.harness.expire());
    let () = room;
    within("an append", append(&*producer, *record)).await.unwrap();
    assert_eq!(stored(&scene).await, (0..=held).collect::<Vec<_>>());
}

pub async fn new_work_is_refused_first<H: Harness>() {
    let setup = Setup { room: Space::UnderTheFloor, ..Setup::default() };
    let Some(scene) = Scene::<H>::with(1, setup).await else { return };
    let new_work = ProducerOptions { admission: Admission::NewWork, ..GIVES_UP };
    let producer = scene.log().producer(new_work);
    let refused = within("a refusal", append(&*producer, scene.record(0, "new"))).await;
    assert_eq!(refused, Err(AppendError::Full));
    scene.write(0, &numbers(0..3)).await;
    assert_eq!(scene.read(0).await.len(), 3, "work in the system can be finished");
}
