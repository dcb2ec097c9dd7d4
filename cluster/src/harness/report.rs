//! What became of the traffic: the API's word and the platforms' ledger, held against what was
//! accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::{Duration, Instant};

use super::autopsy::Autopsy;
use super::traffic::{Conversation, Traffic};
use super::{Cluster, Ledger, Role, eventually};

/// The ledger of one test, as it is printed.
pub struct Report {
    name: &'static str,
    began: Instant,
    autopsies: Vec<Autopsy>,
    /// The most duplicates that are allowed, beside those of the autopsies.
    allowed: u64,
}

/// Messages by what became of them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    delivered: usize,
    failed: usize,
    /// Accepted by the API and by no platform.
    lost: usize,
    /// Conversations whose messages were first accepted in another order.
    reordered: usize,
    /// Conversations of the ledger that are not ours.
    strange: usize,
}

impl Report {
    /// Of a test with this name, whose traffic begins now.
    pub fn new(name: &'static str) -> Self {
        Self { name, began: Instant::now(), autopsies: Vec::new(), allowed: 0 }
    }

    /// A line, with the seconds since the traffic began.
    pub fn say(&self, text: impl Display) {
        eprintln!("{:>6.1} s  {}: {text}", self.began.elapsed().as_secs_f64(), self.name);
    }

    /// How long it took until everything went on after what had happened.
    pub fn recovered(&self, what: impl Display, after: Duration) {
        self.say(format!("{what} {:.1} s", after.as_secs_f64()));
    }

    /// So many more duplicates are allowed.
    pub fn allow(&mut self, duplicates: u64) {
        self.allowed += duplicates;
    }

    /// What a connector left behind may be sent again, and must be within the bound that follows from
    /// the settings.
    pub fn autopsy(&mut self, found: Autopsy, bound: u64) {
        self.say(format!(
            "{} left {} calls in flight, and {} that it had completed within {} ms without a \
             commit; allowed are {bound}",
            found.platform, found.in_flight, found.uncommitted, found.uncommitted_ms
        ));
        assert!(found.repeatable() <= bound);
        self.autopsies.push(found);
    }

    /// The most duplicates that there may be.
    fn bound(&self) -> u64 {
        self.allowed + self.autopsies.iter().map(Autopsy::repeatable).sum::<u64>()
    }

    /// Waits until every message has an end, prints the ledger, and checks what holds whatever
    /// happened: nothing failed, lost or overtaken, no two calls of a conversation at once, and no
    /// more duplicates than allowed.
    pub async fn settles(&self, cluster: &Cluster, traffic: &mut [Traffic]) -> Ledger {
        self.say("everything is accepted");
        let mut outcome = Outcome::default();
        for conversation in traffic.iter().flat_map(|traffic| &traffic.conversations) {
            outcome.ends(&statuses(cluster, conversation).await);
        }
        let ledger = Ledger::read(cluster).await;
        let mut orders = ledger.orders();
        for conversation in traffic.iter().flat_map(|traffic| &traffic.conversations) {
            outcome.compare(conversation, &mut orders);
        }
        outcome.strange = orders.len();
        traffic.iter_mut().for_each(|traffic| traffic.settled = true);
        let accepted: usize = traffic.iter().map(Traffic::accepted).sum();
        let (duplicates, overlaps) = (ledger.total("duplicates"), ledger.total("overlaps"));
        self.print(traffic, &outcome, duplicates, overlaps);
        assert_eq!(outcome, Outcome { delivered: accepted, ..Outcome::default() });
        assert_eq!(ledger.total("messages"), accepted as u64);
        assert_eq!(overlaps, 0);
        assert!(duplicates <= self.bound(), "{duplicates} duplicates, allowed {}", self.bound());
        ledger
    }

    fn print(&self, traffic: &[Traffic], outcome: &Outcome, duplicates: u64, overlaps: u64) {
        let accepted: usize = traffic.iter().map(Traffic::accepted).sum();
        let Outcome { delivered, failed, lost, reordered, strange } = outcome;
        self.say(format!(
            "accepted {accepted}, delivered {delivered}, failed {failed}, lost {lost}, \
             duplicated {duplicates} (allowed {}), reordered {reordered}, overlaps {overlaps}, \
             strange {strange}",
            self.bound()
        ));
        for Traffic { counts, .. } in traffic {
            let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
            self.say(format!(
                "answered 503 {} times and not at all {} times; slowest answer {} ms",
                count(&counts.unavailable),
                count(&counts.unanswered),
                count(&counts.slowest_ms)
            ));
        }
    }
}

impl Outcome {
    fn ends(&mut self, statuses: &BTreeMap<String, String>) {
        let failed = statuses.values().filter(|status| *status == "FAILED").count();
        self.failed += failed;
        self.delivered += statuses.len() - failed;
    }

    fn compare(&mut self, sent: &Conversation, orders: &mut BTreeMap<String, Vec<String>>) {
        let order = orders.remove(&sent.accepted[0]).unwrap_or_default();
        let arrived: BTreeSet<&String> = order.iter().collect();
        self.lost += sent.accepted.iter().filter(|id| !arrived.contains(id)).count();
        self.reordered += usize::from(order != sent.accepted);
    }
}

/// How each message of a conversation has ended, once all have.
async fn statuses(cluster: &Cluster, of: &Conversation) -> BTreeMap<String, String> {
    let api = cluster.url(Role::Api);
    let url = format!("{api}/v1/conversations/{}/messages?limit=100", of.id);
    assert!(of.accepted.len() <= 100, "one page holds a conversation");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    eventually(&format!("all messages of {} have ended", of.id), async || {
        let page = cluster.http.get(&url).await?;
        let messages = page["messages"].as_array()?.iter();
        let ended: BTreeMap<String, String> = messages
            .map(|message| (text(&message["message_id"]), text(&message["status"])))
            .filter(|(_, status)| matches!(status.as_str(), "DELIVERED" | "READ" | "FAILED"))
            .collect();
        of.accepted.iter().all(|id| ended.contains_key(id)).then_some(ended)
    })
    .await
}
