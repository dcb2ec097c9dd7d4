//! Whatever the order of the single calls of concurrent projections, and whatever is cut off and
//! repeated, a message ends with everything that was reported about it (I5).

// The lints know only functions that are tests themselves, not their helpers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod stepped;

use std::sync::Arc;

use chat4all_contracts::{
    AccountName, ConversationId, EpochMs, ExternalId, Generation, Message, MessageId, PlatformName,
    Reason, Receipt, ReceiverId, SenderId, Status, StatusState, StatusUpdate,
};
use chat4all_process::Random;
use chat4all_store::embedded::EmbeddedStore;
use chat4all_store::projection::{project_message, project_receipt, project_status, reports_of};
use chat4all_store::{MessageStore, StoredMessage, Tenant};
use futures::FutureExt;
use proptest::prelude::*;

use self::stepped::{Choose, Running, Stepped, every_choice, run};

#[derive(Clone, Debug)]
enum Event {
    Message(Message),
    Status(StatusUpdate),
    Receipt(Receipt),
}

fn at(ms: u64) -> EpochMs {
    EpochMs::new(ms).unwrap()
}

fn account() -> AccountName {
    AccountName::new("main").unwrap()
}

fn platform() -> PlatformName {
    PlatformName::new("whatsapp").unwrap()
}

fn external() -> ExternalId {
    ExternalId::new("wamid.1").unwrap()
}

fn message(generation: u64) -> Message {
    Message {
        message_id: MessageId::new("m").unwrap(),
        conversation_id: ConversationId::new("c").unwrap(),
        sender_id: SenderId::new("shop").unwrap(),
        receiver_id: ReceiverId::new("whatsapp:+5511999990000").unwrap(),
        content: format!("life {generation}"),
        file_id: None,
        account: Some(account()),
        accepted_at: at(1_000),
        expires_at: at(2_000),
        generation: Generation::new(generation).unwrap(),
    }
}

fn status(status: Status, ms: u64, names_row: bool, with_external: bool) -> StatusUpdate {
    let of = message(0);
    let mut update = StatusUpdate::minimal(of.message_id, status, at(ms));
    if names_row {
        update.conversation_id = Some(of.conversation_id);
        update.accepted_at = Some(of.accepted_at);
    }
    if with_external {
        update.platform = Some(platform());
        update.account = Some(account());
        update.external_id = Some(external());
    }
    update
}

fn receipt(status: Status, ms: u64) -> Receipt {
    Receipt {
        platform: platform(),
        account: account(),
        external_id: external(),
        status,
        timestamp: at(ms),
        reason: None,
    }
}

async fn project(store: &Stepped, event: &Event) {
    let tenant = Tenant::default();
    let result = match event {
        Event::Message(message) => project_message(store, &tenant, message, at(5)).await,
        Event::Status(update) => project_status(store, &tenant, update, at(5)).await,
        Event::Receipt(receipt) => project_receipt(store, &tenant, receipt, at(5)).await,
    };
    result.unwrap();
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

fn outcome(events: &[Event], cuts: usize, choose: &mut Choose<'_>) -> Option<StoredMessage> {
    let inner: Arc<dyn MessageStore> = EmbeddedStore::in_memory().unwrap();
    let store = Stepped(Arc::clone(&inner));
    let begin = |n: usize| -> Running<'_> { Box::pin(project(&store, &events[n])) };
    run(&begin, events.len(), cuts, choose);
    let id = message(0).message_id;
    // The store in memory answers at once.
    inner.message(&Tenant::default(), &id).now_or_never().unwrap().unwrap()
}

fn in_every_order(events: &[Event]) -> usize {
    let expected = fold(events);
    every_choice(|choose| {
        let stored = outcome(events, 0, choose).expect("the message is shown");
        assert_eq!(stored.state, expected, "{events:?}");
    })
}

#[test]
fn a_message_meets_a_status_in_every_interleaving() {
    let sent = Event::Status(status(Status::Sent, 3, false, false));
    // At least all the ways to mix 3 calls of one with 2 of the other.
    assert!(in_every_order(&[Event::Message(message(0)), sent]) >= 10);
}

#[test]
fn a_message_meets_a_status_with_the_platforms_id_in_every_interleaving() {
    let sent = Event::Status(status(Status::Sent, 3, false, true));
    assert!(in_every_order(&[Event::Message(message(0)), sent]) >= 10);
}

#[test]
fn a_status_meets_a_receipt_in_every_interleaving() {
    let sent = Event::Status(status(Status::Sent, 3, true, true));
    let delivered = Event::Receipt(receipt(Status::Delivered, 4));
    let expected = fold(&[Event::Message(message(0)), sent.clone(), delivered.clone()]);
    let events = [sent, delivered];
    let runs = every_choice(|choose| {
        let inner: Arc<dyn MessageStore> = EmbeddedStore::in_memory().unwrap();
        let store = Stepped(Arc::clone(&inner));
        let begin = |n: usize| -> Running<'_> { Box::pin(project(&store, &events[n])) };
        run(&begin, events.len(), 0, choose);
        let message = Event::Message(message(0));
        run(&|_| Box::pin(project(&store, &message)), 1, 0, &mut |_| 0);
        let id = self::message(0).message_id;
        let stored = inner.message(&Tenant::default(), &id).now_or_never().unwrap().unwrap();
        assert_eq!(stored.map(|stored| stored.state), Some(expected.clone()));
    });
    assert!(runs >= 10);
}

/// A history of one message: it, perhaps a redrive, statuses and receipts. Minimal statuses bring
/// the platform's id all or never, as one producer does.
fn history() -> impl Strategy<Value = Vec<Event>> {
    let any_status = prop::sample::select(Status::ALL.to_vec());
    let any_reason = prop::option::of(prop::sample::select(Reason::ALL.to_vec()));
    let receipts = [Status::Sent, Status::Failed, Status::Delivered, Status::Read];
    let any_receipt = (prop::sample::select(receipts.to_vec()), 1_u64..4)
        .prop_map(|(status, ms)| Event::Receipt(receipt(status, ms)));
    let any_update = move |minimal_external: bool| {
        (any_status.clone(), any_reason.clone(), 1_u64..4, 0_u64..2, any::<(bool, bool)>())
            .prop_map(move |(word, reason, ms, generation, (names_row, external))| {
                // An ACCEPTED leaves no cell that could bring the platform's id.
                let brings = if names_row { external } else { minimal_external };
                let mut update = status(word, ms, names_row, brings && word != Status::Accepted);
                update.reason = reason;
                if names_row {
                    update.generation = Generation::new(generation).unwrap();
                }
                Event::Status(update)
            })
    };
    any::<(bool, bool)>().prop_flat_map(move |(minimal_external, redriven)| {
        let lives = (0..=u64::from(redriven)).map(|g| Event::Message(message(g))).collect();
        let updates = prop::collection::vec(any_update(minimal_external), 0..3);
        let receipts = prop::collection::vec(any_receipt.clone(), 0..3);
        (Just(lives), updates, receipts).prop_map(
            |(lives, updates, receipts): (Vec<Event>, Vec<Event>, Vec<Event>)| {
                [lives, updates, receipts].concat()
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None, cases: 1_000, ..ProptestConfig::default()
    })]

    #[test]
    fn any_interleaving_of_a_history_ends_in_its_fold(
        events in history(), schedule in any::<u64>(), cuts in 0_usize..4,
    ) {
        let random = Random::seeded(schedule);
        let stored = outcome(&events, cuts, &mut |options| {
            random.between(0, options as u64 - 1) as usize
        });
        let stored = stored.expect("the message is shown");
        prop_assert_eq!(stored.state, fold(&events));
        let redriven = events.iter().any(|event| {
            matches!(event, Event::Message(message) if message.generation > Generation::FIRST)
        });
        prop_assert_eq!(stored.message, message(u64::from(redriven)));
    }
}
