//! What concurrent writers leave behind is what the pure merge says (I5), on the real server.

use std::sync::Arc;

use chat4all_contracts::status::Cell;
use chat4all_contracts::{
    AccountName, EpochMs, ExternalId, Generation, Message, PlatformName, Reason, Receipt, Status,
    StatusState, StatusUpdate,
};
use chat4all_process::Random;
use chat4all_store::projection::{project_message, project_receipt, project_status, reports_of};
use chat4all_store::{MessageStore, RowAddress, Tenant};
use futures::StreamExt;
use futures::future::try_join_all;
use futures::stream;
use scylla::client::session::Session;
use scylla::statement::unprepared::Statement;

use crate::outage::message;
use crate::server::{self, KEYSPACE, connect, operator};

fn at(ms: u64) -> EpochMs {
    EpochMs::saturating(ms)
}

fn generation(number: u64) -> Generation {
    Generation::new(number).unwrap()
}

fn tenant() -> Tenant {
    Tenant(server::unique().into())
}

/// What can differ at one write timestamp, lengths and bytes outside ASCII included.
fn cells_of_one_timestamp() -> Vec<Cell> {
    let named = [Reason::Unspecified, Reason::Expired, Reason::UnsupportedContent];
    let reasons = [None].into_iter().chain(named.map(Some));
    let ids = [None, Some("a"), Some("b"), Some("aa"), Some("Z"), Some("é")];
    let mut cells = Vec::new();
    for reason in reasons {
        for id in ids {
            let external_id = id.map(|id| ExternalId::new(id).unwrap());
            cells.push(Cell { generation: generation(1), at: at(1_000), reason, external_id });
        }
    }
    cells
}

#[tokio::test]
async fn every_tie_is_broken_as_the_merge_breaks_it() {
    let store = connect().await;
    let tenant = tenant();
    let cells = cells_of_one_timestamp();
    let states: Vec<StatusState> = cells
        .into_iter()
        .map(|cell| StatusState {
            generation: cell.generation,
            failed: Some(cell),
            ..Default::default()
        })
        .collect();
    let count = states.len();
    let pairs = (0..count).flat_map(|a| (0..count).map(move |b| (a, b)));
    stream::iter(pairs)
        .for_each_concurrent(64, |(a, b)| {
            let (store, tenant, states) = (&store, &tenant, &states);
            async move {
                let message =
                    Message { generation: generation(1), ..message(&format!("m{a}-{b}")) };
                let row = RowAddress::of(&message);
                project_message(&**store, tenant, &message, at(0)).await.unwrap();
                store.merge_status(tenant, &row, &states[a]).await.unwrap();
                store.merge_status(tenant, &row, &states[b]).await.unwrap();
                let stored = store.message(tenant, &message.message_id).await.unwrap().unwrap();
                let mut expected = states[a].clone();
                expected.merge(&states[b]);
                assert_eq!(stored.state, expected, "{:?} then {:?}", states[a], states[b]);
            }
        })
        .await;
}

#[derive(Clone, Debug)]
enum Event {
    Message(Message),
    Status(StatusUpdate),
    Receipt(Receipt),
}

fn platform() -> PlatformName {
    PlatformName::new("whatsapp").unwrap()
}

fn account() -> AccountName {
    AccountName::new("main").unwrap()
}

/// A history of one message: it, perhaps a redrive, statuses and receipts. Minimal statuses bring
/// the platform's id all or never, as one producer does.
fn history(first: &Message, random: &Random) -> Vec<Event> {
    let pick = |count: usize| random.between(0, count as u64 - 1) as usize;
    let external = ExternalId::new(&format!("x-{}", first.message_id)).unwrap();
    let mut events = vec![Event::Message(first.clone())];
    if random.chance(1, 2) {
        let content = "second life".to_owned();
        events.push(Event::Message(Message {
            generation: generation(1),
            content,
            ..first.clone()
        }));
    }
    let minimal_external = random.chance(1, 2);
    for _ in 0..random.between(0, 6) {
        let word = Status::ALL[pick(Status::ALL.len())];
        let mut update =
            StatusUpdate::minimal(first.message_id.clone(), word, at(random.between(1, 4)));
        update.reason = random.chance(1, 2).then(|| Reason::ALL[pick(Reason::ALL.len())]);
        let names_row = random.chance(1, 2);
        if names_row {
            update.conversation_id = Some(first.conversation_id.clone());
            update.accepted_at = Some(first.accepted_at);
            update.generation = generation(random.between(0, 2));
        }
        let brings = if names_row { random.chance(1, 2) } else { minimal_external };
        if brings && word != Status::Accepted {
            update.platform = Some(platform());
            update.account = Some(account());
            update.external_id = Some(external.clone());
        }
        events.push(Event::Status(update));
    }
    for _ in 0..random.between(0, 3) {
        let words = [Status::Sent, Status::Failed, Status::Delivered, Status::Read];
        events.push(Event::Receipt(Receipt {
            platform: platform(),
            account: account(),
            external_id: external.clone(),
            status: words[pick(words.len())],
            timestamp: at(random.between(1, 4)),
            reason: None,
        }));
    }
    events
}

/// What the events come to. Receipts count if any status tells whose id theirs is.
fn fold(events: &[Event]) -> StatusState {
    let leads = |event: &Event| matches!(event, Event::Status(s) if s.external_id.is_some());
    let linked = events.iter().any(leads);
    let mut state = StatusState::default();
    for event in events {
        match event {
            Event::Message(message) => state.merge(&StatusState::accepted(message.generation)),
            Event::Status(update) => state.merge(&StatusState::of(update)),
            Event::Receipt(receipt) if linked => state.merge(&reports_of(receipt)),
            Event::Receipt(_) => {}
        }
    }
    state
}

async fn project(store: &dyn MessageStore, tenant: &Tenant, event: &Event) {
    let result = match event {
        Event::Message(message) => project_message(store, tenant, message, at(5)).await,
        Event::Status(update) => project_status(store, tenant, update, at(5)).await,
        Event::Receipt(receipt) => project_receipt(store, tenant, receipt, at(5)).await,
    };
    result.unwrap();
}

/// Two connections project all events of a history at once, shuffled, some of them twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_that_are_projected_all_at_once_end_in_their_fold() {
    let stores: [Arc<dyn MessageStore>; 2] = [connect().await, connect().await];
    let tenant = tenant();
    stream::iter(0..150_u64)
        .for_each_concurrent(8, |seed| {
            let (stores, tenant) = (&stores, &tenant);
            async move {
                let random = Random::seeded(seed);
                let events = history(&message(&format!("m{seed}")), &random);
                let mut replayed: Vec<&Event> = events.iter().collect();
                replayed.extend(events.iter().filter(|_| random.chance(1, 2)));
                for last in (1..replayed.len()).rev() {
                    replayed.swap(last, random.between(0, last as u64) as usize);
                }
                let projected = replayed
                    .iter()
                    .map(|event| project(&*stores[random.between(0, 1) as usize], tenant, event));
                futures::future::join_all(projected).await;
                let id = message(&format!("m{seed}")).message_id;
                let stored = stores[0].message(tenant, &id).await.unwrap().unwrap();
                assert_eq!(stored.state, fold(&events), "seed {seed}: {events:?}");
                let lives = events.iter().filter(|event| matches!(event, Event::Message(_)));
                let redriven = lives.count() == 2;
                assert_eq!(stored.message.generation, generation(u64::from(redriven)));
            }
        })
        .await;
}

/// Content is one cell: of two writers one wins whole, and it stays.
#[tokio::test]
async fn contents_that_race_end_as_one_of_them() {
    let stores = [connect().await, connect().await];
    let tenant = tenant();
    let contents: Vec<Message> = (0..20)
        .map(|n| Message {
            content: format!("content {n}"),
            account: (n % 2 == 0).then(account),
            expires_at: at(10_000 + n),
            ..message("m")
        })
        .collect();
    let put = |(n, message): (usize, &Message)| {
        let (store, message) = (Arc::clone(&stores[n % 2]), message.clone());
        let tenant = tenant.clone();
        async move { store.put_message(&tenant, &message).await }
    };
    try_join_all(contents.iter().enumerate().map(put)).await.unwrap();
    let page = async || {
        let conversation = &contents[0].conversation_id;
        stores[0].page(&tenant, conversation, None, 5).await.unwrap().messages
    };
    let shown = page().await;
    assert_eq!(shown.len(), 1);
    assert!(contents.contains(&shown[0].message));
    try_join_all(contents.iter().rev().enumerate().map(put)).await.unwrap();
    assert_eq!(page().await, shown);
}

/// What Cassandra's own trace of a read says about the tombstones that it met.
async fn tombstones(session: &Session, cql: &str, tenant: &Tenant) -> Vec<String> {
    let mut statement = Statement::new(cql);
    statement.set_tracing(true);
    let answer = session.query_unpaged(statement, (&*tenant.0,)).await.unwrap();
    let trace = session.get_tracing_info(&answer.tracing_id().unwrap()).await.unwrap();
    let activities = trace.events.into_iter().filter_map(|event| event.activity);
    activities.filter(|activity| activity.contains("tombstone cells")).collect()
}

/// A tombstone would shadow evidence, and make reads slower and slower.
#[tokio::test]
async fn nothing_that_is_written_is_a_tombstone() {
    let store = connect().await;
    let tenant = tenant();
    for seed in 0..20 {
        for event in &history(&message(&format!("m{seed}")), &Random::seeded(seed)) {
            project(&*store, &tenant, event).await;
        }
    }
    let session = operator().await;
    for (table, place) in [
        ("messages", "conversation_id = 'c' AND month = 202311"),
        ("conversation_months", "conversation_id = 'c'"),
        ("message_ref", "message_id = 'm1'"),
        ("external_ref", "platform = 'whatsapp' AND account = 'main' AND external_id = 'x-m1'"),
    ] {
        let cql = format!("SELECT * FROM {KEYSPACE}.{table} WHERE tenant = ? AND {place}");
        let found = tombstones(&session, &cql, &tenant).await;
        assert!(!found.is_empty(), "{table}: the trace does not say");
        let none = |activity: &String| activity.contains(" 0 tombstone");
        assert!(found.iter().all(none), "{table}: {found:?}");
    }
    // The trace would have told.
    let place = "tenant = ? AND message_id = 'm1'";
    let clear = format!("UPDATE {KEYSPACE}.message_ref SET address = null WHERE {place}");
    session.query_unpaged(clear, (&*tenant.0,)).await.unwrap();
    let look = format!("SELECT address FROM {KEYSPACE}.message_ref WHERE {place}");
    let found = tombstones(&session, &look, &tenant).await;
    assert!(found.iter().any(|activity| activity.contains(" 1 tombstone")), "{found:?}");
}
