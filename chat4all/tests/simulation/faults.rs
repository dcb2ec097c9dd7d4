//! What can go wrong, by name; which of it does in a run, drawn from the seed; how often it did.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use chat4all_process::Random;

macro_rules! faults {
    ($($(#[doc = $help:literal])+ $variant:ident = $group:literal $name:literal ($rate:literal),)*) => {
        /// A kind of failure. The number is how often of 10,000 chances it happens in a run that
        /// has it; 0 = the director plans it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault { $($(#[doc = $help])+ $variant,)* }

        impl Fault {
            pub const ALL: &[Fault] = &[$(Fault::$variant,)*];

            pub fn name(self) -> &'static str {
                match self { $(Fault::$variant => $name,)* }
            }

            pub fn group(self) -> &'static str {
                match self { $(Fault::$variant => $group,)* }
            }

            fn rate(self) -> u64 {
                match self { $(Fault::$variant => $rate,)* }
            }
        }
    };
}

faults! {
    /// An answer takes seconds.
    Slow = "platform" "slow" (200),
    /// A vendor's "try again".
    Error = "platform" "error" (300),
    /// 503 without a vendor's body.
    Down = "platform" "down" (300),
    /// The account is asked to slow down.
    ThrottleAccount = "platform" "throttle-account" (100),
    /// The receiver gets too much.
    ThrottleRecipient = "platform" "throttle-recipient" (200),
    /// The account is refused.
    RefuseAccount = "platform" "refuse-account" (30),
    /// The receiver cannot be reached.
    RefuseMessage = "platform" "refuse-message" (150),
    /// No answer for minutes; half of the messages are taken.
    Hang = "platform" "hang" (60),
    /// The answer breaks off; half of the messages are taken.
    Cut = "platform" "cut" (200),
    /// The connection breaks before the request was read.
    ResetBefore = "platform" "reset-before" (200),
    /// The connection breaks after the request was read.
    ResetAfter = "platform" "reset-after" (200),
    /// 200 without an id for a message that was taken.
    LyingTaken = "platform" "lying-taken" (100),
    /// 200 without an id for a message that was not taken.
    LyingLost = "platform" "lying-lost" (100),
    /// A platform is down for a while.
    Outage = "platform" "outage" (0),
    /// A receipt comes before the answer.
    ReceiptEarly = "platform" "receipt-early" (0),
    /// A receipt takes seconds.
    ReceiptLate = "platform" "receipt-late" (500),
    /// A receipt comes twice.
    ReceiptTwice = "platform" "receipt-twice" (500),
    /// A receipt never comes.
    ReceiptLost = "platform" "receipt-lost" (0),
    /// An append is not done: no room.
    AppendRefused = "log" "append-refused" (100),
    /// An append is not done, and nobody says so.
    AppendLost = "log" "append-lost" (200),
    /// An append is done, and nobody says so.
    AppendUnacked = "log" "append-unacked" (200),
    /// An append takes long.
    AppendSlow = "log" "append-slow" (200),
    /// A commit is refused.
    CommitRefused = "log" "commit-refused" (200),
    /// A commit is not done.
    CommitFailed = "log" "commit-failed" (300),
    /// A commit is done, and nobody says so.
    CommitUnacked = "log" "commit-unacked" (200),
    /// A commit takes long.
    CommitSlow = "log" "commit-slow" (100),
    /// A commit's note is another partition's.
    ForeignNote = "log" "foreign-note" (1500),
    /// Reading back fails.
    ReadFailed = "log" "read-failed" (3000),
    /// A second connector comes, and stops.
    Rebalance = "log" "rebalance" (0),
    /// An owner is cut off until its group gives its partitions away, and comes back.
    Zombie = "log" "zombie" (0),
    /// A call of the store takes long.
    StoreSlow = "store" "store-slow" (300),
    /// A call of the store is not done.
    StoreFailed = "store" "store-failed" (200),
    /// A call of the store is done, and nobody says so.
    StoreUnacked = "store" "store-unacked" (200),
    /// The store is away for a while.
    StoreAway = "store" "store-away" (0),
    /// The power goes.
    PowerCut = "process" "power-cut" (0),
    /// A second connector is killed.
    Kill = "process" "kill" (0),
    /// Everything of a connector stands still for a while.
    Freeze = "process" "freeze" (0),
    /// Encoding a message panics.
    PanicEncode = "process" "panic-encode" (60),
    /// Reading an answer panics.
    PanicClassify = "process" "panic-classify" (60),
    /// An Intake panics.
    PanicIntake = "process" "panic-intake" (10),
    /// A publisher panics.
    PanicPublisher = "process" "panic-publisher" (60),
    /// A gateway panics.
    PanicGateway = "process" "panic-gateway" (100),
    /// A worker panics.
    PanicWorker = "process" "panic-worker" (500),
    /// The time of day jumps forward.
    ClockForward = "process" "clock-forward" (0),
    /// The time of day jumps back.
    ClockBack = "process" "clock-back" (0),
}

/// Which faults a command allows.
#[derive(Clone, Debug)]
pub struct Allowed(BTreeSet<Fault>);

impl Allowed {
    pub fn all() -> Self {
        Self(Fault::ALL.iter().copied().collect())
    }

    /// Reads `all` or names of faults and groups, with commas between.
    ///
    /// # Errors
    /// The first word that is neither.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut allowed = BTreeSet::new();
        for word in text.split(',').map(str::trim) {
            let before = allowed.len();
            let meant = |fault: &&Fault| [fault.name(), fault.group(), "all"].contains(&word);
            allowed.extend(Fault::ALL.iter().filter(|fault| word == "all" || meant(fault)));
            if allowed.len() == before {
                let names: Vec<_> = Fault::ALL.iter().map(|fault| fault.name()).collect();
                let groups = "platform, log, store, process, all";
                return Err(format!("{word} is none of {groups}, {}", names.join(", ")));
            }
        }
        Ok(Self(allowed))
    }

    pub fn contains(&self, fault: Fault) -> bool {
        self.0.contains(&fault)
    }
}

/// The dice of one run. Clones share them.
#[derive(Clone)]
pub struct Dice(Arc<Inner>);

struct Inner {
    random: Random,
    /// Of 10,000; by the fault's number.
    rates: Vec<u64>,
    /// What the director may plan.
    planned: BTreeSet<Fault>,
    counts: Vec<AtomicU64>,
    rolling: AtomicBool,
    /// What may still end an actor: a supervisor gives up after ten.
    panics_left: Mutex<u32>,
}

/// Of a run's own draw: each allowed fault is in it every second time, so that runs differ.
impl Dice {
    pub fn new(random: Random, allowed: &Allowed) -> Self {
        let mut planned = BTreeSet::new();
        let mut rates = Vec::new();
        for fault in Fault::ALL {
            let chosen = random.chance(1, 2) && allowed.contains(*fault);
            let times = random.between(1, 3);
            rates.push(if chosen { fault.rate() * times } else { 0 });
            if chosen {
                planned.insert(*fault);
            }
        }
        let counts = Fault::ALL.iter().map(|_| AtomicU64::new(0)).collect();
        let (rolling, panics_left) = (AtomicBool::new(true), Mutex::new(0));
        Self(Arc::new(Inner { random, rates, planned, counts, rolling, panics_left }))
    }

    /// Whether the fault happens at this chance.
    pub fn roll(&self, fault: Fault) -> bool {
        let rate = self.0.rates[fault as usize];
        let happens = rate > 0 && self.is_rolling() && self.0.random.chance(rate, 10_000);
        if happens {
            self.count(fault, 1);
        }
        happens
    }

    /// As [`Dice::roll`], for what ends an actor: at most four times a life.
    pub fn roll_panic(&self, fault: Fault) -> bool {
        let mut left = self.0.panics_left.lock().unwrap();
        let happens = *left > 0 && self.roll(fault);
        *left -= u32::from(happens);
        happens
    }

    /// A new life begins.
    pub fn begin_life(&self) {
        *self.0.panics_left.lock().unwrap() = 4;
    }

    /// Whether the director plans it in this run.
    pub fn plans(&self, fault: Fault) -> bool {
        self.0.planned.contains(&fault)
    }

    pub fn count(&self, fault: Fault, times: u64) {
        self.0.counts[fault as usize].fetch_add(times, Ordering::Relaxed);
    }

    pub fn counts(&self) -> Vec<u64> {
        self.0.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }

    pub fn random(&self) -> &Random {
        &self.0.random
    }

    pub fn is_rolling(&self) -> bool {
        self.0.rolling.load(Ordering::Relaxed)
    }

    /// From now on nothing goes wrong any more, so that the run can end.
    pub fn calm(&self) {
        self.0.rolling.store(false, Ordering::Relaxed);
    }
}
