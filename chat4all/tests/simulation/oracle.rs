//! The judge of a run that has settled: what the API acknowledged, against the platform's ledger,
//! the log and the store.

use std::collections::{BTreeMap, BTreeSet};

use chat4all_contracts::{
    DeadLetter, ExternalId, MessageId, Reason, Receipt, Status, StatusUpdate, topic,
};
use chat4all_store::{MessageStore, StoredMessage, Tenant};
use futures::FutureExt;
use serde_json::Value;

use crate::history::History;
use crate::shown::{Shown, shown};
use crate::world::World;

/// Checks I1, I2, I5 and I6 for a run that has settled.
pub fn check(world: &World, history: &History) {
    let arrived = arrived(&history.ledger);
    let expected = expected(history);
    for conversation in &world.conversations {
        for id in conversation.lock().unwrap().accepted.clone() {
            check_message(world, &id, &expected, &arrived);
        }
    }
    dead_letters_have_what_failed(world, history);
    let totals = &history.ledger["totals"];
    if totals["overlaps"] != 0 {
        let text = "the ledger has two calls of a conversation at once".to_owned();
        world.watch.object("one call of a conversation at a time", None, text);
    }
}

fn check_message(
    world: &World,
    id: &MessageId,
    expected: &BTreeMap<MessageId, Shown>,
    arrived: &BTreeSet<String>,
) {
    let object = |check, text| world.watch.object(check, Some(id), text);
    let Some(stored) = stored(world, id) else {
        return object("what was accepted is in the store", "it is not".to_owned());
    };
    let (is, reason) = (shown(&stored.state), stored.state.reason());
    let comes_to = expected.get(id).copied().unwrap_or(Shown::Accepted);
    if is != comes_to {
        object("the store has what was reported", format!("{is:?}, reported was {comes_to:?}"));
    }
    let arrived = arrived.contains(id.as_str());
    match is {
        Shown::Accepted | Shown::Unknown => object("everything ends", format!("it is {is:?}")),
        Shown::FailedByUs | Shown::Rejected if reason.is_none() => {
            object("a failure has its reason", "it has none".to_owned());
        }
        // What is shown as accepted was accepted.
        Shown::Sent | Shown::Rejected | Shown::Delivered | Shown::Read if !arrived => {
            object("what is shown as accepted arrived", format!("{is:?}, and never arrived"));
        }
        Shown::FailedByUs
            if arrived
                && reason != Some(Reason::InDoubt)
                && !world.watch.may_have_been_accepted(id) =>
        {
            object("what is shown as failed did not arrive", format!("{reason:?}, and arrived"));
        }
        _ => {}
    }
}

fn stored(world: &World, id: &MessageId) -> Option<StoredMessage> {
    // The store in memory answers at once.
    world.store.message(&Tenant::default(), id).now_or_never()?.ok()?
}

/// What the reports in the log come to, for each message.
fn expected(history: &History) -> BTreeMap<MessageId, Shown> {
    let mut expected = BTreeMap::new();
    let mut by_external: BTreeMap<ExternalId, MessageId> = BTreeMap::new();
    let mut raise = |id: &MessageId, to: Shown| {
        let shown = expected.entry(id.clone()).or_insert(Shown::Accepted);
        *shown = (*shown).max(to);
    };
    for update in history.statuses() {
        raise(&update.message_id, of_update(&update));
        if let Some(external) = update.external_id {
            by_external.insert(external, update.message_id);
        }
    }
    for record in history.topic(topic::RECEIPTS) {
        let receipt = Receipt::parse(&record.value).unwrap();
        if let Some(id) = by_external.get(&receipt.external_id) {
            raise(id, rank(receipt.status, Shown::Rejected));
        }
    }
    expected
}

fn of_update(update: &StatusUpdate) -> Shown {
    let rejected = update.reason == Some(Reason::Rejected);
    rank(update.status, if rejected { Shown::Rejected } else { Shown::FailedByUs })
}

fn rank(status: Status, failed: Shown) -> Shown {
    match status {
        Status::Accepted => Shown::Accepted,
        Status::Unknown => Shown::Unknown,
        Status::Failed => failed,
        Status::Sent => Shown::Sent,
        Status::Delivered => Shown::Delivered,
        Status::Read => Shown::Read,
    }
}

/// Every failure that a connector reported is in the dead letters, where it can be redriven from.
fn dead_letters_have_what_failed(world: &World, history: &History) {
    let letters = history.records.iter().filter(|record| record.topic.ends_with("-dead-letters"));
    let letters = letters.map(|record| DeadLetter::parse(&record.value).unwrap().message_id);
    let letters: BTreeSet<MessageId> = letters.flatten().collect();
    let by_connector = |update: &StatusUpdate| update.attempt.is_some();
    for update in history.statuses().filter(by_connector) {
        let id = update.message_id;
        if update.status == Status::Failed && !letters.contains(&id) {
            let text = "failed without a dead letter".to_owned();
            world.watch.object("dead letters have what failed", Some(&id), text);
        }
    }
}

/// The messages that the platforms have accepted.
fn arrived(ledger: &Value) -> BTreeSet<String> {
    let conversations = ledger["conversations"].as_array().unwrap();
    let ids = conversations.iter().flat_map(|of| of["order"].as_array().unwrap());
    ids.map(|id| id.as_str().unwrap().to_owned()).collect()
}
