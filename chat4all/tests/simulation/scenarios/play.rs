//! The system of a scenario: everything but the API's clients, fed straight through the log.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chat4all::installation::Installation;
use chat4all::settings::Settings;
use chat4all::system::{Parts, System};
use chat4all_contracts::{
    AccountName, ConversationId, EpochMs, Generation, Message, ReceiverId, SenderId, Status,
    StatusUpdate, topic,
};
use chat4all_eventlog::faulty::{Faults, FaultyLog};
use chat4all_eventlog::inline::{InlineLog, InlineOptions};
use chat4all_eventlog::{
    Admission, EventLog, NewRecord, Patience, Producer, ProducerOptions, append,
};
use chat4all_process::http_client::HttpPort;
use chat4all_process::{Clock, Random, Shutdown};
use chat4all_store::embedded::EmbeddedStore;
use tokio::time::{Instant, sleep};

const START: u64 = 1_800_000_000_000;

/// What the connectors and the router reported.
#[derive(Default)]
pub struct Reported(Mutex<BTreeMap<String, u64>>);

impl Reported {
    /// How many ended with this status, or status and reason.
    pub fn count(&self, what: &str) -> u64 {
        self.0.lock().unwrap().get(what).copied().unwrap_or(0)
    }

    /// How many ended.
    pub fn all(&self) -> u64 {
        self.0.lock().unwrap().values().sum()
    }

    pub fn words(&self) -> String {
        let counts = self.0.lock().unwrap();
        let words: Vec<String> = counts.iter().map(|(what, n)| format!("{n} {what}")).collect();
        words.join(", ")
    }
}

impl Faults for Reported {
    fn appended(&self, record: &NewRecord) {
        if &*record.to.topic != topic::STATUS_UPDATES {
            return;
        }
        let update = StatusUpdate::parse(&record.value).unwrap();
        let what = match update.reason {
            Some(reason) if update.status == Status::Failed => format!("FAILED {reason}"),
            _ => update.status.to_string(),
        };
        *self.0.lock().unwrap().entry(what).or_default() += 1;
    }
}

/// See the module. To be made inside its runtime.
pub struct Play {
    pub log: Arc<InlineLog>,
    pub reported: Arc<Reported>,
    pub installation: Installation,
    pub random: Random,
    clock: Clock,
    began: Instant,
    producer: Arc<dyn Producer>,
    numbers: BTreeMap<String, u64>,
    fed: u64,
}

impl Play {
    /// Three numbers, each with a partition; commits once a second, for speed.
    pub fn new() -> Self {
        let random = Random::seeded(1);
        let clock = Clock::simulated(EpochMs::saturating(START));
        let log = InlineLog::new(InlineOptions::default(), clock.clone(), random.fork());
        let environment: HashMap<String, String> = [
            ("PLATFORMS__WHATSAPP__ACCOUNTS__SECOND__PARTITION", "1"),
            ("PLATFORMS__WHATSAPP__ACCOUNTS__SECOND__PER_SECOND", "80"),
            ("PLATFORMS__WHATSAPP__ACCOUNTS__THIRD__PARTITION", "2"),
            ("PLATFORMS__WHATSAPP__ACCOUNTS__THIRD__PER_SECOND", "80"),
            ("CONNECTORS__WHATSAPP__POLICY__COMMIT_INTERVAL_MS", "1000"),
            ("CONNECTORS__INSTAGRAM__POLICY__COMMIT_INTERVAL_MS", "10000"),
        ]
        .into_iter()
        .map(|(key, value)| (format!("CHAT4ALL__{key}"), value.to_owned()))
        .collect();
        let installation = Installation::new(Settings::load(None, environment).unwrap()).unwrap();
        let patient =
            ProducerOptions { patience: Patience::Forever, admission: Admission::NewWork };
        Self {
            producer: log.producer(patient),
            reported: Arc::default(),
            installation,
            log,
            random,
            clock,
            began: Instant::now(),
            numbers: BTreeMap::new(),
            fed: 0,
        }
    }

    /// Runs the system on this platform until everything fed has ended; `feed` is called each
    /// second with the seconds passed and says whether it is over.
    pub async fn run(
        &mut self,
        http: Arc<dyn HttpPort>,
        mut feed: impl AsyncFnMut(&mut Self, u64) -> bool,
    ) -> Result<(), String> {
        let parts = Parts {
            log: FaultyLog::new(self.log.clone(), self.reported.clone()),
            store: EmbeddedStore::in_memory().unwrap(),
            http,
            clock: self.clock.clone(),
            random: self.random.fork(),
            metrics: None,
            instance: "simulated".to_owned(),
            stopping: Shutdown::new(),
        };
        let system = System::assemble(&self.installation, &parts).await.unwrap();
        let stop = Shutdown::new();
        let running = tokio::spawn(system.run(stop.clone()));
        let mut seconds = 0;
        while !feed(self, seconds).await {
            seconds += 1;
            sleep(Duration::from_secs(1)).await; // sleep: simulated time
        }
        let patience = Instant::now() + Duration::from_secs(4 * 3600);
        while self.reported.all() < self.fed {
            if Instant::now() > patience || running.is_finished() {
                let (ended, fed) = (self.reported.words(), self.fed);
                return Err(format!("of {fed} messages only these ended: {ended}"));
            }
            sleep(Duration::from_secs(1)).await; // sleep: as above
        }
        stop.trigger();
        running.await.unwrap().map_err(|error| error.to_string())
    }

    /// A message whose text is its conversation, its number there and when it was made.
    pub async fn feed(&mut self, account: &str, conversation: &str, life: Duration) {
        let number = self.numbers.entry(conversation.to_owned()).or_default();
        *number += 1;
        let made = self.began.elapsed().as_millis();
        let content = format!("{conversation} {number} {made}");
        self.feed_text(account, conversation, content, life).await;
    }

    /// A message with this text.
    pub async fn feed_text(
        &mut self,
        account: &str,
        conversation: &str,
        content: String,
        life: Duration,
    ) {
        let now = self.clock.now();
        let message = Message {
            message_id: self.random.message_id(now),
            conversation_id: ConversationId::new(conversation).unwrap(),
            sender_id: SenderId::new("shop").unwrap(),
            receiver_id: ReceiverId::new("whatsapp:+5511999990000").unwrap(),
            content,
            file_id: None,
            account: Some(AccountName::new(account).unwrap()),
            accepted_at: now,
            expires_at: now.plus(life),
            generation: Generation::FIRST,
        };
        let record = self.installation.topology.message(&message, Vec::new());
        self.append(record).await;
        self.fed += 1;
    }

    /// Any record.
    pub async fn append(&self, record: NewRecord) {
        append(&*self.producer, record).await.unwrap();
    }
}

/// Runs on a paused clock of its own.
pub fn simulated<T>(future: impl Future<Output = T>) -> T {
    let builder =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    builder.unwrap().block_on(future)
}

/// The value below which 99 of 100 lie.
pub fn p99(values: &mut [Duration]) -> Duration {
    values.sort_unstable();
    values.get(values.len() * 99 / 100).copied().unwrap_or_default()
}
