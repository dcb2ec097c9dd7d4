//! The open messages.

use std::collections::BTreeSet;

use chat4all_contracts::{EpochMs, Message, Status, StatusUpdate, partition};

use super::Factory;
use super::fixture::{full, generation, message, minimal, now, tenant};
use crate::open::{OpenPlace, Shards};
use crate::projection::{project_message, project_status};
use crate::{MessageStore, Tenant};

const HOUR_MS: u64 = 3_600_000;

/// A message that is due so many milliseconds after the cases happen.
fn due_in(ms: u64, id: &str) -> Message {
    let accepted_at = now().as_ms() - 60_000;
    let expires_at = EpochMs::saturating(now().as_ms() + ms);
    Message { expires_at, ..message("open", accepted_at, id) }
}

/// A status as connectors report it.
fn reported(of: &Message, status: Status) -> StatusUpdate {
    let at = now().as_ms();
    StatusUpdate { expires_at: Some(of.expires_at), ..full(of, status, at) }
}

async fn accept(store: &dyn MessageStore, message: &Message) {
    project_message(store, &tenant(), message, now()).await.unwrap();
}

async fn report(store: &dyn MessageStore, update: &StatusUpdate) {
    project_status(store, &tenant(), update, now()).await.unwrap();
}

/// The ids of the open messages, page by page from before all, each at most once.
async fn open_of(
    store: &dyn MessageStore,
    tenant: &Tenant,
    shards: Shards,
    until: EpochMs,
    limit: usize,
) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    // Conformance happens within a day.
    let mut place = OpenPlace::before(EpochMs::saturating(now().as_ms() - HOUR_MS));
    loop {
        let page = store.open(tenant, shards, &place, until, limit).await.unwrap();
        assert!(page.messages.len() <= limit);
        for stored in page.messages {
            let id = stored.message.message_id.to_string();
            assert!(found.insert(id.clone()), "{id} is shown once");
        }
        let Some(next) = page.next else { return found };
        assert!(next > place, "a page leads on");
        place = next;
    }
}

/// A day from the cases on.
fn tomorrow() -> EpochMs {
    EpochMs::saturating(now().as_ms() + 24 * HOUR_MS)
}

async fn open(store: &dyn MessageStore) -> BTreeSet<String> {
    open_of(store, &tenant(), Shards::ALL, tomorrow(), 100).await
}

fn set<const N: usize>(ids: [&str; N]) -> BTreeSet<String> {
    ids.map(str::to_owned).into()
}

/// Whatever the size of a page, each open message is shown once, and nothing that is due later.
pub async fn open_messages_are_shown_once_over_all_pages(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let mut expected = BTreeSet::new();
    for n in 0..90 {
        // Some at the same time, some hours apart.
        let id = format!("m{n:02}");
        let message = due_in(n / 3 * HOUR_MS / 10, &id);
        accept(&*store, &message).await;
        match n % 5 {
            0 => report(&*store, &reported(&message, Status::Sent)).await,
            1 => report(&*store, &reported(&message, Status::Failed)).await,
            2 => {
                report(&*store, &reported(&message, Status::Unknown)).await;
                expected.insert(id);
            }
            _ => drop(expected.insert(id)),
        }
    }
    for limit in [1, 7, 100] {
        assert_eq!(open_of(&*store, &tenant(), Shards::ALL, tomorrow(), limit).await, expected);
    }
    let two_hours = EpochMs::saturating(now().as_ms() + 2 * HOUR_MS);
    let soon = expected.iter().filter(|id| id.as_str() < "m60").cloned().collect();
    assert_eq!(open_of(&*store, &tenant(), Shards::ALL, two_hours, 7).await, soon);
}

/// Every status but ACCEPTED and UNKNOWN settles a message, however little it says.
pub async fn an_outcome_settles_an_open_message(factory: &dyn Factory) {
    let store = factory.fresh().await;
    for status in Status::ALL {
        let (word, at) = (status.word(), now().as_ms());
        let whole = due_in(1_000, &format!("full-{word}"));
        accept(&*store, &whole).await;
        report(&*store, &reported(&whole, status)).await;
        let short = due_in(1_000, &format!("minimal-{word}"));
        accept(&*store, &short).await;
        report(&*store, &minimal(&short, status, at)).await;
        let early = due_in(1_000, &format!("early-{word}"));
        report(&*store, &reported(&early, status)).await;
        accept(&*store, &early).await;
    }
    let expected = [Status::Accepted, Status::Unknown]
        .map(|status| ["full", "minimal", "early"].map(|kind| format!("{kind}-{}", status.word())));
    assert_eq!(open(&*store).await, expected.into_iter().flatten().collect());
}

/// A failed message that begins another life is open again until that has an outcome.
pub async fn a_redriven_message_is_open_again(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let first = due_in(1_000, "m");
    accept(&*store, &first).await;
    report(&*store, &reported(&first, Status::Failed)).await;
    assert_eq!(open(&*store).await, set([]));
    let second = Message { generation: generation(1), ..due_in(3 * HOUR_MS, "m") };
    accept(&*store, &second).await;
    assert_eq!(open(&*store).await, set(["m"]));
    report(&*store, &reported(&first, Status::Failed)).await;
    assert_eq!(open(&*store).await, set(["m"]), "a repeated report of the first life");
    report(&*store, &reported(&second, Status::Sent)).await;
    assert_eq!(open(&*store).await, set([]));
}

/// Whoever judges a partition finds its messages in its shards.
pub async fn shards_divide_the_open_messages(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let ids: Vec<String> = (0..40).map(|n| format!("m{n}")).collect();
    for id in &ids {
        accept(&*store, &due_in(1_000, id)).await;
    }
    for partitions in [1, 2, 3, 8] {
        for number in 0..partitions {
            let shards = Shards::of_partition(number, partitions);
            let found = open_of(&*store, &tenant(), shards, tomorrow(), 5).await;
            let ours = |id: &&String| partition::for_key(id.as_bytes(), partitions) == number;
            assert!(ids.iter().filter(ours).all(|id| found.contains(id)));
            let divides = 16 % partitions == 0;
            assert_eq!(found.iter().all(|id| ours(&id)), divides, "{number} of {partitions}");
        }
    }
}

/// What only a status has reached is no message yet; other tenants' messages are not ours.
pub async fn only_messages_of_the_tenant_with_content_are_open(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let hidden = due_in(1_000, "hidden");
    report(&*store, &reported(&hidden, Status::Unknown)).await;
    let other = Tenant("other".into());
    project_message(&*store, &other, &due_in(1_000, "theirs"), now()).await.unwrap();
    assert_eq!(open(&*store).await, set([]));
    accept(&*store, &hidden).await;
    assert_eq!(open(&*store).await, set(["hidden"]));
    let theirs = open_of(&*store, &other, Shards::ALL, tomorrow(), 5).await;
    assert_eq!(theirs, set(["theirs"]));
}
