//! No message without an outcome (I1): judges what has none after its life has ended.
//!
//! For each partition of `status-updates` that is ours it rolls over the store's open messages, from
//! the oldest on. One that is due gets a [`Ticket`], which follows the proof that nothing about the
//! message is still on its way; then a verdict is appended to `status-updates` like any other
//! status. A message that waits before the router or a connector is not judged: it will get its
//! outcome there. A verdict of ours stands below any proof of acceptance, so a late SENT wins.

mod stages;
mod ticket;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use chat4all_contracts::{
    EpochMs, Generation, MessageId, PlatformName, Reason, Status, StatusUpdate, partition, topic,
};
use chat4all_eventlog::{
    AppendError, EventLog, LogError, Producer, TopicPartition, append, topology,
};
use chat4all_process::Clock;
use chat4all_process::metric::Metric;
use chat4all_store::open::is_open;
use chat4all_store::{MessageStore, OpenPlace, Shards, StoreError, StoredMessage, Tenant};
use thiserror::Error;
use tokio::time::{MissedTickBehavior, interval};

use crate::SERVICE;
use crate::held::Held;
use stages::{Commits, Stages};
use ticket::{Known, Stage, Ticket, has_passed, verdict};

/// The verdicts.
pub(crate) const VERDICTS: [Reason; 3] = [Reason::Expired, Reason::InDoubt, Reason::Lost];

/// How far back open messages are looked for: longer than the store keeps them at least.
const LOOK_BACK: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How many pages of open messages are read at one look, for each partition.
const PAGES: usize = 10;

/// How many messages a page looks at.
const PAGE: usize = 100;

/// The most tickets. What finds no room is found again by a later roll.
const MOST_TICKETS: usize = 2_000;

/// The most tickets of one platform, so that its backlog leaves room for the others.
const MOST_TICKETS_OF_PLATFORM: usize = 200;

/// Why a look was not finished. The next one goes on.
#[derive(Debug, Error)]
enum Trouble {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// What it works with, and how.
pub(crate) struct Parts {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) store: Arc<dyn MessageStore>,
    pub(crate) producer: Arc<dyn Producer>,
    pub(crate) clock: Clock,
    pub(crate) tenant: Tenant,
    pub(crate) held: Held,
    /// How often it looks.
    pub(crate) every: Duration,
    /// How long after a message's life it is due.
    pub(crate) grace: Duration,
    /// How long after its life a message may wait before the router or a connector until it counts
    /// as abandoned: nobody reads there any more. Less than the store keeps it.
    pub(crate) abandoned: Duration,
}

/// A message in one of its lives.
type Life = (MessageId, Generation);

/// See the module.
pub(crate) struct Reconciler {
    parts: Parts,
    stages: Stages,
    tickets: BTreeMap<Life, Ticket>,
    /// Where the roll over each partition's open messages goes on.
    rolls: BTreeMap<u32, OpenPlace>,
    /// The partition whose turn it is.
    turn: u32,
}

impl Reconciler {
    pub(crate) fn new(parts: Parts) -> Self {
        let stages = Stages::new(parts.log.clone());
        Self { parts, stages, tickets: BTreeMap::new(), rolls: BTreeMap::new(), turn: 0 }
    }

    /// Looks from time to time, for ever.
    pub(crate) async fn run(mut self) -> Infallible {
        let mut ticks = interval(self.parts.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "open messages could not be judged; the next look goes on");
            }
        }
    }

    async fn look(&mut self) -> Result<(), Trouble> {
        let ours = self.parts.held.partitions(topic::STATUS_UPDATES);
        self.tickets.retain(|_, ticket| ours.contains(&ticket.partition));
        self.rolls.retain(|number, _| ours.contains(number));
        let now = self.now();
        self.past_the_router().await?;
        self.past_the_connectors(now).await?;
        self.judge().await?;
        // The look after one that failed begins behind it, so that nobody starves.
        let (before, from): (Vec<u32>, Vec<u32>) = ours.iter().partition(|n| **n < self.turn);
        for number in from.into_iter().chain(before) {
            self.turn = number + 1;
            self.roll(number, now).await?;
        }
        Ok(())
    }

    /// The time by which a message is due: both this machine's clock and the log must have reached
    /// it, so that a clock that jumps ahead judges nothing early.
    fn now(&self) -> EpochMs {
        self.parts.clock.now().min(self.parts.held.log_time())
    }

    async fn past_the_router(&mut self) -> Result<(), Trouble> {
        let waiting = self.tickets.values().filter_map(|ticket| match &ticket.stage {
            Stage::Routing((at, _)) => Some(at.clone()),
            _ => None,
        });
        let routed = self.stages.routed(waiting.collect()).await?;
        let mut ends = BTreeMap::new();
        for ticket in self.tickets.values_mut() {
            let Stage::Routing(end) = &ticket.stage else { continue };
            if !all_passed(&routed, std::slice::from_ref(end)) {
                continue;
            }
            // Read after the router's commit: what it has appended lies before.
            if !ends.contains_key(&ticket.platform) {
                let of_platform = self.stages.outbound_ends(&ticket.platform).await?;
                ends.insert(ticket.platform.clone(), of_platform);
            }
            let of_platform = ends.get(&ticket.platform).cloned().unwrap_or_default();
            ticket.stage = Stage::Delivering(of_platform);
        }
        Ok(())
    }

    async fn past_the_connectors(&mut self, now: EpochMs) -> Result<(), Trouble> {
        let mut waiting: BTreeMap<Box<str>, BTreeSet<TopicPartition>> = BTreeMap::new();
        for ticket in self.tickets.values() {
            if let Stage::Delivering(ends) = &ticket.stage {
                let of_platform = waiting.entry(ticket.platform.clone()).or_default();
                of_platform.extend(ends.iter().map(|(at, _)| at.clone()));
            }
        }
        let mut delivered = BTreeMap::new();
        for (platform, partitions) in waiting {
            let commits = self.stages.delivered(&platform, partitions).await?;
            delivered.insert(platform, commits);
        }
        let abandoned = self.parts.abandoned;
        let mut known = Vec::new();
        for (life, ticket) in &self.tickets {
            let passed = match (&ticket.stage, delivered.get(&ticket.platform)) {
                (Stage::Delivering(ends), Some(commits)) => all_passed(commits, ends),
                _ => false,
            };
            if passed {
                known.push((life.clone(), Known::Passed));
            } else if ticket.is_in_backlog() && now.since(ticket.expires_at) >= abandoned {
                known.push((life.clone(), Known::Abandoned));
            }
        }
        self.await_projection(known).await
    }

    /// Lets tickets wait until everything that is in `status-updates` by now is in the store.
    async fn await_projection(&mut self, lives: Vec<(Life, Known)>) -> Result<(), Trouble> {
        let tickets = lives.iter().filter_map(|(life, _)| self.tickets.get(life));
        let partitions: BTreeSet<_> = tickets.map(|ticket| status_at(ticket.partition)).collect();
        let ends: BTreeMap<_, _> = self.stages.ends(partitions).await?.into_iter().collect();
        for (life, known) in lives {
            let Some(ticket) = self.tickets.get_mut(&life) else { continue };
            if let Some(end) = ends.get(&status_at(ticket.partition)) {
                ticket.stage = Stage::Projecting { end: *end, known };
            }
        }
        Ok(())
    }

    async fn judge(&mut self) -> Result<(), Trouble> {
        let projected = self.tickets.iter().filter_map(|(life, ticket)| match ticket.stage {
            Stage::Projecting { end, known } => {
                let position = self.parts.held.position(&status_at(ticket.partition))?;
                (position >= end).then(|| (life.clone(), known))
            }
            Stage::Routing(_) | Stage::Delivering(_) => None,
        });
        let projected: Vec<_> = projected.collect();
        for (life, known) in projected {
            let found = match self.parts.store.message(&self.parts.tenant, &life.0).await {
                Err(error @ StoreError::Unreadable(_)) => {
                    // The others are not to wait for somebody who repairs this one.
                    tracing::warn!(message_id = life.0.as_str(), %error, "cannot be judged");
                    None
                }
                found => found?,
            };
            let current = found.filter(|stored| stored.state.generation == life.1);
            let judged = current.and_then(|stored| {
                let reason = verdict(stored.state.status(), known)?;
                Some((stored, reason))
            });
            if let Some((stored, reason)) = judged {
                self.append(&stored, reason).await?;
            }
            self.tickets.remove(&life);
        }
        Ok(())
    }

    async fn append(&mut self, stored: &StoredMessage, reason: Reason) -> Result<(), Trouble> {
        let partitions = self.stages.status_partitions().await?;
        let now = self.parts.clock.now();
        let update = verdict_on(stored, reason, now);
        let record = topology::status_update(&update, partitions, now);
        append(&*self.parts.producer, record).await?;
        Metric::MessagesJudged.count(SERVICE, &[reason.word()]);
        let message_id = update.message_id.as_str();
        if reason == Reason::Lost {
            tracing::error!(message_id, "a message disappeared between two stages");
        } else {
            tracing::info!(message_id, %reason, "a message ended without an outcome");
        }
        Ok(())
    }

    /// Gives tickets to messages of a partition that are due, from where the last look ended.
    async fn roll(&mut self, number: u32, now: EpochMs) -> Result<(), Trouble> {
        let partitions = self.stages.status_partitions().await?;
        let shards = Shards::of_partition(number, partitions);
        let due = minus(now, self.parts.grace);
        let start = OpenPlace::before(minus(now, LOOK_BACK));
        let mut place = self.rolls.get(&number).unwrap_or(&start).clone();
        for _ in 0..PAGES {
            let Parts { store, tenant, .. } = &self.parts;
            let page = store.open(tenant, shards, &place, due, PAGE).await?;
            for stored in page.messages {
                let key = stored.message.message_id.as_str().as_bytes();
                let is_ours = partition::for_key(key, partitions) == number;
                if is_ours && stored.message.expires_at < due {
                    self.open_ticket(&stored, number).await?;
                }
            }
            let Some(next) = page.next else {
                self.rolls.insert(number, start);
                return Ok(());
            };
            // Page by page: a store that fails amid a look would see the same pages at each.
            self.rolls.insert(number, next.clone());
            place = next;
        }
        Ok(())
    }

    async fn open_ticket(&mut self, stored: &StoredMessage, number: u32) -> Result<(), Trouble> {
        let StoredMessage { message, state } = stored;
        let life = (message.message_id.clone(), message.generation);
        let platform = message.receiver_id.platform();
        let of_platform =
            self.tickets.values().filter(|ticket| &*ticket.platform == platform).count();
        if self.tickets.contains_key(&life)
            || self.tickets.len() >= MOST_TICKETS
            || of_platform >= MOST_TICKETS_OF_PLATFORM
            || state.generation != message.generation
            || !is_open(state.status())
        {
            return Ok(());
        }
        // Both ends are read after the row was seen, and the row after its message was in the log.
        // A message that will be called again has not had its connector's last word.
        let is_last_word =
            state.status() == Status::Unknown && state.reason() != Some(Reason::PossibleDuplicate);
        let stage = if is_last_word {
            let end = self.parts.log.bounds(&status_at(number)).await?.end;
            Stage::Projecting { end, known: Known::InDoubt }
        } else {
            let at = self.stages.routed_at(message.conversation_id.as_str()).await?;
            let end = self.parts.log.bounds(&at).await?.end;
            Stage::Routing((at, end))
        };
        self.tickets.insert(life, Ticket::new(message, number, stage));
        Ok(())
    }
}

fn status_at(number: u32) -> TopicPartition {
    TopicPartition::new(topic::STATUS_UPDATES, number)
}

fn all_passed(commits: &Commits, ends: &[ticket::End]) -> bool {
    ends.iter().all(|(at, end)| {
        let committed = commits.get(at).and_then(Option::as_ref);
        has_passed(committed, *end)
    })
}

fn minus(at: EpochMs, duration: Duration) -> EpochMs {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    EpochMs::saturating(at.as_ms().saturating_sub(ms))
}

fn verdict_on(stored: &StoredMessage, reason: Reason, now: EpochMs) -> StatusUpdate {
    let message = &stored.message;
    let mut update = StatusUpdate::minimal(message.message_id.clone(), Status::Failed, now);
    update.conversation_id = Some(message.conversation_id.clone());
    update.accepted_at = Some(message.accepted_at);
    update.expires_at = Some(message.expires_at);
    update.generation = message.generation;
    update.platform = PlatformName::new(message.receiver_id.platform()).ok();
    update.account = message.account.clone();
    update.reason = Some(reason);
    update
}
