//! The wires between clients, services, servers and platforms of a run.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use chat4all_wire::{Condition, Wire};
use tokio::time::{Instant, sleep, sleep_until};

use super::act::{Act, Harm, Lane, Way};
use super::deck::PLATFORMS;
use super::recovery::Recovery;
use super::schedule::Step;
use super::shared::Shared;
use crate::harness::{Cluster, Config, Role, ports};

/// What the simulator signs webhooks with.
const SECRET: &str = "simulated";

/// Where wires begin.
pub struct Ends(BTreeMap<Way, SocketAddrV4>);

/// See the module.
pub struct Wires(BTreeMap<Way, Wire>);

impl Ends {
    /// Ports for all of them.
    pub fn choose() -> Self {
        let mut ways = vec![Way::Api, Way::Log, Way::Store];
        ways.extend(PLATFORMS.map(Way::Calls));
        ways.extend(PLATFORMS.map(Way::Receipts));
        let end = |way| (way, SocketAddrV4::new(Ipv4Addr::LOCALHOST, ports::free(&[])));
        Self(ways.into_iter().map(end).collect())
    }

    /// Where one begins.
    pub fn of(&self, way: Way) -> SocketAddrV4 {
        self.0[&way]
    }

    /// What the simulator must know.
    pub fn of_receipts(&self, config: Config) -> Config {
        PLATFORMS.iter().fold(config, |config, platform| {
            let key = |name: &str| format!("simulation.simulator.webhooks.{platform}.{name}");
            let url = format!("http://{}/webhook", self.of(Way::Receipts(platform)));
            config.text(&key("url"), &url).text(&key("app_secret"), SECRET)
        })
    }

    /// Everything that services talk to is at the end of a wire.
    pub fn configure(&self, cluster: &mut Cluster) {
        for role in Role::SERVICES {
            let config = cluster.config.clone();
            let config = config
                .text("kafka.bootstrap_servers", &self.of(Way::Log).to_string())
                .set("cassandra.contact_points", format!("[\"{}\"]", self.of(Way::Store)));
            let config = match role {
                Role::Connector(platform) => {
                    let url = format!("http://{}", self.of(Way::Calls(platform)));
                    config.text("simulation.url", &url)
                }
                _ => config,
            };
            cluster.configure(role, &config);
        }
    }

    /// Lays them.
    ///
    /// # Errors
    /// If one cannot begin where it was to.
    pub async fn lay(self, cluster: &Cluster) -> io::Result<Wires> {
        let local = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let mut wires = BTreeMap::new();
        for (way, end) in self.0 {
            let server = match way {
                Way::Api => local(cluster.config.port(Role::Api)),
                Way::Log => cluster.stack.kafka_behind_wire(),
                Way::Store => cluster.stack.cassandra,
                Way::Calls(_) => local(cluster.config.port(Role::Simulator)),
                Way::Receipts(platform) => local(cluster.config.port(Role::Connector(platform))),
            };
            wires.insert(way, Wire::between(&end.to_string(), server.to_string()).await?);
        }
        Ok(Wires(wires))
    }
}

impl Wires {
    /// All of them work.
    pub fn mend(&self) {
        self.0.values().for_each(|wire| wire.set(Condition::Whole));
    }

    /// Carries the schedule out. Answers how many acts the time was too short for.
    pub async fn harm(
        &self,
        steps: &[Step],
        until: Duration,
        shared: &Shared,
        recovery: &Recovery,
    ) -> u64 {
        for (done, Step { at, act }) in steps.iter().enumerate() {
            let Act::Network { way, harm, lasting } = act else { continue };
            sleep_until(shared.board.at(*at)).await;
            // Of a server and the way to it, one at a time is in trouble. Nothing that must be able to
            // commit ends meanwhile.
            let gate = match way {
                Way::Log => Some(shared.log.lock().await),
                Way::Store => Some(shared.store.lock().await),
                _ => None,
            };
            if shared.board.elapsed() > until {
                return (steps.len() - done) as u64;
            }
            shared.board.begins(Lane::Network, act);
            if *way == Way::Log {
                shared.board.log_is_troubled();
            }
            let wire = &self.0[way];
            match harm {
                Harm::Slow(by) => wire.set(Condition::Slow(*by)),
                Harm::Stuck => wire.set(Condition::Stuck),
                Harm::Deaf => wire.set(Condition::Deaf),
                Harm::Cut => wire.set(Condition::Cut),
                Harm::Reset => wire.reset(),
            }
            sleep(*lasting).await;
            let mark = recovery.mark_of(*way).await;
            wire.set(Condition::Whole);
            if *way == Way::Log {
                shared.board.log_is_troubled();
            }
            recovery.goes_on(&act.kind(), vec![mark], Instant::now()).await;
            shared.board.ends(Lane::Network);
            drop(gate);
        }
        0
    }
}
