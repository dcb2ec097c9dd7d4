//! How often everything occurred that the runs of a command must show together.

use std::collections::{BTreeMap, BTreeSet};

use chat4all_contracts::{Status, topic};

use crate::faults::{Allowed, Fault};
use crate::history::{History, Metrics};
use crate::world::World;

/// Named counts, by kind and name.
#[derive(Clone, Debug, Default)]
pub struct Coverage(BTreeMap<(&'static str, String), u64>);

/// What must occur beside every fault: (kind, names).
const MUST: &[(&str, &[&str])] = &[
    (
        "outcome",
        &[
            "accepted",
            "account",
            "cut off",
            "in_doubt",
            "permanent",
            "retryable",
            "retryable, a probe",
            "throttled",
            "throttled recipient",
        ],
    ),
    ("reason", &["connector_bug", "exhausted", "expired", "in_doubt", "recipient_unreachable"]),
    ("breaker", &["closed", "half_open", "open"]),
    ("restart", &["gateway", "intake", "partition_worker", "status_publisher"]),
    ("event", &["duplicate skipped", "note unusable", "redelivery", "status early"]),
];

impl Coverage {
    pub fn of(world: &World, history: &History, metrics: &Metrics) -> Self {
        let mut all = Self::default();
        all.add("run", "seeds", 1);
        all.add("run", "messages", history.topic(topic::MESSAGES).count() as u64);
        all.outcomes(world);
        all.metrics(history, metrics);
        all.events(history);
        let early = all.get("event", "status early");
        if world.dice.plans(Fault::ReceiptEarly) {
            world.dice.count(Fault::ReceiptEarly, early);
        }
        let lost = history.ledger["totals"]["receipts_lost"].as_u64().unwrap_or(0);
        world.dice.count(Fault::ReceiptLost, lost);
        for (fault, count) in Fault::ALL.iter().zip(world.dice.counts()) {
            all.add("fault", fault.name(), count);
        }
        all
    }

    fn add(&mut self, kind: &'static str, name: &str, count: u64) {
        *self.0.entry((kind, name.to_owned())).or_default() += count;
    }

    pub fn get(&self, kind: &'static str, name: &str) -> u64 {
        self.0.get(&(kind, name.to_owned())).copied().unwrap_or(0)
    }

    pub fn merge(&mut self, other: &Self) {
        for ((kind, name), count) in &other.0 {
            self.add(kind, name, *count);
        }
    }

    fn outcomes(&mut self, world: &World) {
        for ((outcome, probe), count) in world.watch.outcomes() {
            let probed = if probe && outcome == "retryable" { ", a probe" } else { "" };
            self.add("outcome", &format!("{outcome}{probed}"), count);
            self.add("run", "calls", count);
        }
    }

    fn metrics(&mut self, history: &History, metrics: &Metrics) {
        metrics.refresh();
        for (to, count) in metrics.by_label("chat4all_breaker_transitions_total", "to") {
            self.add("breaker", &to, count);
        }
        for (actor, count) in metrics.by_label("chat4all_actor_restarts_total", "actor") {
            self.add("restart", &actor, count);
        }
        let sum = |name, label| -> u64 { metrics.by_label(name, label).values().sum() };
        let skipped = sum("chat4all_duplicates_skipped_total", "platform");
        self.add("event", "duplicate skipped", skipped);
        self.add("event", "note unusable", sum("chat4all_commit_notes_unusable_total", "topic"));
        self.add(
            "event",
            "call outlasts drain",
            sum("chat4all_calls_outlasted_drain_total", "platform"),
        );
        let consumed = metrics.by_label("chat4all_records_consumed_total", "topic");
        let outbound = consumed.iter().filter(|(topic, _)| topic.ends_with("-outbound"));
        let consumed: u64 = outbound.map(|(_, count)| count).sum();
        let appended = history.records.iter().filter(|record| record.topic.ends_with("-outbound"));
        self.add("event", "redelivery", consumed.saturating_sub(appended.count() as u64));
    }

    /// Reasons of failures, and receipts that were in the log before our own report.
    fn events(&mut self, history: &History) {
        let (mut sent, mut early) = (BTreeSet::new(), BTreeSet::new());
        for update in history.statuses() {
            let by_connector = update.attempt.is_some();
            match (update.status, update.reason) {
                (Status::Failed, Some(reason)) => self.add("reason", reason.word(), 1),
                (Status::Sent | Status::Delivered, _) if by_connector => {
                    sent.insert(update.message_id);
                }
                (Status::Delivered | Status::Read, _) if !sent.contains(&update.message_id) => {
                    early.insert(update.message_id);
                }
                _ => {}
            }
        }
        self.add("event", "status early", early.len() as u64);
    }

    /// What must have occurred with these faults and did not.
    pub fn missing(&self, allowed: &Allowed) -> Vec<String> {
        let faults = Fault::ALL.iter().filter(|fault| allowed.contains(**fault));
        let mut missing: Vec<String> = faults
            .filter(|fault| self.get("fault", fault.name()) == 0)
            .map(|fault| format!("fault {}", fault.name()))
            .collect();
        if Fault::ALL.iter().all(|fault| allowed.contains(*fault)) {
            for (kind, names) in MUST {
                let never = names.iter().filter(|name| self.get(kind, name) == 0);
                missing.extend(never.map(|name| format!("{kind} {name}")));
            }
        }
        missing
    }

    /// Every count.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str, u64)> {
        self.0.iter().map(|((kind, name), count)| (*kind, name.as_str(), *count))
    }
}
