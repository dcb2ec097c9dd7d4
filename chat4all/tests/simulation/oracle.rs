//! The judge: what the API acknowledged, against the platform's ledger and the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chat4all_contracts::{DeadLetter, MessageId, Reason, Status};
use chat4all_process::Random;
use chat4all_process::http_client::{HttpClient, HttpPort};
use chat4all_simulator::{Settings, Simulator};
use chat4all_store::{MessageStore, StoredMessage, Tenant};
use serde_json::Value;

use crate::history::{History, Metrics};
use crate::life::ledger;
use crate::network::Network;
use crate::world::World;

impl World {
    /// The ledger, read by a simulator that does nothing else.
    pub async fn read_ledger(&self) -> Value {
        let network = Network::default();
        let http: Arc<dyn HttpPort> = Arc::new(HttpClient::over(network.clone()));
        let (clock, random) = (self.clock.clone(), Random::seeded(0));
        let database = self.ledger.clone();
        let simulator =
            Simulator::open(Settings::default(), database, http.clone(), clock, random).await;
        network.listen("127.0.0.1:8090", simulator.unwrap().router());
        ledger(&*http).await
    }
}

/// Checks I1, I2 and I6 for a run that has settled.
pub fn check(world: &World, history: &History, metrics: &Metrics) {
    let seed = world.seed;
    let stored = stored(world);
    let in_order = in_order(&history.ledger);
    let arrived: BTreeSet<&str> = in_order.values().flatten().map(String::as_str).collect();
    for conversation in &world.conversations {
        let known = conversation.lock().unwrap();
        assert_eq!(known.accepted.len(), known.messages, "seed {seed}: a client gave up");
        for id in &known.accepted {
            let message = &stored[id];
            let (status, reason) = (message.state.status(), message.state.reason());
            let context = format!("seed {seed}: {id} is {status} ({reason:?})");
            match status {
                // I1: what is shown as delivered was taken by the platform.
                Status::Delivered | Status::Read => {
                    assert!(arrived.contains(id.as_str()), "{context}, and never arrived")
                }
                Status::Failed if reason == Some(Reason::InDoubt) => {}
                Status::Failed => assert!(!arrived.contains(id.as_str()), "{context}, and arrived"),
                _ => panic!("{context}"),
            }
        }
        // I2: the platform took the messages of a conversation in the order of the 202s.
        let expected: Vec<&str> = known
            .accepted
            .iter()
            .map(MessageId::as_str)
            .filter(|id| arrived.contains(id))
            .collect();
        let order =
            in_order.values().find(|order| order.iter().any(|id| expected.contains(&id.as_str())));
        let order: Vec<&str> = order.into_iter().flatten().map(String::as_str).collect();
        assert_eq!(order, expected, "seed {seed}: {} overtaken", known.name);
    }
    dead_letters_have_what_failed(history);
    let totals = &history.ledger["totals"];
    assert_eq!(totals["overlaps"], 0, "seed {seed}: two calls of a conversation at once");
    // I6: a repetition has a cause.
    let is_in_doubt = |outcome: &str| outcome == "in_doubt";
    let in_doubt = metrics.sum("chat4all_deliveries_total", "outcome", is_in_doubt);
    let (duplicates, bound) = (totals["duplicates"].as_u64().unwrap(), world.may_repeat + in_doubt);
    assert!(duplicates <= bound, "seed {seed}: {duplicates} duplicates, at most {bound}");
}

/// Every failure that a connector reported is in the dead letters, where it can be redriven from.
fn dead_letters_have_what_failed(history: &History) {
    let letters = history.records.iter().filter(|record| record.topic.ends_with("-dead-letters"));
    let letters = letters.map(|record| DeadLetter::parse(&record.value).unwrap().message_id);
    let letters: BTreeSet<MessageId> = letters.flatten().collect();
    for update in history.statuses().filter(|update| update.status == Status::Failed) {
        let id = update.message_id;
        assert!(letters.contains(&id), "seed {}: {id} failed without a dead letter", history.seed);
    }
}

fn stored(world: &World) -> BTreeMap<MessageId, StoredMessage> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut stored = BTreeMap::new();
        for conversation in &world.conversations {
            let accepted = conversation.lock().unwrap().accepted.clone();
            for id in accepted {
                let message = world.store.message(&Tenant::default(), &id).await.unwrap();
                stored.insert(id, message.expect("an accepted message is in the store"));
            }
        }
        stored
    })
}

/// The messages of each conversation in the order of their first acceptance.
fn in_order(ledger: &Value) -> BTreeMap<String, Vec<String>> {
    let conversations = ledger["conversations"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    conversations
        .iter()
        .map(|conversation| {
            let name = format!("{}/{}", conversation["account"], conversation["conversation"]);
            (name, conversation["order"].as_array().unwrap().iter().map(text).collect())
        })
        .collect()
}
