//! The processes of a run, and what is done to them.

mod ends;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::act::{Act, SESSION};
use super::recovery::Recovery;
use super::shared::Shared;
use crate::harness::{Cluster, LastMoment, Role, Server, Signal};

/// A call that was under way when its connector died is in the ledger after this.
const LAST_CALLS: Duration = Duration::from_millis(700);
/// No call starts so long after the log went away.
const LEASE: Duration = Duration::from_secs(4);

/// See the module.
pub struct Fleet {
    /// Servers and services.
    pub cluster: Cluster,
    shared: Shared,
    instances: BTreeMap<Role, usize>,
    recovery: Recovery,
}

impl Fleet {
    /// Of a cluster in which every service runs once.
    pub fn new(cluster: Cluster, shared: Shared) -> Self {
        let recovery = Recovery::new(cluster.stack.kafka, shared.clone());
        let instances = Role::SERVICES.into_iter().map(|role| (role, 1)).collect();
        let fleet = Self { cluster, shared, instances, recovery };
        for role in Role::SERVICES {
            fleet.started(role, &role.name());
        }
        fleet
    }

    fn started(&self, role: Role, name: &str) {
        if let Role::Connector(_) = role {
            let port = self.cluster.port_of(name).expect("it was started");
            self.shared.causes.started(name, port);
        }
    }

    /// Does it, and waits until everything has recovered from it.
    pub async fn perform(&mut self, act: &Act) {
        match act {
            Act::Kill { role, which, away } => {
                let name = self.chosen(*role, *which);
                self.kill(&act.kind(), &[(*role, name)], *away).await;
            }
            Act::KillAll { away } => {
                let all = self.all();
                self.kill(&act.kind(), &all, *away).await;
            }
            Act::Restart { role, which } => {
                let gate = Arc::clone(&self.shared.log);
                let _quiet = gate.lock().await;
                let name = self.chosen(*role, *which);
                let began = Instant::now();
                self.terminate(*role, &name).await;
                let mark = self.recovery.mark(*role).await;
                self.spawn(*role, &name).await;
                self.recovery.goes_on(&act.kind(), vec![mark], began).await;
            }
            Act::Freeze { role, which, lasting } => {
                let name = self.chosen(*role, *which);
                self.freeze(&act.kind(), *role, &name, *lasting).await;
            }
            Act::Scale { role, to, hard } => self.scale(&act.kind(), *role, *to, *hard).await,
            Act::KillServer { server, away } => {
                self.server(&act.kind(), *server, Signal::Kill, *away).await;
            }
            Act::FreezeServer { server, lasting } => {
                self.server(&act.kind(), *server, Signal::Stop, *lasting).await;
            }
            Act::Platform { .. } | Act::Network { .. } => {}
        }
    }

    /// The name of an instance of a role.
    fn chosen(&self, role: Role, which: usize) -> String {
        instance(role, which % self.instances.get(&role).copied().unwrap_or(1))
    }

    /// Every instance of every service.
    fn all(&self) -> Vec<(Role, String)> {
        let roles = self.instances.iter();
        roles.flat_map(|(role, count)| (0..*count).map(|n| (*role, instance(*role, n)))).collect()
    }

    async fn spawn(&mut self, role: Role, name: &str) {
        self.cluster.spawn(role, name);
        self.started(role, name);
        self.cluster.named(name).started().await;
        if role == Role::Simulator {
            self.shared.platforms.remind().await;
        }
    }

    async fn kill(&mut self, kind: &str, whom: &[(Role, String)], away: Duration) {
        self.shared.causes.look(&self.cluster.http).await;
        for (_, name) in whom {
            self.cluster.named(name).kill().await;
            self.shared.causes.ended(name, None);
        }
        let died = Instant::now();
        let (mut lasts, mut marks, mut seen) = (Vec::new(), Vec::new(), Vec::new());
        for (role, _) in whom.iter().filter(|(role, _)| *role != Role::Simulator) {
            if seen.contains(role) {
                continue;
            }
            seen.push(*role);
            if let Role::Connector(platform) = role {
                lasts.push(LastMoment::of(&self.cluster, platform).await);
            }
            marks.push(self.recovery.mark(*role).await);
        }
        sleep_until(died + LAST_CALLS).await;
        let lasts = self.with_living(self.with_accepted(lasts).await).await;
        sleep_until(died + away).await;
        let began = Instant::now();
        for (role, name) in whom {
            self.cluster.spawn(*role, name);
            self.started(*role, name);
        }
        for (role, name) in whom {
            self.cluster.named(name).started().await;
            if *role == Role::Simulator {
                self.shared.platforms.remind().await;
                marks.push(self.recovery.mark(*role).await);
            }
        }
        self.examine(lasts, false).await;
        self.recovery.goes_on(kind, marks, began).await;
    }

    async fn freeze(&mut self, kind: &str, role: Role, name: &str, lasting: Duration) {
        self.shared.causes.look(&self.cluster.http).await;
        self.cluster.freeze(name);
        let frozen = Instant::now();
        let mut lasts = Vec::new();
        if let Role::Connector(platform) = role
            && lasting > SESSION
        {
            let last = LastMoment::of(&self.cluster, platform).await;
            sleep_until(frozen + LAST_CALLS).await;
            lasts = self.with_living(self.with_accepted(vec![last]).await).await;
        }
        sleep_until(frozen + lasting).await;
        // A frozen simulator does not answer.
        let before = match role {
            Role::Simulator => None,
            _ => Some(self.recovery.mark(role).await),
        };
        self.cluster.thaw(name);
        let thawed = Instant::now();
        let mark = match before {
            Some(mark) => mark,
            None => self.recovery.mark(role).await,
        };
        self.examine(lasts, false).await;
        self.recovery.goes_on(kind, vec![mark], thawed).await;
        self.shared.causes.look(&self.cluster.http).await;
    }

    async fn scale(&mut self, kind: &str, role: Role, to: usize, hard: bool) {
        let from = self.instances.insert(role, to).unwrap_or(1);
        if to > from {
            let began = Instant::now();
            for number in from..to {
                self.spawn(role, &instance(role, number)).await;
            }
            self.tell_apis();
            let mark = self.recovery.mark(role).await;
            return self.recovery.goes_on(kind, vec![mark], began).await;
        }
        let began = Instant::now();
        for number in to..from {
            let name = instance(role, number);
            if hard {
                self.shared.causes.look(&self.cluster.http).await;
                self.cluster.named(&name).kill().await;
                self.shared.causes.ended(&name, None);
                if let Role::Connector(platform) = role {
                    let last = LastMoment::of(&self.cluster, platform).await;
                    sleep(LAST_CALLS).await;
                    let lasts = self.with_living(self.with_accepted(vec![last]).await).await;
                    self.examine(lasts, false).await;
                }
            } else {
                let gate = Arc::clone(&self.shared.log);
                let _quiet = gate.lock().await;
                self.terminate(role, &name).await;
            }
            self.cluster.remove(&name);
        }
        self.tell_apis();
        let mark = self.recovery.mark(role).await;
        self.recovery.goes_on(kind, vec![mark], began).await;
        self.shared.causes.look(&self.cluster.http).await;
    }

    /// Clients learn of new instances once those run, and of those that are gone when they are.
    fn tell_apis(&self) {
        let count = self.instances.get(&Role::Api).copied().unwrap_or(1);
        self.shared.apis.send_modify(|apis| {
            let others = (1..count).filter_map(|n| {
                let port = self.cluster.port_of(&instance(Role::Api, n))?;
                Some(format!("http://127.0.0.1:{port}"))
            });
            let first = apis.first().cloned();
            *apis = first.into_iter().chain(others).collect();
        });
    }

    async fn server(&mut self, kind: &str, server: Server, signal: Signal, lasting: Duration) {
        let is_log = server == Server::Kafka;
        let gate = Arc::clone(if is_log { &self.shared.log } else { &self.shared.store });
        // A server that is away says nothing of the way to it.
        let _no_other_trouble = gate.lock().await;
        let (mut lasts, mut marks) = (Vec::new(), Vec::new());
        let hurt: &[Role] = if is_log { &Role::SERVICES } else { &[Role::StatusConsumer] };
        for role in hurt.iter().filter(|role| **role != Role::Api) {
            marks.push(self.recovery.mark(*role).await);
        }
        if is_log {
            self.shared.board.log_is_troubled();
            if signal == Signal::Kill {
                for platform in self.cluster.config.platforms() {
                    lasts.push(LastMoment::of(&self.cluster, platform).await);
                }
            }
        }
        self.cluster.stack.signal(server, signal).await;
        let gone = Instant::now();
        let back = async {
            sleep_until(gone + lasting).await;
            match signal {
                Signal::Kill => self.cluster.stack.start_again(server).await,
                _ => self.cluster.stack.signal(server, Signal::Cont).await,
            }
            Instant::now()
        };
        let accepted = async {
            if lasts.is_empty() {
                return Vec::new();
            }
            sleep_until(gone + LEASE).await;
            self.with_accepted(lasts).await
        };
        let (returned, lasts) = tokio::join!(back, accepted);
        if is_log {
            self.shared.board.log_is_troubled();
        }
        // With the store, those come again that need a claim; with the log, everybody.
        marks.push(if is_log { self.recovery.accepted() } else { self.recovery.claimed() });
        self.recovery.goes_on(kind, marks, returned).await;
        self.examine(lasts, true).await;
        self.shared.causes.look(&self.cluster.http).await;
    }

    /// Starts what has ended without being told, and says so.
    pub async fn look_after(&mut self) {
        let mut all = self.all();
        all.push((Role::Simulator, instance(Role::Simulator, 0)));
        for (role, name) in all {
            if self.cluster.has(&name) && !self.cluster.named(&name).has_ended() {
                continue;
            }
            let text = format!("{name} has ended");
            self.shared.board.finds("nothing ends by itself", None, text);
            self.spawn(role, &name).await;
        }
    }

    /// Ends every service in turn, as an operator does.
    pub async fn stop(&mut self) {
        for (role, name) in self.all() {
            self.terminate(role, &name).await;
        }
    }

    /// Whatever was interrupted: everything runs, each service once.
    pub async fn heal(&mut self) {
        for server in [Server::Kafka, Server::Cassandra] {
            self.cluster.stack.go_on(server).await;
        }
        for (_, name) in self.all() {
            if self.cluster.has(&name) && !self.cluster.named(&name).has_ended() {
                self.cluster.thaw(&name);
            }
        }
        self.look_after().await;
        let scaled: Vec<Role> = self.instances.keys().copied().collect();
        for role in scaled {
            if self.instances.get(&role) > Some(&1) {
                self.scale(&format!("scale in {}", role.name()), role, 1, false).await;
            }
        }
        self.shared.causes.look(&self.cluster.http).await;
    }
}

/// The name of an instance: the first one has that of its role.
fn instance(role: Role, number: usize) -> String {
    match number {
        0 => role.name(),
        _ => format!("{}-{}", role.name(), number + 1),
    }
}
