//! Watches every call, append, assignment and commit of a run while it happens, and holds them
//! against the invariants. Knows what it sees at the ports only, and counts time from the run's
//! beginning.

mod breaker;
mod calls;
mod commits;
mod settled;
mod story;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chat4all_contracts::{Message, MessageId};
use chat4all_eventlog::inline::InlineLog;
use chat4all_eventlog::{EventLog, Record, TopicPartition};
use chat4all_process::Clock;
use futures::FutureExt;
use tokio::time::Instant;

use breaker::Model;
pub use calls::{Call, Ended};
pub use commits::base_of;
pub use story::Story;

/// What a check found: its name, and words that name the message.
#[derive(Clone, Debug)]
pub struct Violation {
    pub check: &'static str,
    pub text: String,
    pub message: Option<MessageId>,
}

/// What the watch is told of the installation.
#[derive(Clone, Copy)]
pub struct Policy {
    pub max_attempts: u32,
    /// `None` = breakers open at a rate of failures, too.
    pub breaker_failures: Option<u32>,
}

/// See the module. Clones share it.
#[derive(Clone)]
pub struct Watch(Arc<Mutex<State>>);

/// A message that has been routed.
struct Known {
    message: Message,
    lane: Lane,
    /// Its place in its lane.
    place: usize,
    /// Where it stands in its platform's topic; more than once if it was routed again.
    records: Vec<(TopicPartition, u64)>,
    calls: u32,
    /// Calls that may count as attempts.
    countable: u32,
    in_flight: u32,
    /// When a call last ended with the platform's id.
    accepted: Option<Duration>,
    /// When a call last ended, however.
    ended: Option<Duration>,
    /// Whether a connector's last report needed no call: it is of whoever owned the partition then.
    ended_without_call: bool,
    /// When a connector's report was last acknowledged by the log, and to which process.
    settled: Option<(Duration, u64)>,
    /// What calls of it ended with, ever.
    outcomes: BTreeSet<&'static str>,
}

/// The check of half-open breakers.
const ONE_PROBE: &str = "one probe at a time";

/// (topic, account, conversation)
type Lane = (String, String, String);

/// How far a group has come in a partition.
#[derive(Default)]
struct Progress {
    position: u64,
    /// What the last usable note says is finished beyond it.
    noted: BTreeSet<u64>,
    /// Who was given it last, and when.
    owner: u64,
    assigned: Duration,
}

struct State {
    log: Arc<InlineLog>,
    clock: Clock,
    policy: Policy,
    /// When this life began, and what had passed before.
    begun: Instant,
    before: Duration,
    /// When the time of day jumped last.
    jumped: Option<Duration>,
    messages: BTreeMap<MessageId, Known>,
    lanes: BTreeMap<Lane, Vec<MessageId>>,
    /// How far each topic of a platform has been read here.
    read: BTreeMap<TopicPartition, u64>,
    progress: BTreeMap<(String, TopicPartition), Progress>,
    /// Dead letters by their origin.
    letters: BTreeSet<(TopicPartition, u64)>,
    /// Messages that the router itself ended.
    ended_by_router: BTreeSet<MessageId>,
    breakers: BTreeMap<(u64, String), Model>,
    outcomes: BTreeMap<(Ended, bool), u64>,
    story: Story,
    violation: Option<Violation>,
}

impl Watch {
    pub fn new(log: Arc<InlineLog>, clock: Clock, policy: Policy, story: Story) -> Self {
        Self(Arc::new(Mutex::new(State {
            log,
            clock,
            policy,
            begun: Instant::now(),
            before: Duration::ZERO,
            jumped: None,
            messages: BTreeMap::new(),
            lanes: BTreeMap::new(),
            read: BTreeMap::new(),
            progress: BTreeMap::new(),
            letters: BTreeSet::new(),
            ended_by_router: BTreeSet::new(),
            breakers: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            story,
            violation: None,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// A new life begins, on a paused clock of its own.
    pub fn begin_life(&self) {
        let mut state = self.state();
        state.begun = Instant::now();
        state.breakers.clear();
        for known in state.messages.values_mut() {
            known.in_flight = 0;
        }
    }

    /// A life is over.
    pub fn end_life(&self) {
        let mut state = self.state();
        state.before = state.now();
        state.tell(None, "the power goes".to_owned());
    }

    /// The time of day jumps.
    pub fn jump(&self, words: &str) {
        let mut state = self.state();
        state.jumped = Some(state.now());
        state.tell(None, format!("the time of day jumps {words}"));
    }

    /// Something happened that explains what follows.
    pub fn remark(&self, words: &str) {
        self.state().tell(None, words.to_owned());
    }

    /// A gateway panics: its successor's breaker is closed.
    pub fn gateway_restarts(&self) {
        let mut state = self.state();
        state.breakers.clear();
        state.tell(None, "a gateway panics".to_owned());
    }

    /// A message's platform "answered" without a call: its code refused or panicked.
    pub fn answered_without_call(&self, id: &MessageId) {
        let mut state = self.state();
        state.refresh();
        let lane = state.messages.get(id).map(|known| format!("{}/{}", known.lane.0, known.lane.1));
        state.breakers.retain(|(_, account), _| Some(account) != lane.as_ref());
        state.tell(Some(id), "encoding panics".to_owned());
    }

    /// What was to become a call did not leave the process.
    pub fn not_called(&self, id: &MessageId) {
        let mut state = self.state();
        if let Some(known) = state.messages.get_mut(id) {
            known.countable += 1;
        }
        state.tell(Some(id), "a frozen call is given up".to_owned());
    }

    /// The first thing that a check found.
    pub fn violation(&self) -> Option<Violation> {
        self.state().violation.clone()
    }

    /// Something that another check found.
    pub fn object(&self, check: &'static str, message: Option<&MessageId>, text: String) {
        self.state().object(check, message, text);
    }

    /// How often calls ended how, as probes or not.
    pub fn outcomes(&self) -> BTreeMap<(Ended, bool), u64> {
        self.state().outcomes.clone()
    }

    /// Whether a call of the message may have been accepted without our knowing.
    pub fn may_have_been_accepted(&self, id: &MessageId) -> bool {
        let state = self.state();
        let had = |outcome| state.messages.get(id).is_some_and(|k| k.outcomes.contains(outcome));
        had("in_doubt") || had("cut off") || had("accepted")
    }

    /// What happened to a message and its conversation, in few lines.
    pub fn story(&self, of: Option<&MessageId>) -> Vec<String> {
        let state = self.state();
        let lane = of.and_then(|id| state.messages.get(id)).map(|known| &known.lane);
        let probed = state.violation.as_ref().is_some_and(|found| found.check == ONE_PROBE);
        // Probes are the account's matter, everything else its conversation's.
        let of_interest = |other: &&Lane| {
            lane.is_some_and(|lane| {
                *other == lane || (probed && (&other.0, &other.1) == (&lane.0, &lane.1))
            })
        };
        let lanes = state.lanes.keys().filter(of_interest);
        let lane: BTreeSet<&MessageId> = lanes.flat_map(|lane| &state.lanes[lane]).collect();
        state.story.lines(|id| lane.contains(id) || Some(id) == of)
    }

    /// Whether every record of every topic counts as done in every group that reads it.
    pub fn all_committed(&self, groups: &[(String, TopicPartition)]) -> bool {
        let state = self.state();
        groups.iter().all(|key| {
            let end = state.log.bounds(&key.1).now_or_never().and_then(Result::ok);
            let end = end.map_or(0, |bounds| bounds.end);
            end == 0 || state.progress.get(key).is_some_and(|done| done.position == end)
        })
    }
}

impl State {
    fn now(&self) -> Duration {
        self.before + self.begun.elapsed()
    }

    fn tell(&mut self, message: Option<&MessageId>, words: String) {
        let now = self.now();
        self.story.add(now, message, words);
    }

    fn object(&mut self, check: &'static str, message: Option<&MessageId>, text: String) {
        self.tell(message, format!("VIOLATION of \"{check}\": {text}"));
        if self.violation.is_none() {
            self.violation = Some(Violation { check, text, message: message.cloned() });
        }
    }

    /// Whether the time of day was moved at this very moment, so that two readings differ.
    fn is_jumping(&self) -> bool {
        self.jumped == Some(self.now())
    }

    /// Reads what is new in the platforms' topics.
    fn refresh(&mut self) {
        let partitions: Vec<TopicPartition> = self.read.keys().cloned().collect();
        for at in partitions {
            let from = self.read[&at];
            let new = self.read_from(&at, from);
            self.read.insert(at, from + new.len() as u64);
            new.iter().for_each(|record| self.routed(record));
        }
    }

    fn read_from(&self, at: &TopicPartition, from: u64) -> Vec<Record> {
        // The log in memory answers at once.
        self.log.read(at, from, 100_000).now_or_never().unwrap().unwrap()
    }

    fn routed(&mut self, record: &Record) {
        let Ok(message) = Message::parse(&record.value, record.timestamp) else { return };
        let id = message.message_id.clone();
        let place = (record.at(), record.offset);
        if let Some(known) = self.messages.get_mut(&id) {
            known.records.push(place);
            self.tell(Some(&id), format!("routed again, to {}", record.offset));
            return;
        }
        let account = message.account.as_ref().map(ToString::to_string).unwrap_or_default();
        let conversation = message.conversation_id.as_str().to_owned();
        let lane = (record.topic.to_string(), account, conversation);
        let in_lane = self.lanes.entry(lane.clone()).or_default();
        in_lane.push(id.clone());
        let known = Known {
            lane,
            place: in_lane.len() - 1,
            records: vec![place],
            message,
            calls: 0,
            countable: 0,
            in_flight: 0,
            accepted: None,
            ended: None,
            ended_without_call: false,
            settled: None,
            outcomes: BTreeSet::new(),
        };
        let expires = known.message.expires_at;
        self.tell(
            Some(&id),
            format!("routed to {}/{}, until {expires:?}", record.at(), record.offset),
        );
        self.messages.insert(id, known);
    }
}
