//! What one member of a group may count on.

use futures::FutureExt;

use super::Harness;
use super::kit::{Scene, numbers, texts, within};
use crate::consumer::MAX_NOTE_CHARS;
use crate::{Commit, CommitError, Committed, ConsumerEvent, Epoch, LogError, TopicPartition};

pub async fn an_unclean_stop_redelivers_from_the_last_commit<H: Harness>() {
    let scene = Scene::<H>::new(1).await;
    scene.write(0, &numbers(0..10)).await;
    let mut member = scene.join("group").await;
    member.until(|member| member.records.len() == 10).await;
    assert_eq!(member.holds[&scene.at(0)].position, 0, "a new group begins at 0");
    assert_eq!(member.holds[&scene.at(0)].note, None);
    let fifth = member.records[4].offset;
    assert_eq!(member.commit(vec![member.commit_of(&scene.at(0), fifth, "four")]).await, []);
    drop(member);
    let scene = scene.reopen().await;
    let mut member = scene.join("group").await;
    member.until(|member| member.records.len() == 6).await;
    assert_eq!(texts(&member.records), numbers(4..10));
    let assignment = &member.holds[&scene.at(0)];
    assert_eq!((assignment.position, assignment.note.as_deref()), (fifth, Some("four")));
    assert!(assignment.end > member.records[5].offset, "the end at the time of the assignment");
}

pub async fn after_commit_and_close_nothing_is_redelivered<H: Harness>() {
    let scene = Scene::<H>::new(2).await;
    scene.write(0, &numbers(0..5)).await;
    scene.write(1, &numbers(5..10)).await;
    scene.consume_and_commit("group", 10).await;
    let scene = scene.reopen().await;
    let mut member = scene.join("group").await;
    member.until_holding(2).await;
    scene.write(0, &["new".to_owned()]).await;
    scene.write(1, &["new".to_owned()]).await;
    member.until(|member| member.records.len() == 2).await;
    assert_eq!(texts(&member.records), ["new", "new"]);
}

pub async fn a_note_comes_back_byte_for_byte<H: Harness>() {
    let printable: String =
        (0..MAX_NOTE_CHARS).map(|n| char::from(b' ' + (n % 95) as u8)).collect();
    for note in [String::new(), "YzQ==".to_owned(), printable] {
        let scene = Scene::<H>::new(1).await;
        let mut member = scene.join("group").await;
        member.until_holding(1).await;
        assert_eq!(member.commit(vec![member.commit_of(&scene.at(0), 0, &note)]).await, []);
        member.close().await;
        let scene = scene.reopen().await;
        let mut member = scene.join("group").await;
        member.until_holding(1).await;
        // A log may be unable to tell an empty note from none.
        let read = member.holds[&scene.at(0)].note.clone().unwrap_or_default();
        assert!(read == note, "{} characters came back as {}", note.len(), read.len());
    }
}

pub async fn a_note_too_long_is_refused_alone<H: Harness>() {
    let scene = Scene::<H>::new(2).await;
    scene.write(0, &numbers(0..1)).await;
    scene.write(1, &numbers(1..2)).await;
    let mut member = scene.join("group").await;
    member.until(|member| member.records.len() == 2).await;
    let [long, short] = [scene.at(0), scene.at(1)];
    let refused = member
        .commit(vec![
            member.commit_of(&long, member.next[&long], &"x".repeat(MAX_NOTE_CHARS + 1)),
            member.commit_of(&short, member.next[&short], "kept"),
        ])
        .await;
    assert_eq!(refused, [CommitError::NoteTooLong(long.clone())]);
    drop(member);
    let scene = scene.reopen().await;
    let mut member = scene.join("group").await;
    member.until_holding(2).await;
    assert_eq!(member.holds[&long].position, 0);
    assert_eq!(member.holds[&short].note.as_deref(), Some("kept"));
}

pub async fn every_group_gets_every_record<H: Harness>() {
    let scene = Scene::<H>::new(1).await;
    scene.write(0, &numbers(0..20)).await;
    for group in ["one", "two"] {
        let mut member = scene.join(group).await;
        member.until(|member| member.records.len() == 20).await;
        assert_eq!(texts(&member.records), numbers(0..20));
        assert_eq!(member.commit_all("").await, []);
    }
}

pub async fn a_paused_partition_is_silent_and_the_others_go_on<H: Harness>() {
    let scene = Scene::<H>::new(2).await;
    let mut member = scene.join("group").await;
    member.until_holding(2).await;
    member.consumer.pause(&scene.at(0));
    scene.write(0, &["paused".to_owned()]).await;
    scene.write(1, &numbers(0..300)).await;
    member.until(|member| member.records.len() == 300).await;
    assert_eq!(texts(&member.records), numbers(0..300), "only the other partition is heard");
    member.consumer.resume(&scene.at(0));
    member.until(|member| member.records.len() == 301).await;
    assert_eq!(texts(&member.records[300..]), ["paused"]);
}

pub async fn an_idle_consumer_gets_everything_in_batches<H: Harness>() {
    let scene = Scene::<H>::new(1).await;
    let mut subscription = scene.subscription("group");
    subscription.max_batch = 10;
    let mut member = scene.subscribe(subscription).await;
    member.until_holding(1).await;
    scene.write(0, &numbers(0..1_000)).await;
    while member.records.len() < 1_000 {
        let event = within("an event", member.consumer.next()).await.unwrap();
        if let ConsumerEvent::Records { records, .. } = &event {
            assert!(records.len() <= 10, "{} records at once", records.len());
        }
        member.apply(event).await;
    }
    assert_eq!(texts(&member.records), numbers(0..1_000));
}

pub async fn next_may_be_cancelled_without_losing_an_event<H: Harness>() {
    let scene = Scene::<H>::new(2).await;
    let mut subscription = scene.subscription("group");
    subscription.max_batch = 7;
    let mut member = scene.subscribe(subscription).await;
    scene.write(0, &numbers(0..200)).await;
    scene.write(1, &numbers(0..200)).await;
    while member.records.len() < 400 {
        for _ in 0..3 {
            // Polled once and dropped, in whatever state it then is.
            let event = member.consumer.next().now_or_never();
            tokio::task::yield_now().await;
            if let Some(event) = event {
                member.apply(event.unwrap()).await;
            }
        }
        if member.records.len() < 400 {
            let event = within("an event", member.consumer.next()).await.unwrap();
            member.apply(event).await;
        }
    }
    for partition in 0..2 {
        let of: Vec<_> =
            member.records.iter().filter(|record| record.partition == partition).cloned().collect();
        assert_eq!(texts(&of), numbers(0..200));
    }
}

pub async fn a_waiting_consumer_hears_of_a_new_record<H: Harness>() {
    let scene = Scene::<H>::new(2).await;
    let mut member = scene.join("group").await;
    member.until_holding(2).await;
    for n in 0..50 {
        let partition = u32::from(n % 2 == 0);
        let received = member.until(|member| member.records.len() == n + 1);
        let text = n.to_string();
        let written = async {
            tokio::task::yield_now().await;
            scene.write(partition, &[text]).await
        };
        tokio::join!(received, written);
    }
    assert_eq!(texts(&member.records), numbers(0..50));
}

pub async fn a_closed_consumer_says_so<H: Harness>() {
    let scene = Scene::<H>::new(1).await;
    let mut member = scene.join("group").await;
    member.until_holding(1).await;
    let consumer = member.consumer.clone();
    let commit = member.commit_of(&scene.at(0), 0, "");
    let waiting = consumer.next();
    let (ended, ()) = within("closing", async { tokio::join!(waiting, consumer.close()) }).await;
    assert!(matches!(ended, Err(LogError::Closed)), "a waiting call ends: {ended:?}");
    let next = within("the end", consumer.next()).await;
    assert!(matches!(next, Err(LogError::Closed)), "a later call too: {next:?}");
    let committed = within("a refusal", consumer.commit(vec![commit])).await;
    let refused = match &committed {
        Ok(refused) => *refused == [CommitError::Stale(scene.at(0))],
        Err(error) => *error == LogError::Closed,
    };
    assert!(refused, "nothing can be committed after leaving: {committed:?}");
}

pub async fn restart_begins_again_at_the_last_commit<H: Harness>() {
    let scene = Scene::<H>::new(2).await;
    scene.write(0, &numbers(0..10)).await;
    let mut member = scene.join("group").await;
    member.until(|member| member.records.len() == 10 && member.holds.len() == 2).await;
    let (at, third) = (scene.at(0), member.records[2].offset);
    assert_eq!(member.commit(vec![member.commit_of(&at, third, "two")]).await, []);
    let first = member.holds[&at].clone();
    let stale = member.commit_of(&at, member.next[&at], "");
    member.consumer.restart(&at);
    assert_eq!(member.commit(vec![stale]).await, [CommitError::Stale(at.clone())]);
    member.until(|member| member.records.len() == 18).await;
    assert_eq!(texts(&member.records[10..]), numbers(2..10));
    let again = &member.holds[&at];
    assert!(again.epoch > first.epoch);
    assert_eq!((again.position, again.note.as_deref()), (third, Some("two")));
    assert_eq!(member.commit_all("").await, [], "the new epoch may commit");
    member.consumer.restart(&crate::TopicPartition::new("elsewhere", 0));
}

pub async fn a_stale_commit_is_refused_alone<H: Harness>() {
    let scene = Scene::<H>::new(2).await;
    scene.write(0, &numbers(0..1)).await;
    scene.write(1, &numbers(1..2)).await;
    let mut member = scene.join("group").await;
    member.until(|member| member.records.len() == 2).await;
    let [bad, good] = [scene.at(0), scene.at(1)];
    let Epoch(current) = member.holds[&bad].epoch;
    let stale = Commit { epoch: Epoch(current + 1_000), ..member.commit_of(&bad, 1, "stale") };
    let refused =
        member.commit(vec![stale, member.commit_of(&good, member.next[&good], "good")]).await;
    assert_eq!(refused, [CommitError::Stale(bad.clone())]);
    drop(member);
    let scene = scene.reopen().await;
    let mut member = scene.join("group").await;
    member.until_holding(2).await;
    assert_eq!(member.holds[&bad].note, None);
    assert_eq!(member.holds[&good].note.as_deref(), Some("good"));
}

pub async fn anybody_sees_what_a_group_has_committed<H: Harness>() {
    let scene = Scene::<H>::new(2).await;
    let positions = scene.write(0, &numbers(0..5)).await;
    let both = [scene.at(1), scene.at(0)];
    let group = scene.harness.name("group");
    let mut member = scene.join("group").await;
    member.until(|member| member.records.len() == 5).await;
    let third = positions[3].offset;
    assert_eq!(member.commit(vec![member.commit_of(&scene.at(0), third, "note")]).await, []);
    let seen = async |scene: &Scene<H>, group: &str, at: &[TopicPartition]| {
        let log = scene.log();
        within("asking for commits", log.committed(group, at)).await
    };
    let committed = Some(Committed { offset: third, note: "note".to_owned() });
    let found = seen(&scene, &group, &both).await.unwrap();
    assert_eq!(found[1], committed, "in the order of the question, beside a member");
    // A log may commit where a new group begins.
    assert!(found[0].as_ref().is_none_or(|at| at.offset == 0 && at.note.is_empty()));
    member.close().await;
    let scene = scene.reopen().await;
    assert_eq!(seen(&scene, &group, &both).await.unwrap()[1], committed, "without any member");
    let nobody = scene.harness.name("nobody");
    assert_eq!(seen(&scene, &nobody, &both).await, Ok(vec![None, None]));
    let unknown = scene.at(2);
    let refused = seen(&scene, &group, &[scene.at(0), unknown.clone()]).await;
    assert_eq!(refused, Err(LogError::UnknownPartition(unknown)));
}
