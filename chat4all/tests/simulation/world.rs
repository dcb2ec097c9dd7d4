//! What outlives a power cut, and the lives of a system in it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chat4all::installation::Installation;
use chat4all::settings::Settings;
use chat4all_contracts::{EpochMs, topic};
use chat4all_eventlog::TopicPartition;
use chat4all_eventlog::inline::{InlineLog, InlineOptions};
use chat4all_process::{Clock, Random};
use chat4all_simulator::Simulator;
use chat4all_sqlite::Database;
use chat4all_store::embedded::EmbeddedStore;
use metrics_util::debugging::DebuggingRecorder;

use crate::client::{Conversation, Shared};
use crate::coverage::Coverage;
use crate::faults::{Allowed, Dice, Fault};
use crate::history::{History, Metrics};
use crate::life::{End, Life};
use crate::oracle;
use crate::panicky_recorder::PanickyRecorder;
use crate::platform_faults::Panics;
use crate::watch::{Policy, Story, Violation, Watch};

/// Conversations: more than ten lanes, over three accounts and two platforms.
const CONVERSATIONS: usize = 14;
/// Messages of each: 84 together.
const MESSAGES: usize = 6;
const START: u64 = 1_800_000_000_000;
/// Calls of a message that the configuration below allows.
const MAX_ATTEMPTS: u32 = 4;
const BREAKER_FAILURES: u32 = 5;

pub struct World {
    pub random: Random,
    pub clock: Clock,
    pub now: EpochMs,
    pub log: Arc<InlineLog>,
    pub store: Arc<EmbeddedStore>,
    pub ledger: Database,
    pub installation: Arc<Installation>,
    pub conversations: Vec<Shared>,
    pub dice: Dice,
    pub watch: Watch,
    /// Every group with every partition that it reads.
    pub groups: Vec<(String, TopicPartition)>,
}

/// How a run ended.
pub struct Finished {
    pub violation: Option<Violation>,
    /// What happened to the violation's conversation.
    pub story: Vec<String>,
    pub history: History,
    pub coverage: Coverage,
}

impl World {
    /// Runs a whole seed.
    pub fn run(seed: u64, allowed: &Allowed) -> Finished {
        let mut world = Self::new(seed, allowed);
        let counting = DebuggingRecorder::new();
        let metrics = Metrics::new(counting.snapshotter());
        let recorder = PanickyRecorder::new(counting, &world.dice, &world.watch);
        metrics::with_local_recorder(&recorder, || {
            let lives = world.lives();
            for end in lives {
                if world.watch.violation().is_none() {
                    world.live(end, &metrics);
                }
            }
            let history = world.history();
            if world.watch.violation().is_none() {
                oracle::check(&world, &history);
            }
            let violation = world.watch.violation();
            let message = violation.as_ref().and_then(|violation| violation.message.as_ref());
            let story = world.watch.story(message);
            let coverage = Coverage::of(&world, &history, &metrics);
            Finished { violation, story, history, coverage }
        })
    }

    fn new(seed: u64, allowed: &Allowed) -> Self {
        let random = Random::seeded(seed);
        let now = EpochMs::saturating(START);
        let clock = Clock::simulated(now);
        let options = InlineOptions {
            ack_delay: Some((Duration::ZERO, Duration::from_millis(5))),
            ..InlineOptions::default()
        };
        let log = InlineLog::new(options, clock.clone(), random.fork());
        let dice = Dice::new(random.fork(), allowed);
        let by_rate = random.chance(1, 2);
        let breaker_failures = (!by_rate).then_some(BREAKER_FAILURES);
        let policy = Policy { max_attempts: MAX_ATTEMPTS, breaker_failures };
        let watch = Watch::new(log.clone(), clock.clone(), policy, Story::default());
        let mut installation = Self::installation(&random, by_rate);
        Panics::around(&mut installation, &dice, &watch);
        let groups = groups(&installation);
        watch.reads(groups.iter().map(|(_, at)| at).filter(|at| is_outbound(at)).cloned());
        Self {
            log,
            store: EmbeddedStore::in_memory().unwrap(),
            ledger: Database::in_memory(&Simulator::database_options()).unwrap(),
            installation: Arc::new(installation),
            conversations: (0..CONVERSATIONS).map(conversation).collect(),
            dice,
            watch,
            groups,
            random,
            clock,
            now,
        }
    }

    /// Power cuts, if there are any, and an end in peace.
    fn lives(&self) -> Vec<End> {
        let mut lives = Vec::new();
        if self.dice.plans(Fault::PowerCut) {
            for _ in 0..self.random.between(1, 3) {
                let (low, high) = (Duration::from_millis(300), Duration::from_secs(8));
                lives.push(End::PowerCut(self.random.duration_between(low, high)));
            }
        }
        lives.push(End::Settled);
        lives
    }

    /// One life: a runtime, everything in it, and its end. Dropping the runtime is the power cut.
    fn live(&mut self, end: End, metrics: &Metrics) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.unwrap();
        runtime.block_on(async {
            self.clock.set(self.now);
            self.watch.begin_life();
            self.dice.begin_life();
            let life = Life::begin(self).await;
            life.live(self, end, metrics).await;
            self.now = self.clock.now();
            self.watch.end_life();
        });
    }

    /// The configuration: two WhatsApp numbers, one Instagram page, short waits; every second run
    /// has a small window. `by_rate` = breakers open at a rate of failures, too.
    fn installation(random: &Random, by_rate: bool) -> Installation {
        let percent = if by_rate { "50" } else { "101" };
        let window = if random.chance(1, 2) { "8" } else { "4000" };
        let policy = [
            ("IN_DOUBT_WAIT_MS", "3000"),
            ("REFUSED_ACCOUNT_PAUSE_MS", "20000"),
            ("CALL_TIMEOUT_MS", "6000"),
            ("MAX_ATTEMPTS", "4"),
            ("BREAKER_LONGEST_MS", "5000"),
            ("BREAKER_FAILURE_PERCENT", percent),
            ("RETRY_LONGEST_MS", "8000"),
            ("COMMIT_INTERVAL_MS", "200"),
            ("WINDOW", window),
        ];
        let mut environment: HashMap<String, String> = [
            ("PLATFORMS__WHATSAPP__ACCOUNTS__SECOND__PARTITION", "1"),
            ("PLATFORMS__WHATSAPP__ACCOUNTS__SECOND__PER_SECOND", "80"),
        ]
        .into_iter()
        .map(|(key, value)| (format!("CHAT4ALL__{key}"), value.to_owned()))
        .collect();
        for platform in ["WHATSAPP", "INSTAGRAM"] {
            environment.extend(policy.iter().map(|(key, value)| {
                (format!("CHAT4ALL__CONNECTORS__{platform}__POLICY__{key}"), (*value).to_owned())
            }));
        }
        Installation::new(Settings::load(None, environment).unwrap()).unwrap()
    }
}

fn is_outbound(at: &TopicPartition) -> bool {
    at.topic.ends_with("-outbound")
}

fn groups(installation: &Installation) -> Vec<(String, TopicPartition)> {
    let mut groups = Vec::new();
    let topics = installation.topology.topics(&installation.platforms);
    let mut add = |group: &str, name: &str| {
        let topic = topics.iter().find(|topic| topic.name == name).unwrap();
        let partitions = (0..topic.partitions).map(|n| TopicPartition::new(name, n));
        groups.extend(partitions.map(|at| (group.to_owned(), at)));
    };
    add(chat4all_router::GROUP, topic::MESSAGES);
    for name in [topic::MESSAGES, topic::STATUS_UPDATES, topic::RECEIPTS] {
        add(chat4all_status_consumer::GROUP, name);
    }
    for served in installation.served.values() {
        add(&served.source.group, &served.source.topic);
    }
    groups
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
