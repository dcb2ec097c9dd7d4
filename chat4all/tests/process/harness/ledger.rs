//! What the simulated platforms have seen.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Http, Installation, eventually};

/// The simulator's ledger at one moment.
pub struct Ledger {
    pub totals: Value,
    pub conversations: Vec<Value>,
}

impl Ledger {
    /// Reads it, waiting for a simulator that is just being started again.
    pub async fn read(installation: &Installation, http: &Http) -> Self {
        let url = format!("{}/_sim/ledger?limit=10000", installation.url("simulator"));
        let read = eventually("the ledger", async || http.get(&url).await).await;
        assert_eq!(read["next"], Value::Null, "the ledger is read whole");
        let conversations = read["conversations"].as_array().expect("a list").clone();
        Self { totals: read["totals"].clone(), conversations }
    }

    pub fn total(&self, name: &str) -> u64 {
        self.totals[name].as_u64().expect("a number")
    }

    /// The order of first acceptance of every conversation, by its first message.
    pub fn orders(&self) -> BTreeMap<String, Vec<String>> {
        let orders = self.conversations.iter().map(|conversation| {
            let order = conversation["order"].as_array().expect("a list");
            let ids = order.iter().map(|id| id.as_str().expect("an id").to_owned());
            ids.collect::<Vec<_>>()
        });
        orders.filter_map(|order| Some((order.first()?.clone(), order))).collect()
    }

    /// Waits until the platforms have accepted so many messages.
    pub async fn reaches(installation: &Installation, http: &Http, messages: u64) {
        let url = format!("{}/_sim/ledger?limit=1", installation.url("simulator"));
        eventually(&format!("{messages} messages in the ledger"), async || {
            let totals = http.get(&url).await?["totals"]["messages"].as_u64()?;
            (totals >= messages).then_some(())
        })
        .await;
    }
}
