//! One configuration file for every service of a test, as an operator would write it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::Role;

/// The longest call, which the lease takes off the session: the least that is allowed.
const CALL_TIMEOUT_MS: u32 = 6_000;
/// How long a connector starts calls without a successful commit, in seconds.
const FRESH_S: u32 = 3;
/// A lost process is noticed after this. Short, so that a test need not wait long; long enough for
/// a machine with two busy cores.
const SESSION_TIMEOUT_MS: u32 = 12_000;
/// The default of `commit_interval_ms`.
const COMMIT_INTERVAL_MS: u32 = 100;

/// A sending identity, on a partition of its own.
#[derive(Clone, Debug)]
pub struct Account {
    /// Where it sends.
    pub platform: &'static str,
    /// Its name in the configuration.
    pub name: String,
}

/// Keys with their values as TOML writes them.
#[derive(Clone, Debug)]
pub struct Config {
    keys: BTreeMap<String, String>,
    /// Those that messages go to.
    pub accounts: Vec<Account>,
    per_second: u32,
    max_in_flight: u32,
}

impl Config {
    /// So many accounts of each platform, quick simulated platforms, and the time-outs above;
    /// everything else as by default.
    pub fn new(accounts: &[(&'static str, usize)]) -> Self {
        let keys = BTreeMap::new();
        let mut new = Self { keys, accounts: Vec::new(), per_second: 0, max_in_flight: 0 };
        for (platform, count) in accounts {
            new = new.platform(platform, *count);
        }
        new.set("kafka.session_timeout_ms", SESSION_TIMEOUT_MS)
            .set("kafka.heartbeat_interval_ms", 500)
            .simulator("latency", 60, 120)
            .simulator("delivered_after", 10, 40)
            .simulator("read_after", 10, 40)
            // Each costs as much as a delivery, and thousands show nothing that some do not.
            .set("simulation.simulator.read_per_mille", 100)
            .set("simulation.simulator.webhook_timeout_ms", 3_000)
            .limits(200, 50)
    }

    fn platform(mut self, platform: &'static str, count: usize) -> Self {
        let (pattern, rule, has_receipts) = match platform {
            "whatsapp" => (r"^\+[1-9][0-9]{6,14}$", "a phone number", true),
            _ => ("^[0-9]{1,32}$", "digits only", false),
        };
        let key = |name: &str| format!("platforms.{platform}.{name}");
        self = self
            .set(&key("recipient_pattern"), format!("'{pattern}'"))
            .text(&key("recipient_rule"), rule)
            .set(&key("has_receipts"), has_receipts)
            .set(&key("simulated"), true)
            .text(&key("default_account"), "default");
        for partition in 0..count {
            let name = match partition {
                0 => "default".to_owned(),
                other => format!("account-{other}"),
            };
            self = self.set(&key(&format!("accounts.{name}.partition")), partition);
            self.accounts.push(Account { platform, name });
        }
        let policy = |name: &str| format!("connectors.{platform}.policy.{name}");
        self.set(&policy("call_timeout_ms"), CALL_TIMEOUT_MS)
            .set(&policy("commit_interval_ms"), COMMIT_INTERVAL_MS)
            .set(&policy("in_doubt_wait_ms"), 1_000)
    }

    /// Sets a key to a number or a truth, or to anything that is TOML as it is printed.
    pub fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.keys.insert(key.to_owned(), value.to_string());
        self
    }

    /// Sets a key to a text.
    pub fn text(self, key: &str, value: &str) -> Self {
        self.set(key, format!("{value:?}"))
    }

    /// The port of a role's first process.
    pub fn port(&self, role: Role) -> u16 {
        let address = self.keys.get(&role.listen()).expect("an address");
        let port = address.trim_matches('"').rsplit_once(':').expect("a port").1;
        port.parse().expect("a port")
    }

    fn simulator(self, key: &str, low: u32, high: u32) -> Self {
        let key = format!("simulation.simulator.{key}");
        self.set(&format!("{key}_min_ms"), low).set(&format!("{key}_max_ms"), high)
    }

    /// The pace of every account, and its most calls at once.
    pub fn limits(mut self, per_second: u32, max_in_flight: u32) -> Self {
        (self.per_second, self.max_in_flight) = (per_second, max_in_flight);
        for Account { platform, name } in self.accounts.clone() {
            let account = format!("platforms.{platform}.accounts.{name}.per_second");
            let policy = format!("connectors.{platform}.policy.max_in_flight");
            self = self.set(&account, per_second).set(&policy, max_in_flight);
        }
        self
    }

    /// The most messages that a platform's connector can have in flight, with an outcome that is not in
    /// the log yet, or finished since its last commit, at any moment (I6): what a kill of it may cause to
    /// be sent again.
    pub fn repeatable(&self, platform: &str) -> u64 {
        // The pacer saves up a tenth of a second.
        let completed = self.per_second * COMMIT_INTERVAL_MS / 1_000 + self.per_second / 10;
        self.accounts_of(platform) * u64::from(self.outstanding() + completed)
    }

    /// Calls of an account under way, and outcomes that the log has not acknowledged: the most of both.
    fn outstanding(&self) -> u32 {
        self.max_in_flight + self.max_in_flight.clamp(64, 1_000)
    }

    /// As [`Config::repeatable`], when the log goes away: no call starts once the last commit is
    /// [`FRESH_S`] old.
    pub fn repeatable_without_log(&self, platform: &str) -> u64 {
        let most = self.outstanding() + self.per_second * FRESH_S;
        self.accounts_of(platform) * u64::from(most)
    }

    fn accounts_of(&self, platform: &str) -> u64 {
        self.accounts.iter().filter(|account| account.platform == platform).count() as u64
    }

    /// The platforms that messages go to.
    pub fn platforms(&self) -> BTreeSet<&'static str> {
        self.accounts.iter().map(|account| account.platform).collect()
    }

    /// Messages go to the accounts of one platform only.
    pub fn only_to(mut self, platform: &str) -> Self {
        self.accounts.retain(|account| account.platform == platform);
        self
    }

    /// Those keys that are, or stand under, one of these, as a file.
    pub fn part(&self, under: &[&str]) -> String {
        let is_below = |rest: &str| rest.is_empty() || rest.starts_with('.');
        let is_meant =
            |key: &str| under.iter().any(|under| key.strip_prefix(under).is_some_and(is_below));
        let mut text = String::new();
        for (key, value) in self.keys.iter().filter(|(key, _)| is_meant(key)) {
            writeln!(text, "{key} = {value}").expect("a string takes everything");
        }
        text
    }

    /// All keys, as a file.
    pub fn whole(&self) -> String {
        self.keys.iter().map(|(key, value)| format!("{key} = {value}\n")).collect()
    }
}
