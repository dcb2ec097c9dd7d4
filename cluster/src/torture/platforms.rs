//! The simulated platforms: what they are told to do wrong, and what they have seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::act::Trouble;
use crate::harness::Http;

/// Messages of one answer, which has at most 1 MiB.
const PAGE: u64 = 1_000;
/// What was first called longer ago is over: the oldest message of an autopsy is younger.
const PAST: Duration = Duration::from_secs(400);

/// What a vendor calls its errors.
pub struct Words {
    /// The platform.
    pub platform: &'static str,
    /// An error that a repetition can mend.
    pub error: i64,
    /// The account is to slow down.
    pub throttle: i64,
    /// The account is refused.
    pub refuse: i64,
    /// The receiver cannot be reached.
    pub unreachable: i64,
}

/// Of every platform.
pub const WORDS: [Words; 2] = [
    Words {
        platform: "whatsapp",
        error: 131_000,
        throttle: 130_429,
        refuse: 190,
        unreachable: 131_026,
    },
    Words { platform: "instagram", error: 2, throttle: 613, refuse: 190, unreachable: 551 },
];

fn words(platform: &str) -> &'static Words {
    WORDS.iter().find(|words| words.platform == platform).unwrap_or(&WORDS[0])
}

/// One message in the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The account's id at its platform.
    pub account: String,
    /// How many calls it got.
    pub attempts: u64,
    /// How often it was accepted.
    pub accepted: u64,
    /// Where its first acceptance stands among all calls.
    pub first_accepted: Option<u64>,
}

/// Faults that are set, by a number of ours.
#[derive(Default)]
struct Faults {
    next: u64,
    active: BTreeMap<u64, Value>,
}

/// Where reading the newest messages begins: how far it had come, and when.
#[derive(Default)]
struct Watermark {
    known: Vec<(Instant, u64)>,
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Platforms {
    http: Http,
    url: String,
    faults: Arc<Mutex<Faults>>,
    watermarks: Arc<Mutex<BTreeMap<&'static str, Watermark>>>,
    /// How far each platform's ledger went when it was last asked for.
    ends: Arc<Mutex<BTreeMap<&'static str, u64>>>,
}

impl Platforms {
    /// Of the simulator at an address.
    pub fn new(url: String) -> Self {
        let (faults, watermarks, ends) = (Arc::default(), Arc::default(), Arc::default());
        Self { http: Http::new(), url, faults, watermarks, ends }
    }

    /// These receivers are refused for good.
    pub async fn refuse(&self, platform: &str, receivers: impl Iterator<Item = String>) {
        let mut faults = self.faults.lock().await;
        for receiver in receivers {
            let fault = json!({
                "kind": "error", "code": words(platform).unreachable, "http_status": 400,
                "platform": platform, "recipient": receiver, "times": 1_000_000,
            });
            faults.next += 1;
            let number = faults.next;
            faults.active.insert(number, fault);
        }
        self.set(&faults).await;
    }

    /// Calls go wrong from now on. Answers how to end it.
    pub async fn begin(
        &self,
        platform: &str,
        account: Option<&str>,
        trouble: Trouble,
        calls: u64,
    ) -> u64 {
        let words = words(platform);
        let mut fault = match trouble {
            Trouble::Down => json!({ "kind": "down" }),
            Trouble::Error => json!({ "kind": "error", "code": words.error, "http_status": 500 }),
            Trouble::Throttle => {
                json!({ "kind": "error", "code": words.throttle, "retry_after_s": 1 })
            }
            Trouble::Refuse => json!({ "kind": "error", "code": words.refuse, "http_status": 401 }),
            Trouble::Slow(by) => {
                let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
                json!({ "kind": "slow", "delay_ms": ms })
            }
            Trouble::Hang { taken } => json!({ "kind": "hang", "accept": taken }),
            Trouble::Cut { taken } => json!({ "kind": "cut", "accept": taken }),
        };
        fault["platform"] = platform.into();
        fault["times"] = calls.into();
        if let Some(account) = account {
            fault["account"] = account.into();
        }
        let mut faults = self.faults.lock().await;
        faults.next += 1;
        let number = faults.next;
        self.add(&fault).await;
        faults.active.insert(number, fault);
        number
    }

    /// From now on they do not.
    pub async fn end(&self, number: u64) {
        let mut faults = self.faults.lock().await;
        self.refresh(&mut faults).await;
        faults.active.remove(&number);
        self.set(&faults).await;
    }

    /// Nothing goes wrong from now on, but for receivers that are refused for good.
    pub async fn calm(&self) {
        let mut faults = self.faults.lock().await;
        faults.active.retain(|_, fault| fault.get("recipient").is_some());
        self.set(&faults).await;
    }

    /// A simulator that was started again has forgotten its faults: they begin anew.
    pub async fn remind(&self) {
        self.set(&*self.faults.lock().await).await;
    }

    /// How many calls each still has; the simulator lists them in the order in which they came, and
    /// forgets those that have none.
    async fn refresh(&self, faults: &mut Faults) {
        let Some(read) = self.http.get(&format!("{}/_sim/faults", self.url)).await else { return };
        let mut listed = read["faults"].as_array().into_iter().flatten().peekable();
        faults.active.retain(|_, fault| {
            let is_same = |it: &&Value| {
                let same = |key: &str| it.get(key) == fault.get(key);
                ["kind", "platform", "account", "code", "delay_ms", "accept"].into_iter().all(same)
            };
            match listed.next_if(is_same) {
                Some(it) => fault["times"] = it["times"].clone(),
                None => return false,
            }
            true
        });
    }

    async fn set(&self, faults: &Faults) {
        // One that is away has none, and is reminded later.
        let _away = self.http.delete(&format!("{}/_sim/faults", self.url)).await;
        for fault in faults.active.values() {
            self.add(fault).await;
        }
    }

    async fn add(&self, fault: &Value) {
        let _away = self.http.post(&format!("{}/_sim/faults", self.url), fault).await;
    }

    /// A total of the ledger, of one platform or of all; `None` while nobody answers.
    pub async fn total(&self, name: &str, platform: Option<&str>) -> Option<u64> {
        let platform = platform.map(|name| format!("&platform={name}")).unwrap_or_default();
        let url = format!("{}/_sim/ledger?limit=1{platform}", self.url);
        self.http.get(&url).await?["totals"][name].as_u64()
    }

    /// All totals.
    pub async fn totals(&self) -> Option<Value> {
        let read = self.http.get(&format!("{}/_sim/ledger?limit=1", self.url)).await?;
        Some(read["totals"].clone())
    }

    /// The messages of a platform after a point in the ledger, and how far that is; `None` while
    /// nobody answers.
    pub async fn messages(
        &self,
        platform: &str,
        mut after: u64,
    ) -> Option<(BTreeMap<String, Entry>, u64)> {
        let mut all = BTreeMap::new();
        loop {
            let url = format!(
                "{}/_sim/ledger/messages?platform={platform}&limit={PAGE}&after={after}",
                self.url
            );
            let page = self.http.get(&url).await?;
            for message in page["messages"].as_array()? {
                let entry = Entry {
                    account: message["account"].as_str()?.to_owned(),
                    attempts: message["attempts"].as_u64()?,
                    accepted: message["accepted"].as_u64()?,
                    first_accepted: message["first_accepted_sequence"].as_u64(),
                };
                all.insert(message["message"].as_str()?.to_owned(), entry);
            }
            match page["next"].as_u64() {
                Some(next) => after = next,
                None => return Some((all, after)),
            }
        }
    }

    /// How far a platform's ledger goes; `None` while nobody answers.
    pub async fn end_of_ledger(&self, platform: &'static str) -> Option<u64> {
        let mut ends = self.ends.lock().await;
        let end = ends.entry(platform).or_default();
        (_, *end) = self.messages(platform, *end).await?;
        Some(*end)
    }

    /// Whether an account has got a message accepted that was first called after a point in the ledger;
    /// `None` while nobody answers.
    pub async fn has_accepted(&self, platform: &str, account: &str, after: u64) -> Option<bool> {
        let (messages, _) = self.messages(platform, after).await?;
        Some(messages.values().any(|entry| entry.account == account && entry.accepted > 0))
    }

    /// As [`Platforms::messages`], of what was first called within the last minutes, and accepted.
    pub async fn lately_accepted(&self, platform: &'static str) -> Option<BTreeSet<String>> {
        let mut watermarks = self.watermarks.lock().await;
        let watermark = watermarks.entry(platform).or_default();
        let past = watermark.known.iter().rposition(|(at, _)| at.elapsed() > PAST);
        watermark.known.drain(..past.unwrap_or(0));
        let after = past.and(watermark.known.first()).map_or(0, |(_, after)| *after);
        let (messages, end) = self.messages(platform, after).await?;
        watermark.known.push((Instant::now(), end));
        let accepted = messages.into_iter().filter(|(_, entry)| entry.accepted > 0);
        Some(accepted.map(|(id, _)| id).collect())
    }
}
