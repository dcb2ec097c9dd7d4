//! When something goes on again: marks are taken, and later everything must have passed its mark.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chat4all_eventlog::kafka::{KafkaLog, KafkaSettings};
use chat4all_eventlog::{EventLog, TopicPartition};
use tokio::time::{Instant, sleep, timeout};

use super::act::Way;
use super::setup;
use super::shared::Shared;
use crate::harness::{Group, Role};

/// How long anything may take to go on after what was done to it.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// How often somebody looks whether it does.
const LOOK: Duration = Duration::from_millis(50);

/// Where something stood.
#[derive(Clone, Debug)]
pub enum Mark {
    /// A group, in each of its partitions: position and note.
    Group(Role, BTreeMap<TopicPartition, (u64, String)>),
    /// So many messages had been accepted.
    Accepted(u64),
    /// So many that need a claim in the store.
    Claimed(u64),
    /// The ledger had counted so many: of what, and of which platform.
    Total(&'static str, Option<&'static str>, u64),
    /// The ledger of a platform went so far; what an account calls after that counts.
    Account(&'static str, String, u64),
}

/// See the module.
pub struct Recovery {
    kafka: SocketAddrV4,
    log: Arc<KafkaLog>,
    shared: Shared,
}

/// What there is to see, if there is something in time.
pub async fn within<T>(limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let looked = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            sleep(LOOK).await;
        }
    };
    timeout(limit, looked).await.ok()
}

impl Recovery {
    /// Asks Kafka at an address.
    pub fn new(kafka: SocketAddrV4, shared: Shared) -> Self {
        let bootstrap_servers = kafka.to_string();
        let settings = KafkaSettings { bootstrap_servers, ..KafkaSettings::default() };
        let log = KafkaLog::new(&settings, "torture", 1 << 20).expect("clients");
        Self { kafka, log, shared }
    }

    /// What it shares with the other parts.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Where messages stand that clients get accepted.
    pub fn accepted(&self) -> Mark {
        Mark::Accepted(self.shared.counts.accepted.load(Ordering::Relaxed))
    }

    /// Where messages stand that need a claim.
    pub fn claimed(&self) -> Mark {
        Mark::Claimed(self.shared.counts.claimed.load(Ordering::Relaxed))
    }

    /// Where a role stands.
    pub async fn mark(&self, role: Role) -> Mark {
        match role {
            Role::Api => self.accepted(),
            Role::Simulator => self.total("calls", None).await,
            _ => Mark::Group(role, self.positions(role).await),
        }
    }

    /// Where that stands which goes over a wire.
    pub async fn mark_of(&self, way: Way) -> Mark {
        match way {
            Way::Api | Way::Log => self.accepted(),
            Way::Store => self.claimed(),
            Way::Calls(platform) => self.total("calls", Some(platform)).await,
            Way::Receipts(platform) => self.total("receipts_answered", Some(platform)).await,
        }
    }

    /// Where accounts of a platform stand; `None` = all of them.
    pub async fn mark_of_accounts(
        &self,
        platform: &'static str,
        account: Option<String>,
    ) -> Vec<Mark> {
        let end = async || self.shared.platforms.end_of_ledger(platform).await;
        let end = within(PATIENCE, end).await.unwrap_or(0);
        let accounts = account.map_or_else(|| setup::ids_of(platform), |one| vec![one]);
        accounts.into_iter().map(|account| Mark::Account(platform, account, end)).collect()
    }

    async fn total(&self, name: &'static str, platform: Option<&'static str>) -> Mark {
        let total = async || self.shared.platforms.total(name, platform).await;
        Mark::Total(name, platform, within(PATIENCE, total).await.unwrap_or(0))
    }

    async fn positions(&self, role: Role) -> BTreeMap<TopicPartition, (u64, String)> {
        let Some(group) = Group::at(self.kafka, role) else { return BTreeMap::new() };
        let committed = group.committed().await.into_iter();
        committed.map(|committed| (committed.at, (committed.position, committed.note))).collect()
    }

    /// Waits until everything has passed its mark, and notes how long that took.
    pub async fn goes_on(&self, kind: &str, marks: Vec<Mark>, since: Instant) {
        for mark in marks {
            let passed = within(PATIENCE, async || self.is_passed(&mark).await.then_some(()));
            if passed.await.is_none() {
                let text = format!("{} after {kind}: not within {PATIENCE:?}", mark.what());
                return self.shared.board.finds("everything goes on after trouble", None, text);
            }
        }
        self.shared.board.recovered(kind, since.elapsed());
    }

    async fn is_passed(&self, mark: &Mark) -> bool {
        let counts = &self.shared.counts;
        match mark {
            Mark::Accepted(before) => counts.accepted.load(Ordering::Relaxed) > *before,
            Mark::Claimed(before) => counts.claimed.load(Ordering::Relaxed) > *before,
            Mark::Total(name, platform, before) => {
                let now = self.shared.platforms.total(name, *platform).await;
                now.is_some_and(|now| now > *before)
            }
            Mark::Account(platform, account, after) => {
                let accepted = self.shared.platforms.has_accepted(platform, account, *after).await;
                accepted.unwrap_or(false)
            }
            Mark::Group(role, before) => {
                let now = self.positions(*role).await;
                for (at, stood) in before {
                    if now.get(at) == Some(stood) && !self.is_at_end(at, stood.0).await {
                        return false;
                    }
                }
                true
            }
        }
    }

    /// Whether nothing is left to do in a partition.
    async fn is_at_end(&self, at: &TopicPartition, position: u64) -> bool {
        self.log.bounds(at).await.is_ok_and(|bounds| bounds.end <= position)
    }

    /// Whether a role has committed everything that there is.
    pub async fn is_done(&self, role: Role) -> bool {
        for (at, (position, _)) in self.positions(role).await {
            if !self.is_at_end(&at, position).await {
                return false;
            }
        }
        true
    }
}

impl Mark {
    fn what(&self) -> String {
        match self {
            Self::Group(role, _) => format!("{} goes on", role.name()),
            Self::Accepted(_) => "messages are accepted".to_owned(),
            Self::Claimed(_) => "messages that need a claim are accepted".to_owned(),
            Self::Account(platform, account, _) => {
                format!("calls of account {account} of {platform} are accepted")
            }
            Self::Total(name, platform, _) => {
                format!("{name} of {} rise", platform.unwrap_or("all platforms"))
            }
        }
    }
}
