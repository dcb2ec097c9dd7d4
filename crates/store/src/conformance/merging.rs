//! What becomes of a row that many write to.

use chat4all_contracts::{Message, Status, StatusState};
use chat4all_process::Random;
use futures::future::try_join_all;

use super::Factory;
use super::fixture::{
    at, fold, full, generation, insert, message, random_update, shown, shuffle, tenant,
};
use crate::RowAddress;

/// How many random histories are tried.
const CASES: u64 = 32;

/// Random reports in any order, some twice and all at once, come to what
/// [`StatusState::merge`] says (I5).
pub async fn shuffled_and_repeated_reports_merge_as_the_fold(factory: &dyn Factory) {
    let store = factory.fresh().await;
    for seed in 0..CASES {
        let random = Random::seeded(seed);
        let message = Message {
            generation: generation(random.between(0, 2)),
            ..message("c", 1_000 + seed, &format!("m{seed}"))
        };
        let count = random.between(0, 12);
        let reports: Vec<StatusState> =
            (0..count).map(|_| StatusState::of(&random_update(&message, &random))).collect();
        let mut replayed: Vec<&StatusState> = reports.iter().collect();
        replayed.extend(reports.iter().filter(|_| random.chance(1, 2)));
        shuffle(&mut replayed, &random);
        let (before, after) = replayed.split_at(random.between(0, replayed.len() as u64) as usize);

        let (tenant, row) = (tenant(), RowAddress::of(&message));
        let merge = |reports: &&StatusState| {
            let (store, tenant, row, reports) = (&store, &tenant, &row, (*reports).clone());
            async move { store.merge_status(tenant, row, &reports).await }
        };
        try_join_all(before.iter().map(merge)).await.unwrap();
        insert(&*store, &tenant, &message).await;
        try_join_all(after.iter().map(merge)).await.unwrap();
        let stored = shown(&*store, &message).await;
        assert_eq!(stored.state, fold(&message, &reports), "seed {seed}");
        assert_eq!(stored.message, message, "seed {seed}");
    }
}

/// In both orders; the row's generation is the highest seen.
pub async fn the_content_of_the_higher_generation_stays(factory: &dyn Factory) {
    let store = factory.fresh().await;
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let of = |number: u64| Message {
            generation: generation(number),
            content: format!("life {number}"),
            expires_at: at(9_000 + number),
            ..message("c", 1_000, &format!("m{order:?}"))
        };
        for number in order {
            insert(&*store, &tenant(), &of(number)).await;
        }
        let stored = shown(&*store, &of(2)).await;
        assert_eq!((stored.message, stored.state), (of(2), StatusState::accepted(generation(2))));
    }
}

/// A second content of one generation is a duplicate and changes nothing.
pub async fn the_first_content_of_a_generation_stays(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let first = message("c", 1_000, "m");
    let second = Message { content: "other".to_owned(), account: None, ..first.clone() };
    insert(&*store, &tenant(), &first).await;
    insert(&*store, &tenant(), &second).await;
    assert_eq!(shown(&*store, &first).await.message, first);
}

/// A status of a later life than the content's decides the row's generation, not the content's.
pub async fn content_keeps_the_status_that_came_before_it(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let first = message("c", 1_000, "m");
    let redrive = Message { generation: generation(1), ..first.clone() };
    let failed = StatusState::of(&full(&redrive, Status::Failed, 2_000));
    store.merge_status(&tenant(), &RowAddress::of(&first), &failed).await.unwrap();
    insert(&*store, &tenant(), &first).await;
    let stored = shown(&*store, &first).await;
    assert_eq!(stored.message, first);
    assert_eq!(stored.state, failed);
    assert_eq!(stored.state.status(), Status::Failed);
    insert(&*store, &tenant(), &redrive).await;
    let stored = shown(&*store, &first).await;
    assert_eq!((stored.message, stored.state), (redrive, failed));
}
