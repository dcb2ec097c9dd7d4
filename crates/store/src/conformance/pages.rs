//! Pages of a conversation.

use futures::StreamExt;
use futures::stream;

use chat4all_contracts::{Status, StatusState};

use super::Factory;
use super::fixture::{conversation, full, insert, message, pages, shown, tenant};
use crate::RowAddress;

/// Newest first, whatever the order of writing; the last page has no cursor.
pub async fn a_page_is_newest_first_and_ends(factory: &dyn Factory) {
    let store = factory.fresh().await;
    for n in [3, 0, 6, 1, 5, 2, 4] {
        let message = message("c", 1_000 + n, &format!("m{n}"));
        store.put_message(&tenant(), &message).await.unwrap();
    }
    store.put_message(&tenant(), &message("d", 1_003, "other")).await.unwrap();
    let expected = [vec!["m6", "m5", "m4"], vec!["m3", "m2", "m1"], vec!["m0"]];
    assert_eq!(pages(&*store, "c", None, 3).await, expected);
    assert_eq!(pages(&*store, "c", None, 7).await.len(), 1);
    assert_eq!(pages(&*store, "d", None, 7).await, [["other"]]);
    assert_eq!(pages(&*store, "empty", None, 7).await, [Vec::<String>::new()]);
}

/// Of equal times the greater id, by its bytes, comes first, also across pages.
pub async fn messages_of_one_millisecond_are_ordered_by_id(factory: &dyn Factory) {
    let store = factory.fresh().await;
    for id in ["b", "a", "é", "c", "B", "aa"] {
        store.put_message(&tenant(), &message("c", 1_000, id)).await.unwrap();
    }
    store.put_message(&tenant(), &message("c", 999, "z")).await.unwrap();
    let expected = [vec!["é", "c"], vec!["b", "aa"], vec!["a", "B"], vec!["z"]];
    assert_eq!(pages(&*store, "c", None, 2).await, expected);
}

/// Newer messages do not shift what a cursor leads to.
pub async fn pages_stay_stable_while_messages_arrive(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let put = async |n: u64| {
        let message = message("c", 1_000 + n, &format!("m{n:03}"));
        store.put_message(&tenant(), &message).await.unwrap();
    };
    for n in 0..20 {
        put(n).await;
    }
    let mut after = None;
    let mut seen = Vec::new();
    for n in 100.. {
        let page = store.page(&tenant(), &conversation("c"), after.as_ref(), 3).await.unwrap();
        seen.extend(page.messages.into_iter().map(|m| m.message.message_id.to_string()));
        put(n).await;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let expected: Vec<String> = (0..20).rev().map(|n| format!("m{n:03}")).collect();
    assert_eq!(seen, expected);
}

/// A long conversation, three messages a millisecond, in pages of 50.
pub async fn ten_thousand_messages_are_paged_exactly_once(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let count = 10_000_u64;
    let messages = (0..count).map(|n| message("c", 1_000 + n / 3, &format!("m{n:05}")));
    stream::iter(messages)
        .for_each_concurrent(500, |message| {
            let store = &store;
            async move { store.put_message(&tenant(), &message).await.unwrap() }
        })
        .await;
    let pages = pages(&*store, "c", None, 50).await;
    assert_eq!(pages.len() as u64, count / 50);
    let expected: Vec<String> = (0..count).rev().map(|n| format!("m{n:05}")).collect();
    assert_eq!(pages.concat(), expected);
}

/// A row that only statuses have reached takes no room in a page, and is there once its content
/// comes.
pub async fn rows_without_content_are_not_shown(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let hidden: Vec<_> = (0..100).map(|n| message("c", 2_000 + n, &format!("h{n}"))).collect();
    for message in &hidden {
        let sent = StatusState::of(&full(message, Status::Sent, 3_000));
        store.merge_status(&tenant(), &RowAddress::of(message), &sent).await.unwrap();
    }
    assert_eq!(pages(&*store, "c", None, 2).await, [Vec::<String>::new()]);
    assert_eq!(store.message(&tenant(), &hidden[0].message_id).await, Ok(None));
    for n in 0..4 {
        let message = message("c", 1_000 + n, &format!("m{n}"));
        store.put_message(&tenant(), &message).await.unwrap();
    }
    assert_eq!(pages(&*store, "c", None, 2).await, [["m3", "m2"], ["m1", "m0"]]);
    insert(&*store, &tenant(), &hidden[7]).await;
    assert_eq!(pages(&*store, "c", None, 5).await, [["h7", "m3", "m2", "m1", "m0"]]);
    assert_eq!(shown(&*store, &hidden[7]).await.state.status(), Status::Sent);
}
