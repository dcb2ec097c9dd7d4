//! What the simulated platforms have seen.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tokio::time::{Duration, Instant};

use super::{Cluster, Role, eventually};

/// A call that was under way when its connector died has ended after this, whatever became of it.
const LAST_CALLS: Duration = Duration::from_millis(500);

/// The simulator's ledger at one moment.
pub struct Ledger {
    totals: Value,
    conversations: Vec<Value>,
}

impl Ledger {
    /// Reads it whole.
    pub async fn read(cluster: &Cluster) -> Self {
        let url = format!("{}/_sim/ledger?limit=10000", cluster.url(Role::Simulator));
        let read = eventually("the ledger", async || cluster.http.get(&url).await).await;
        assert_eq!(read["next"], Value::Null, "the ledger is read whole");
        let conversations = read["conversations"].as_array().expect("a list").clone();
        Self { totals: read["totals"].clone(), conversations }
    }

    /// One of its totals.
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

    /// How many messages the platforms have accepted.
    pub async fn messages(cluster: &Cluster) -> u64 {
        eventually("the ledger", async || total(cluster, "messages", None).await).await
    }

    /// Waits until the platforms have accepted so many messages.
    pub async fn reaches(cluster: &Cluster, messages: u64) {
        eventually(&format!("{messages} messages in the ledger"), async || {
            (total(cluster, "messages", None).await? >= messages).then_some(())
        })
        .await;
    }

    /// The messages that a platform has accepted, once no call of a dead connector is under way.
    pub async fn accepted(cluster: &Cluster, platform: &str) -> BTreeSet<String> {
        let (mut last, mut since) = (None, Instant::now());
        eventually("the end of the last calls", async || {
            let calls = total(cluster, "calls", Some(platform)).await?;
            if last != Some(calls) {
                (last, since) = (Some(calls), Instant::now());
            }
            (since.elapsed() >= LAST_CALLS).then_some(())
        })
        .await;
        let url = cluster.url(Role::Simulator);
        let url = format!("{url}/_sim/ledger/messages?limit=100000&platform={platform}");
        let read = eventually("the ledger", async || cluster.http.get(&url).await).await;
        let messages = read["messages"].as_array().expect("a list").iter();
        let accepted = messages.filter(|message| message["accepted"].as_u64() > Some(0));
        accepted.map(|message| message["message"].as_str().expect("an id").to_owned()).collect()
    }
}

/// One of the totals, of a platform or of all.
async fn total(cluster: &Cluster, name: &str, platform: Option<&str>) -> Option<u64> {
    let platform = platform.map(|name| format!("&platform={name}")).unwrap_or_default();
    let url = format!("{}/_sim/ledger?limit=1{platform}", cluster.url(Role::Simulator));
    cluster.http.get(&url).await?["totals"][name].as_u64()
}
