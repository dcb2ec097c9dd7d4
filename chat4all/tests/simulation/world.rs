//! What outlives a power cut, and the lives of a system in it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chat4all::installation::Installation;
use chat4all::settings::Settings;
use chat4all_contracts::{EpochMs, topic};
use chat4all_eventlog::inline::{InlineLog, InlineOptions};
use chat4all_eventlog::{Assignment, ConsumerEvent, EventLog, Subscription};
use chat4all_process::{Clock, Random};
use chat4all_simulator::Simulator;
use chat4all_sqlite::Database;
use chat4all_store::embedded::EmbeddedStore;
use metrics_util::debugging::DebuggingRecorder;

use crate::client::{Conversation, Shared};
use crate::history::{History, Metrics};
use crate::life::{End, Life};
use crate::oracle;

/// Conversations: more than ten lanes, over three accounts and two platforms.
const CONVERSATIONS: usize = 14;
/// Messages of each: 70 together.
const MESSAGES: usize = 5;
const START: u64 = 1_800_000_000_000;

pub struct World {
    pub seed: u64,
    pub random: Random,
    pub clock: Clock,
    pub now: EpochMs,
    pub log: Arc<InlineLog>,
    pub store: Arc<EmbeddedStore>,
    pub ledger: Database,
    pub conversations: Vec<Shared>,
    /// Calls that a power cut may have repeated.
    pub may_repeat: u64,
}

impl World {
    /// Runs a whole seed.
    pub fn run(seed: u64) -> History {
        let recorder = DebuggingRecorder::new();
        let metrics = Metrics::new(recorder.snapshotter());
        metrics::with_local_recorder(&recorder, || {
            let mut world = Self::new(seed);
            let cut =
                world.random.duration_between(Duration::from_millis(800), Duration::from_secs(5));
            world.live(End::PowerCut(cut), &metrics);
            world.live(End::Settled, &metrics);
            world.assert_all_committed();
            let history = world.history(&metrics);
            oracle::check(&world, &history, &metrics);
            history
        })
    }

    fn new(seed: u64) -> Self {
        let random = Random::seeded(seed);
        let now = EpochMs::saturating(START);
        let clock = Clock::simulated(now);
        let options = InlineOptions {
            ack_delay: Some((Duration::ZERO, Duration::from_millis(5))),
            ..InlineOptions::default()
        };
        Self {
            seed,
            log: InlineLog::new(options, clock.clone(), random.fork()),
            store: EmbeddedStore::in_memory().unwrap(),
            ledger: Database::in_memory(&Simulator::database_options()).unwrap(),
            conversations: (0..CONVERSATIONS).map(conversation).collect(),
            may_repeat: 0,
            random,
            clock,
            now,
        }
    }

    /// One life: a runtime, everything in it, and its end. Dropping the runtime is the power cut.
    fn live(&mut self, end: End, metrics: &Metrics) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.unwrap();
        runtime.block_on(async {
            self.clock.set(self.now);
            let life = Life::begin(self).await;
            self.may_repeat += life.live(self, end, metrics).await;
            self.now = self.clock.now();
        });
    }

    /// A drain leaves nothing uncommitted: the next owner of each partition begins at its end.
    fn assert_all_committed(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let installation = Self::installation();
        let outbound = installation
            .served
            .keys()
            .map(|platform| (format!("{platform}-connector-group"), topic::outbound(platform)));
        let messages = (chat4all_router::GROUP.to_owned(), topic::MESSAGES.to_owned());
        for (group, topic) in outbound.chain([messages]) {
            let to = Subscription {
                group: group.clone(),
                topics: vec![topic],
                max_batch: 1,
                revoke_deadline: Duration::from_secs(1),
            };
            runtime.block_on(async {
                let consumer = self.log.subscribe(to).await.unwrap();
                let Ok(ConsumerEvent::Assigned(assignments)) = consumer.next().await else {
                    panic!("seed {}: {group} was assigned nothing", self.seed);
                };
                for Assignment { at, position, end, .. } in assignments {
                    assert_eq!(position, end, "seed {}: {group} left {at} uncommitted", self.seed);
                }
            });
        }
    }

    /// The configuration: two WhatsApp numbers, one Instagram page, short waits.
    pub fn installation() -> Installation {
        let environment = [
            ("PLATFORMS__WHATSAPP__ACCOUNTS__SECOND__PARTITION", "1"),
            ("PLATFORMS__WHATSAPP__ACCOUNTS__SECOND__PER_SECOND", "80"),
            ("CONNECTORS__WHATSAPP__POLICY__IN_DOUBT_WAIT_MS", "3000"),
            ("CONNECTORS__INSTAGRAM__POLICY__IN_DOUBT_WAIT_MS", "3000"),
            ("CONNECTORS__WHATSAPP__POLICY__REFUSED_ACCOUNT_PAUSE_MS", "20000"),
        ];
        let environment: HashMap<String, String> = environment
            .into_iter()
            .map(|(key, value)| (format!("CHAT4ALL__{key}"), value.to_owned()))
            .collect();
        Installation::new(Settings::load(None, environment).unwrap()).unwrap()
    }
}

fn conversation(number: usize) -> Shared {
    let (receiver, account) = match number % 3 {
        0 => (format!("whatsapp:+55119999{number:05}"), None),
        1 => (format!("whatsapp:+55118888{number:05}"), Some("second".to_owned())),
        _ => (format!("instagram:1784{number:05}"), None),
    };
    let name = format!("conversation-{number}");
    let accepted = Vec::new();
    Arc::new(Mutex::new(Conversation { name, receiver, account, messages: MESSAGES, accepted }))
}
