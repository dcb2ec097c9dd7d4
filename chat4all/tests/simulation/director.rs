//! The faults that are events of a life rather than of a call: each planned one happens once, at a
//! time of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chat4all::installation::{Installation, Served};
use chat4all::system::{Parts, connector};
use chat4all_connector_kit::ConnectorError;
use chat4all_contracts::{EpochMs, PlatformName};
use chat4all_eventlog::EventLog;
use chat4all_eventlog::faulty::{FaultyLog, Gate};
use chat4all_process::http_client::HttpPort;
use chat4all_process::{Clock, Random, Shutdown};
use tokio::sync::watch as channel;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

use crate::faults::{Dice, Fault};
use crate::log_faults::{LogFaults, SESSION};
use crate::platform_faults::Calls;
use crate::store_faults::StoreFaults;
use crate::watch::Watch;

/// Within this time of a life its events begin.
const BEGIN_WITHIN: Duration = Duration::from_secs(15);

/// What the events of a life happen to. Everything outlives none of its parts.
pub struct Stage {
    pub dice: Dice,
    pub watch: Watch,
    pub random: Random,
    pub clock: Clock,
    /// The log itself, and as the system sees it.
    pub bare_log: Arc<dyn EventLog>,
    pub system_log: Arc<FaultyLog>,
    pub store_faults: Arc<StoreFaults>,
    /// What a second connector stands on.
    pub parts: Parts,
    pub calls: Calls,
    pub served: Vec<(PlatformName, Arc<ServedRef>)>,
    pub moving: Arc<Gate>,
    pub down: channel::Sender<Option<String>>,
    pub processes: AtomicU64,
}

/// A platform as a second connector serves it.
pub struct ServedRef(pub Arc<Installation>, pub PlatformName);

impl ServedRef {
    fn served(&self) -> &Served {
        &self.0.served[&self.1]
    }

    fn group(&self) -> &str {
        &self.served().source.group
    }
}

/// A connector beside the system's.
struct Member {
    log: Arc<FaultyLog>,
    faults: Arc<LogFaults>,
    group: String,
    killed: Arc<Gate>,
    shutdown: Shutdown,
    task: JoinHandle<Result<(), ConnectorError>>,
}

impl Member {
    /// Nothing that it does has an effect any more, and its group misses it at once. Its actors are
    /// left alone: a dead process runs no destructors.
    fn kill(self) {
        self.faults.kill();
        self.log.cut_off(&self.group);
        self.log.evict(&self.group);
        self.killed.set(true);
    }

    async fn stop(self, stage: &Stage) {
        self.shutdown.trigger();
        match self.task.await {
            Ok(Ok(())) => {}
            other => stage.watch.object("a connector stops in peace", None, format!("{other:?}")),
        }
    }
}

impl Stage {
    /// Begins the events of this life; they end by themselves.
    pub fn begin(self: Arc<Self>) -> JoinSet<()> {
        let mut events = JoinSet::new();
        let planned = [
            Fault::Outage,
            Fault::StoreAway,
            Fault::Rebalance,
            Fault::Kill,
            Fault::Zombie,
            Fault::Freeze,
            Fault::ClockForward,
            Fault::ClockBack,
        ];
        let mut connectors = Vec::new();
        for fault in planned {
            if !self.dice.plans(fault) {
                continue;
            }
            let stage = self.clone();
            let begin = self.random.duration_between(Duration::ZERO, BEGIN_WITHIN);
            // Of what happens to members of groups, one after the other.
            if [Fault::Rebalance, Fault::Kill, Fault::Zombie, Fault::Freeze].contains(&fault) {
                connectors.push((begin, fault));
                continue;
            }
            events.spawn(async move {
                sleep(begin).await; // sleep: the event's own time
                stage.happen(fault).await;
            });
        }
        connectors.sort();
        events.spawn(async move {
            for (begin, fault) in connectors {
                sleep(begin / 2).await; // sleep: as above
                self.happen(fault).await;
            }
        });
        events
    }

    async fn happen(&self, fault: Fault) {
        self.dice.count(fault, 1);
        match fault {
            Fault::Outage => self.outage().await,
            Fault::StoreAway => {
                let until = Instant::now() + self.seconds(2, 20);
                self.watch.remark("the store is away");
                self.store_faults.be_away_until(until);
            }
            Fault::Rebalance => {
                let member = self.join(&self.any_platform());
                sleep(self.seconds(1, 12)).await; // sleep: the member's life
                member.stop(self).await;
            }
            Fault::Kill => {
                let member = self.join(&self.any_platform());
                sleep(self.seconds(1, 8)).await; // sleep: as above
                self.watch.remark("the second connector is killed");
                member.kill();
            }
            Fault::Zombie => self.zombie().await,
            Fault::Freeze => self.freeze().await,
            Fault::ClockForward => {
                let jump = self.seconds(1, 90);
                self.watch.jump("forward");
                self.clock.set(self.clock.now().plus(jump));
            }
            Fault::ClockBack => {
                let jump = self.seconds(1, 90).as_millis() as u64;
                self.watch.jump("back");
                let now = self.clock.now().as_ms();
                self.clock.set(EpochMs::saturating(now.saturating_sub(jump)));
            }
            _ => {}
        }
    }

    fn seconds(&self, low: u64, high: u64) -> Duration {
        self.random.duration_between(Duration::from_secs(low), Duration::from_secs(high))
    }

    fn any_platform(&self) -> Arc<ServedRef> {
        let index = self.random.between(0, self.served.len() as u64 - 1) as usize;
        self.served[index].1.clone()
    }

    async fn outage(&self) {
        let (name, _) = &self.served[self.random.between(0, self.served.len() as u64 - 1) as usize];
        self.watch.remark(&format!("{name} is down"));
        self.down.send_replace(Some(name.as_str().to_owned()));
        sleep(self.seconds(5, 120)).await; // sleep: the outage
        self.watch.remark(&format!("{name} is up"));
        self.down.send_replace(None);
    }

    /// A second connector of a platform joins its group.
    fn join(&self, of: &ServedRef) -> Member {
        let process = self.processes.fetch_add(1, Ordering::Relaxed) + 1;
        self.watch.remark(&format!("process {process} joins {}", of.group()));
        let faults = Arc::new(LogFaults::new(process, self.dice.clone(), self.watch.clone()));
        let log = FaultyLog::new(self.bare_log.clone(), faults.clone());
        let killed = Arc::new(Gate::new(false));
        let calls = Calls { process, killed: killed.clone(), ..self.calls.clone() };
        let http: Arc<dyn HttpPort> = Arc::new(calls);
        let parts = Parts { log: log.clone(), http, ..self.parts.clone() };
        let shutdown = Shutdown::new();
        let connector = connector(of.served(), &of.0, &parts);
        let task = tokio::spawn(connector.run(shutdown.clone()));
        let group = of.group().to_owned();
        Member { log, faults, group, killed, shutdown, task }
    }

    /// An owner that is cut off from its group goes on as well as it can, while another takes over.
    async fn zombie(&self) {
        let of = self.any_platform();
        let member = self.join(&of);
        sleep(self.seconds(1, 5)).await; // sleep: until the partitions are shared
        let log = if self.random.chance(1, 2) { &self.system_log } else { &member.log };
        self.watch.remark("an owner is cut off from its group");
        log.cut_off(of.group());
        sleep(SESSION).await; // sleep: the group's patience
        self.watch.remark("its partitions are given away");
        log.evict(of.group());
        sleep(self.seconds(0, 10)).await; // sleep: while another has them
        self.reconnect(log, of.group()).await;
        sleep(self.seconds(1, 5)).await; // sleep: until they are shared again
        member.stop(self).await;
    }

    async fn reconnect(&self, log: &FaultyLog, group: &str) {
        self.watch.remark("the owner is back");
        if let Err(error) = log.reconnect(group).await {
            self.watch.object("a member comes back", None, error.to_string());
        }
    }

    /// Everything of the system's connectors stands still: calls, groups, commits.
    async fn freeze(&self) {
        let long = self.seconds(1, 25);
        let groups: Vec<&str> = self.served.iter().map(|(_, of)| of.group()).collect();
        self.watch.remark("the connectors freeze");
        self.moving.set(false);
        groups.iter().for_each(|group| self.system_log.cut_off(group));
        sleep(long.min(SESSION)).await; // sleep: the freeze
        if long > SESSION {
            groups.iter().for_each(|group| self.system_log.evict(group));
            sleep(long - SESSION).await; // sleep: as above
        }
        self.watch.remark("the connectors thaw");
        self.moving.set(true);
        for group in groups {
            self.reconnect(&self.system_log, group).await;
        }
    }
}
