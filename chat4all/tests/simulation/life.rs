//! One life of the system: from a start on whatever log, store and ledger hold, to its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chat4all::system::{Parts, System};
use chat4all_contracts::status::Rank;
use chat4all_contracts::{MessageId, Status};
use chat4all_eventlog::faulty::FaultyLog;
use chat4all_process::http_client::{HttpClient, HttpPort};
use chat4all_process::{Random, Shutdown};
use chat4all_simulator::{Fault, FaultKind, Settings, Simulator, Webhook};
use chat4all_store::{MessageStore, Tenant};
use http::Request;
use secrecy::SecretString;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::client;
use crate::history::Metrics;
use crate::log_faults::LogFaults;
use crate::network::Network;
use crate::world::World;

/// How a life ends.
#[derive(Clone, Copy)]
pub enum End {
    /// After this time, in the middle of everything.
    PowerCut(Duration),
    /// When every message has a final status, by a drain.
    Settled,
}

/// The longest that a world may take to settle, of its own time.
const PATIENCE: Duration = Duration::from_secs(3600);
/// After this long without a new message a connector has nothing in hand.
const QUIET: Duration = Duration::from_secs(300);
/// Progress is committed after at most two intervals of 100 ms.
const UNCOMMITTED: Duration = Duration::from_millis(250);

pub struct Life {
    http: Arc<dyn HttpPort>,
    stop: Shutdown,
    system: JoinHandle<Result<(), chat4all::system::SystemError>>,
    simulator: Simulator,
    random: Random,
    clients: tokio::task::JoinSet<()>,
}

impl Life {
    pub async fn begin(world: &World) -> Self {
        let random = world.random.fork();
        let network = Network::default();
        let http: Arc<dyn HttpPort> = Arc::new(HttpClient::over(network.clone()));
        let installation = World::installation();
        let parts = Parts {
            log: FaultyLog::new(world.log.clone(), Arc::new(LogFaults(random.fork()))),
            store: world.store.clone(),
            http: http.clone(),
            clock: world.clock.clone(),
            random: random.fork(),
            instance: "simulated".to_owned(),
            metrics: None,
            stopping: Shutdown::new(),
        };
        let mut system = System::assemble(&installation, &parts).await.unwrap();
        for endpoint in std::mem::take(&mut system.endpoints) {
            network.listen(&endpoint.listen.to_string(), endpoint.router);
        }
        let simulator = Simulator::open(
            troubled(&installation),
            world.ledger.clone(),
            http.clone(),
            world.clock.clone(),
            random.fork(),
        );
        let simulator = simulator.await.unwrap();
        network.listen("127.0.0.1:8090", simulator.router());
        let stop = Shutdown::new();
        let receipts = simulator.clone();
        // Runs as long as the runtime: a platform does not stop with us.
        drop(tokio::spawn(async move { receipts.run(Shutdown::new()).await }));
        let system = tokio::spawn(system.run(stop.clone()));
        let mut clients = tokio::task::JoinSet::new();
        for conversation in &world.conversations {
            let http = http.clone();
            clients.spawn(client::run(conversation.clone(), http, random.fork()));
        }
        Self { http, stop, system, simulator, random, clients }
    }

    /// Lives; the number of calls that its end may make the next life repeat.
    pub async fn live(mut self, world: &World, end: End, metrics: &Metrics) -> u64 {
        self.plan_trouble();
        match end {
            End::PowerCut(after) => {
                // sleep: the power cut comes at a time of its own
                tokio::time::sleep(after.saturating_sub(UNCOMMITTED)).await;
                let before = metrics.calls();
                tokio::time::sleep(UNCOMMITTED).await; // sleep: as above
                while let Some(client) = self.clients.try_join_next() {
                    client.unwrap();
                }
                assert!(!self.system.is_finished(), "a service ended by itself");
                metrics.calls() - before + metrics.in_flight()
            }
            End::Settled => {
                self.settle(world).await;
                // sleep: a call in doubt whose receipt came is settled for the client, and is yet
                // tried again, at the latest after the longest waits of breaker and backoff.
                tokio::time::sleep(QUIET).await;
                while let Some(client) = self.clients.join_next().await {
                    client.unwrap();
                }
                self.stop.trigger();
                self.system.await.unwrap().unwrap();
                0
            }
        }
    }

    /// Some lives have an outage long enough to open a breaker, some a throttled or a refused
    /// account, some receivers who cannot be reached.
    fn plan_trouble(&self) {
        let vendor = |code, retry_after_s| FaultKind::Error {
            code,
            subcode: None,
            http_status: None,
            retry_after_s,
        };
        let whatsapp = |kind, times| Fault::new(kind).platform("whatsapp").times(times);
        let trouble = [
            (2, Fault::new(FaultKind::Down).times(self.random.between(8, 30))),
            (3, whatsapp(vendor(131_026, None), 2)),
            (3, whatsapp(vendor(130_429, Some(2)), 1)),
            (3, whatsapp(vendor(131_056, None), 1)),
            (4, whatsapp(vendor(190, None), 1)),
        ];
        for (one_in, fault) in trouble {
            if self.random.chance(1, one_in) {
                self.simulator.add_fault(fault).unwrap();
            }
        }
    }

    /// Waits until nothing is left to happen, and watches that no status goes back (I5).
    async fn settle(&self, world: &World) {
        let deadline = Instant::now() + PATIENCE;
        let mut ranks = BTreeMap::new();
        loop {
            let all_sent = world.conversations.iter().all(|conversation| {
                let known = conversation.lock().unwrap();
                known.accepted.len() == known.messages
            });
            let open = watch(world, &mut ranks).await;
            if all_sent && open == 0 && self.receipts_pending().await == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "{open} messages have no final status: {ranks:?}");
            tokio::time::sleep(Duration::from_millis(500)).await; // sleep: simulated time
        }
    }

    async fn receipts_pending(&self) -> u64 {
        ledger(&*self.http).await["totals"]["receipts_pending"].as_u64().unwrap()
    }
}

/// How many accepted messages have no final status; asserts that none went back.
async fn watch(world: &World, ranks: &mut BTreeMap<MessageId, Rank>) -> usize {
    let mut open = 0;
    for conversation in &world.conversations {
        let accepted = conversation.lock().unwrap().accepted.clone();
        for id in accepted {
            let message = world.store.message(&Tenant::default(), &id).await.unwrap();
            let message = message.expect("an accepted message is in the store");
            let rank = message.state.rank();
            let before = ranks.insert(id, rank).unwrap_or(Rank::Accepted);
            assert!(rank >= before, "a status went back: {before:?} -> {rank:?}");
            let is_final =
                matches!(rank.status(), Status::Delivered | Status::Read | Status::Failed);
            open += usize::from(!is_final);
        }
    }
    open
}

/// The simulator's whole ledger.
pub async fn ledger(http: &dyn HttpPort) -> Value {
    let address = "http://127.0.0.1:8090/_sim/ledger?limit=100000";
    let request = Request::get(address).body(Bytes::new()).unwrap();
    let answer = http.call(request, Duration::from_secs(10)).await.unwrap();
    serde_json::from_slice(answer.body()).unwrap()
}

/// A platform that fails in every way it can.
fn troubled(installation: &chat4all::installation::Installation) -> Settings {
    let mut settings = Settings {
        early_receipt_per_mille: chat4all_process::config::Bounded::new(150),
        duplicate_receipt_per_mille: chat4all_process::config::Bounded::new(100),
        error_per_mille: chat4all_process::config::Bounded::new(80),
        cut_per_mille: chat4all_process::config::Bounded::new(40),
        down_per_mille: chat4all_process::config::Bounded::new(40),
        hang_per_mille: chat4all_process::config::Bounded::new(5),
        slow_per_mille: chat4all_process::config::Bounded::new(20),
        ..Settings::default()
    };
    for (name, served) in &installation.served {
        let webhook = Webhook {
            url: format!("http://{}/webhook", served.listen),
            app_secret: SecretString::from(installation.settings.simulation.shared_secret.clone()),
            accounts: BTreeMap::new(),
        };
        settings.webhooks.insert(name.to_string(), webhook);
    }
    settings
}
