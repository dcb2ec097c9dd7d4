//! The companion: one loop over orders, news and time.

use std::collections::BTreeMap;
use std::future::pending;
use std::time::Duration;

use chat4all_contracts::{AccountName, AccountOrder, AccountState};
use chat4all_eventlog::{Fed, Feed, Record, topology};
use chat4all_process::Shutdown;
use chat4all_process::metric::{Contribution, Metric};
use ractor::rpc::CallResult;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::DeskArgs;
use super::orders::{Book, Said, read};
use super::publishing::Published;
use crate::gateway::GatewayMsg;
use crate::status_publisher::publish_until_acked;
use crate::steering::{Orders, Snapshot, Steering};

/// How long a gateway may take to say how it is.
const SNAPSHOT: Duration = Duration::from_secs(1);

pub(super) struct Desk {
    args: DeskArgs,
    feed: Feed,
    /// What is wanted; while the log is read from its start, what has been read of it.
    book: Book,
    reading: bool,
    /// Whether everything has been read once.
    has_read: bool,
    /// Behind the last record that was read.
    end: u64,
    /// Breakers to close once everything has been read.
    to_close: Vec<AccountName>,
    published: BTreeMap<AccountName, Published>,
    under_way: JoinSet<AccountName>,
    paused: Contribution,
}

impl Desk {
    pub(super) fn new(args: DeskArgs) -> Self {
        let feed = Feed::new(args.log.clone(), topology::accounts(), args.random.fork());
        let published = |account| (account, Published::default());
        let published = args.steering.accounts().into_iter().map(published).collect();
        let platform = args.platform.as_str();
        let paused = Contribution::new(Metric::AccountsPaused, args.service, &[platform]);
        Self {
            args,
            feed,
            book: Book::default(),
            reading: true,
            has_read: false,
            end: 0,
            to_close: Vec::new(),
            published,
            under_way: JoinSet::new(),
            paused,
        }
    }

    fn steering(&self) -> &Steering {
        &self.args.steering
    }

    /// Runs until `closing`, then publishes what has not been said yet.
    pub(super) async fn run(mut self, closing: &Shutdown) {
        loop {
            let due = self.publish_what_is_due(false).await;
            let wait = async {
                match due {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                () = closing.wait() => break,
                Some(done) = self.under_way.join_next() => self.acknowledged(done.ok()),
                fed = self.feed.next() => self.fed(fed),
                () = self.args.steering.news() => {}
                () = wait => {}
            }
        }
        while let Some(done) = self.under_way.join_next().await {
            self.acknowledged(done.ok());
        }
        self.publish_what_is_due(true).await;
        while self.under_way.join_next().await.is_some() {}
    }

    fn fed(&mut self, fed: Fed) {
        match fed {
            Fed::Began => {
                self.reading = true;
                self.book = Book::default();
            }
            Fed::Records(records) => records.iter().for_each(|record| self.record(record)),
            Fed::CaughtUp => self.caught_up(),
        }
    }

    fn record(&mut self, record: &Record) {
        let (service, platform) = (self.args.service, self.args.platform.as_str());
        // What was there before we were has been followed, or is no longer worth it.
        let is_new = self.has_read && (!self.reading || record.offset >= self.end);
        self.end = self.end.max(record.offset + 1);
        let command = match read(record, &self.args.platform) {
            Said::Command(command) if self.steering().has(&command.account) => command,
            Said::Nothing => return,
            Said::Command(_) | Said::Unreadable => {
                if is_new {
                    Metric::AccountCommands.count(service, &[platform, "ignored"]);
                }
                return;
            }
        };
        let orders = self.book.enter(&command, record.offset);
        if is_new {
            Metric::AccountCommands.count(service, &[platform, command.command.word()]);
            tracing::info!(
                account = %command.account,
                command = command.command.word(),
                by = command.by,
                "an operator's command"
            );
        }
        if self.reading {
            let closes = command.command == AccountOrder::CloseBreaker;
            // Our breakers are as old as we are: what was wanted of earlier ones is over.
            self.to_close.extend((closes && is_new).then_some(command.account));
        } else {
            self.steering().order(&command.account, orders);
            self.count_paused();
            self.tell(&command.account, command.command);
        }
    }

    /// From now on the orders hold, and the gateways may start what they allow.
    fn caught_up(&mut self) {
        (self.reading, self.has_read) = (false, true);
        for account in self.steering().accounts() {
            self.steering().order(&account, self.book.of(&account));
        }
        self.steering().has_read();
        self.count_paused();
        for account in self.steering().accounts() {
            self.tell(&account, AccountOrder::Resume);
        }
        for account in std::mem::take(&mut self.to_close) {
            self.tell(&account, AccountOrder::CloseBreaker);
        }
    }

    fn count_paused(&mut self) {
        let steering = &self.args.steering;
        let paused = steering.accounts().iter().filter(|name| steering.is_paused(name)).count();
        self.paused.set(paused);
    }

    /// Makes a gateway look.
    fn tell(&self, account: &AccountName, order: AccountOrder) {
        if let Some(gateway) = self.args.directory.gateway(account) {
            // One that is gone is replaced by one that looks by itself.
            let _gone = gateway.send_message(GatewayMsg::Ordered(order));
        }
    }

    fn acknowledged(&mut self, account: Option<AccountName>) {
        if let Some(published) = account.and_then(|name| self.published.get_mut(&name)) {
            published.acknowledged();
        }
    }

    /// Publishes the states that are due, at the end those that say something new; answers when
    /// the next one is. Before the orders are known nothing is said: a paused account would be
    /// called active, and so would accounts that nobody calls because the log cannot be read.
    async fn publish_what_is_due(&mut self, is_last: bool) -> Option<Instant> {
        if !self.has_read {
            return None;
        }
        let mut next: Option<Instant> = None;
        for account in self.steering().accounts() {
            let Some((orders, sign)) = self.steering().look(&account) else { continue };
            let speaks = self.steering().speaks_for(&account);
            let Some(published) = self.published.get_mut(&account) else { continue };
            if !speaks {
                published.forget();
                continue;
            }
            let now = Instant::now();
            let Some(due) = published.due(orders, sign, now) else { continue };
            let is_due = if is_last { published.is_outdated(orders, sign) } else { due <= now };
            let due = match is_due {
                true if self.publish(account, orders).await => continue,
                true => now + SNAPSHOT,
                false => due,
            };
            next = Some(next.map_or(due, |earlier| earlier.min(due)));
        }
        next
    }

    /// `false` if the gateway does not say how it is: it is being replaced.
    async fn publish(&mut self, account: AccountName, orders: Orders) -> bool {
        self.steering().noted(&account);
        let Some(snapshot) = self.snapshot(&account).await else { return false };
        let Snapshot { sign, until, per_second, failures, oldest_parked_at, refusal } = snapshot;
        let now = self.args.clock.now();
        let Some(published) = self.published.get_mut(&account) else { return false };
        let since = published.begin(orders, sign, Instant::now(), now);
        let state = AccountState {
            platform: self.args.platform.clone(),
            account: account.clone(),
            state: sign.condition,
            since,
            until,
            parked: sign.parked as u64,
            in_flight: sign.in_flight as u64,
            per_second: Some(per_second),
            consecutive_failures: failures,
            oldest_parked_at,
            detail: refusal.as_deref().and_then(AccountState::detail),
            applied: orders.applied,
            at: now,
            owner: self.args.owner.clone(),
        };
        let (directory, random) = (self.args.directory.clone(), self.args.random.clone());
        self.under_way.spawn(async move {
            publish_until_acked(&directory, vec![topology::account_state(&state)], &random).await;
            account
        });
        true
    }

    async fn snapshot(&self, account: &AccountName) -> Option<Snapshot> {
        let gateway = self.args.directory.gateway(account)?;
        match gateway.call(GatewayMsg::Show, Some(SNAPSHOT)).await {
            Ok(CallResult::Success(snapshot)) => Some(snapshot),
            _ => None,
        }
    }
}
