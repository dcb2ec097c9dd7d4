//! What operators want of the accounts, and what each account shows of itself: shared between the
//! gateways, which obey and show, and the account desk, which reads orders and publishes states.
//!
//! Shared values and not messages, because a gateway that is replaced must find at once that its
//! account is paused: no call starts before every order in the log has been read (I4).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chat4all_contracts::{AccountCondition, AccountName, EpochMs, PlatformSpec};
use tokio::sync::Notify;

/// What an operator last wanted of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// Whether no call may start.
    pub paused: bool,
    /// The offset of the last command.
    pub applied: Option<u64>,
}

/// What can be told of an account without looking through what it has parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sign {
    /// What its gateway does.
    pub condition: AccountCondition,
    /// Messages that wait.
    pub parked: usize,
    /// Calls under way.
    pub in_flight: usize,
}

impl Sign {
    /// Nothing happens.
    pub const IDLE: Self = Self { condition: AccountCondition::Active, parked: 0, in_flight: 0 };

    /// Whether the difference is worth telling soon: numbers alone change all the time.
    pub fn differs_much(&self, other: &Self) -> bool {
        self.condition != other.condition || (self.in_flight == 0) != (other.in_flight == 0)
    }
}

/// Everything about an account at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// What its gateway does, and with how much.
    pub sign: Sign,
    /// When it is tried again.
    pub until: Option<EpochMs>,
    /// Its pace, in calls a second.
    pub per_second: f64,
    /// Calls that failed in a row.
    pub failures: u64,
    /// When the oldest message that waits was accepted.
    pub oldest_parked_at: Option<EpochMs>,
    /// What the platform said when it last refused the account.
    pub refusal: Option<String>,
}

#[derive(Debug)]
struct Account {
    partition: u32,
    orders: Orders,
    sign: Sign,
    /// Whether the desk has been told that there is something new.
    is_new: bool,
}

#[derive(Debug)]
struct State {
    /// Whether every order that was in the log has been read.
    has_read: bool,
    accounts: BTreeMap<AccountName, Account>,
    owned: BTreeSet<u32>,
}

/// Cheap to clone; clones share it.
#[derive(Clone, Debug)]
pub struct Steering {
    state: Arc<Mutex<State>>,
    news: Arc<Notify>,
}

impl Steering {
    /// The accounts of a platform, none of which may start a call yet.
    pub fn new(spec: &PlatformSpec) -> Self {
        let account = |partition| Account {
            partition,
            orders: Orders::default(),
            sign: Sign::IDLE,
            is_new: false,
        };
        let accounts =
            spec.accounts.iter().map(|(name, spec)| (name.clone(), account(spec.partition)));
        let accounts = accounts.collect();
        let state = State { has_read: false, accounts, owned: BTreeSet::new() };
        Self { state: Arc::new(Mutex::new(state)), news: Arc::new(Notify::new()) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is a single assignment or insertion.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a call of the account may start, as far as operators are concerned.
    pub fn may_start(&self, account: &AccountName) -> bool {
        let state = self.state();
        state.has_read && state.accounts.get(account).is_some_and(|found| !found.orders.paused)
    }

    /// Whether an operator has paused the account.
    pub fn is_paused(&self, account: &AccountName) -> bool {
        self.state().accounts.get(account).is_some_and(|found| found.orders.paused)
    }

    /// Shows how an account is; the desk is woken if that is news.
    pub fn show(&self, account: &AccountName, sign: Sign) {
        let mut state = self.state();
        let Some(found) = state.accounts.get_mut(account) else { return };
        let is_news = found.sign.differs_much(&sign) || (!found.is_new && found.sign != sign);
        found.sign = sign;
        found.is_new |= is_news;
        drop(state);
        if is_news {
            self.news.notify_one();
        }
    }

    /// Resolves when [`Steering::show`] or [`Steering::own`] had news since the last time.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// The accounts.
    pub fn accounts(&self) -> Vec<AccountName> {
        self.state().accounts.keys().cloned().collect()
    }

    /// Whether this is an account of ours.
    pub fn has(&self, account: &AccountName) -> bool {
        self.state().accounts.contains_key(account)
    }

    /// Obeys an order from now on.
    pub fn order(&self, account: &AccountName, orders: Orders) {
        if let Some(found) = self.state().accounts.get_mut(account) {
            found.orders = orders;
        }
    }

    /// Every order that was in the log has been read.
    pub fn has_read(&self) {
        self.state().has_read = true;
    }

    /// What was last wanted of an account, and what it shows.
    pub fn look(&self, account: &AccountName) -> Option<(Orders, Sign)> {
        self.state().accounts.get(account).map(|found| (found.orders, found.sign))
    }

    /// What the account shows has been taken note of.
    pub fn noted(&self, account: &AccountName) {
        if let Some(found) = self.state().accounts.get_mut(account) {
            found.is_new = false;
        }
    }

    /// The accounts of this partition are ours to speak of.
    pub fn own(&self, partition: u32) {
        self.state().owned.insert(partition);
        self.news.notify_one();
    }

    /// The accounts of this partition are somebody else's now.
    pub fn disown(&self, partition: u32) {
        self.state().owned.remove(&partition);
    }

    /// A new membership has no partitions yet.
    pub fn disown_all(&self) {
        self.state().owned.clear();
    }

    /// Whether this process is the one that says how the account is.
    pub fn speaks_for(&self, account: &AccountName) -> bool {
        let state = self.state();
        state.accounts.get(account).is_some_and(|found| state.owned.contains(&found.partition))
    }
}
