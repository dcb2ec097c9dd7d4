//! One life of the system: from a start on whatever log, store and ledger hold, to its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use chat4all::installation::Installation;
use chat4all::system::{Parts, System, SystemError};
use chat4all_connector_kit::platform::Platform;
use chat4all_contracts::MessageId;
use chat4all_eventlog::faulty::{FaultyLog, Gate};
use chat4all_process::Shutdown;
use chat4all_process::config::Bounded;
use chat4all_process::http_client::{HttpClient, HttpPort};
use chat4all_simulator::{Settings, Simulator, Webhook};
use chat4all_store::faulty::FaultyStore;
use chat4all_store::{MessageStore, Tenant};
use http::Request;
use secrecy::SecretString;
use serde_json::Value;
use tokio::sync::watch as channel;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

use crate::client;
use crate::director::{ServedRef, Stage};
use crate::faults::Fault;
use crate::history::Metrics;
use crate::log_faults::LogFaults;
use crate::network::Network;
use crate::platform_faults::{Calls, Receipts};
use crate::shown::{Shown, shown};
use crate::store_faults::StoreFaults;
use crate::world::World;

/// How a life ends.
#[derive(Clone, Copy)]
pub enum End {
    /// After this time, in the middle of everything.
    PowerCut(Duration),
    /// When nothing is left to do, by a drain.
    Settled,
}

/// How long a world may take to settle when nothing goes wrong any more, of its own time.
const PATIENCE: Duration = Duration::from_secs(900);
/// How long things go wrong, at least.
const TROUBLE: Duration = Duration::from_secs(20);
/// How often a life is looked at.
const STEP: Duration = Duration::from_millis(500);

pub struct Life {
    http: Arc<dyn HttpPort>,
    stop: Shutdown,
    system: JoinHandle<Result<(), SystemError>>,
    clients: JoinSet<()>,
    events: JoinSet<()>,
}

impl Life {
    pub async fn begin(world: &World) -> Self {
        let random = world.random.fork();
        let network = Network::default();
        let http: Arc<dyn HttpPort> = Arc::new(HttpClient::over(network.clone()));
        let installation = &world.installation;
        let simulator = simulator(world, http.clone()).await;
        network.listen("127.0.0.1:8090", simulator.router());
        let faults = LogFaults::new(0, world.dice.clone(), world.watch.clone());
        let log = FaultyLog::new(world.log.clone(), Arc::new(faults));
        let store_faults = Arc::new(StoreFaults::new(world.dice.clone()));
        let moving = Arc::new(Gate::new(true));
        let (down, is_down) = channel::channel(None);
        let calls = Calls {
            process: 0,
            inner: http.clone(),
            simulator: simulator.clone(),
            platforms: platforms(installation),
            dice: world.dice.clone(),
            watch: world.watch.clone(),
            moving: moving.clone(),
            killed: Arc::new(Gate::new(false)),
            down: is_down,
        };
        let parts = Parts {
            log: log.clone(),
            store: FaultyStore::new(world.store.clone(), store_faults.clone()),
            http: Arc::new(calls.clone()),
            clock: world.clock.clone(),
            random: random.fork(),
            instance: "simulated".to_owned(),
            metrics: None,
            stopping: Shutdown::new(),
        };
        let mut system = System::assemble(installation, &parts).await.unwrap();
        for endpoint in std::mem::take(&mut system.endpoints) {
            network.listen(&endpoint.listen.to_string(), endpoint.router);
        }
        // Runs as long as the runtime: a platform does not stop with us.
        drop(tokio::spawn(async move { simulator.run(Shutdown::new()).await }));
        let stop = Shutdown::new();
        let system = tokio::spawn(system.run(stop.clone()));
        let mut clients = JoinSet::new();
        for conversation in &world.conversations {
            clients.spawn(client::run(conversation.clone(), http.clone(), random.fork()));
        }
        let served = |name: &_| {
            let served = ServedRef(world.installation.clone(), Clone::clone(name));
            (Clone::clone(name), Arc::new(served))
        };
        let stage = Arc::new(Stage {
            dice: world.dice.clone(),
            watch: world.watch.clone(),
            random: random.fork(),
            clock: world.clock.clone(),
            bare_log: world.log.clone(),
            system_log: log,
            store_faults,
            parts,
            // A second connector does not stand still with the system's.
            calls: Calls { moving: Arc::new(Gate::new(true)), ..calls },
            served: installation.served.keys().map(served).collect(),
            moving,
            down,
            processes: AtomicU64::new(0),
        });
        Self { http, stop, system, clients, events: stage.begin() }
    }

    /// Lives to its end, or until a check finds something.
    pub async fn live(mut self, world: &World, end: End, metrics: &Metrics) {
        match end {
            End::PowerCut(after) => {
                world.dice.count(Fault::PowerCut, 1);
                self.watch_for(world, metrics, |elapsed| elapsed >= after).await;
            }
            End::Settled => {
                if self.settle(world, metrics).await {
                    self.stop.trigger();
                    let ended = self.system.await.unwrap();
                    if let Err(error) = ended {
                        let text = error.to_string();
                        world.watch.object("services stop in peace", None, text);
                    }
                    if !world.watch.all_committed(&world.groups) {
                        let text = "a planned stop left something uncommitted".to_owned();
                        world.watch.object("a stop leaves nothing uncommitted", None, text);
                    }
                }
            }
        }
    }

    /// Goes on until `over`; false if a check finds something before.
    async fn watch_for(
        &mut self,
        world: &World,
        metrics: &Metrics,
        over: impl Fn(Duration) -> bool,
    ) -> bool {
        let begun = Instant::now();
        let mut seen = BTreeMap::new();
        let mut steps = 0_u64;
        while !over(begun.elapsed()) {
            sleep(STEP).await; // sleep: simulated time
            steps += 1;
            if steps.is_multiple_of(4) {
                check_statuses(world, &mut seen).await;
            }
            if steps.is_multiple_of(20) {
                metrics.check_bounds(world);
            }
            while let Some(ended) = self.clients.try_join_next() {
                if ended.is_err() {
                    let text = "a client panicked: an answer was wrong".to_owned();
                    world.watch.object("the API's answers are right", None, text);
                }
            }
            if self.system.is_finished() {
                let text = format!("{:?}", (&mut self.system).await);
                world.watch.object("no service ends by itself", None, text);
            }
            if world.watch.violation().is_some() {
                return false;
            }
        }
        true
    }

    /// Waits until nothing is left to happen.
    async fn settle(&mut self, world: &World, metrics: &Metrics) -> bool {
        if !self.watch_for(world, metrics, |elapsed| elapsed >= TROUBLE).await {
            return false;
        }
        while let Some(event) = self.events.join_next().await {
            event.unwrap();
        }
        world.dice.calm();
        world.watch.remark("nothing goes wrong from here on");
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if !self.watch_for(world, metrics, |elapsed| elapsed >= STEP).await {
                return false;
            }
            let sent = world.conversations.iter().all(|conversation| {
                let known = conversation.lock().unwrap();
                known.accepted.len() == known.messages
            });
            if sent
                && world.watch.all_committed(&world.groups)
                && self.receipts_pending().await == 0
                && world.watch.all_committed(&world.groups)
            {
                return true;
            }
        }
        let first = world.first_open().await;
        let text = "something is still open, long after the last fault".to_owned();
        world.watch.object("everything ends", first.as_ref(), text);
        false
    }

    async fn receipts_pending(&self) -> u64 {
        ledger(&*self.http, 1).await["totals"]["receipts_pending"].as_u64().unwrap()
    }
}

impl World {
    /// An accepted message without a final status.
    async fn first_open(&self) -> Option<MessageId> {
        for conversation in &self.conversations {
            let accepted = conversation.lock().unwrap().accepted.clone();
            for id in accepted {
                let stored = self.store.message(&Tenant::default(), &id).await.unwrap();
                if stored.is_none_or(|stored| shown(&stored.state) <= Shown::Unknown) {
                    return Some(id);
                }
            }
        }
        None
    }
}

/// I5: no status goes back, and the one that is shown is the one that the reports come to.
async fn check_statuses(world: &World, seen: &mut BTreeMap<MessageId, Shown>) {
    for conversation in &world.conversations {
        let accepted = conversation.lock().unwrap().accepted.clone();
        for id in accepted {
            if seen.get(&id) == Some(&Shown::Read) && world.random.chance(3, 4) {
                continue;
            }
            // A row that the store did not take yet is written from the log.
            let stored = world.store.message(&Tenant::default(), &id).await.unwrap();
            let Some(stored) = stored else { continue };
            let (now, status) = (shown(&stored.state), stored.state.status());
            let before = seen.insert(id.clone(), now).unwrap_or(Shown::Accepted);
            if now < before || now.status() != status {
                let text = format!("{before:?}, then {now:?}, shown as {status}");
                world.watch.object("no status goes back", Some(&id), text);
            }
        }
    }
}

fn platforms(installation: &Installation) -> Vec<Arc<dyn Platform>> {
    installation.served.values().map(|served| served.platform.clone()).collect()
}

async fn simulator(world: &World, http: Arc<dyn HttpPort>) -> Simulator {
    let receipts: Arc<dyn HttpPort> = Arc::new(Receipts { inner: http, dice: world.dice.clone() });
    let (clock, random) = (world.clock.clone(), world.random.fork());
    let settings = settings(world);
    Simulator::open(settings, world.ledger.clone(), receipts, clock, random).await.unwrap()
}

/// The simulator's ledger, of at most `limit` conversations.
pub async fn ledger(http: &dyn HttpPort, limit: u64) -> Value {
    let address = format!("http://127.0.0.1:8090/_sim/ledger?limit={limit}");
    let request = Request::get(address).body(Bytes::new()).unwrap();
    let answer = http.call(request, Duration::from_secs(10)).await.unwrap();
    serde_json::from_slice(answer.body()).unwrap()
}

/// Where receipts go, and how many are early or lost; calls are failed one by one.
fn settings(world: &World) -> Settings {
    let installation = &world.installation;
    let per_mille = |fault, n| Bounded::new(if world.dice.plans(fault) { n } else { 0 });
    let mut settings = Settings {
        early_receipt_per_mille: per_mille(Fault::ReceiptEarly, 150),
        lost_receipt_per_mille: per_mille(Fault::ReceiptLost, 150),
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
