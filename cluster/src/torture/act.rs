//! One thing that goes wrong: what it is called, and how it is written down.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Role, Server};

/// The most instances of a service.
pub const MOST_INSTANCES: usize = 3;
/// A freeze that is longer than this outlasts the session of a consumer.
pub const SESSION: Duration = Duration::from_secs(12);

/// What runs one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Services, simulator, Kafka and Cassandra.
    Processes,
    /// What the platforms answer.
    Platforms,
    /// The ways between all of them.
    Network,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// `kill -9` of one instance, and a new start after a while.
    Kill {
        /// Of which role.
        role: Role,
        /// Chooses among its instances.
        which: usize,
        /// From the end to the next start.
        away: Duration,
    },
    /// `kill -9` of every service at once, as when the power fails.
    KillAll {
        /// From the end to the next start.
        away: Duration,
    },
    /// SIGTERM, the end, and a new start.
    Restart {
        /// Of which role.
        role: Role,
        /// Chooses among its instances.
        which: usize,
    },
    /// SIGSTOP, and SIGCONT after a while.
    Freeze {
        /// Of which role.
        role: Role,
        /// Chooses among its instances.
        which: usize,
        /// For how long.
        lasting: Duration,
    },
    /// More instances, or fewer.
    Scale {
        /// Of which role.
        role: Role,
        /// How many there are then.
        to: usize,
        /// Whether those that go are killed.
        hard: bool,
    },
    /// `kill -9` of a server, and a new start on what it held.
    KillServer {
        /// Which one.
        server: Server,
        /// From the end to the next start.
        away: Duration,
    },
    /// SIGSTOP of a server, and SIGCONT.
    FreezeServer {
        /// Which one.
        server: Server,
        /// For how long.
        lasting: Duration,
    },
    /// A platform, or one account there, answers badly.
    Platform {
        /// Which one.
        platform: &'static str,
        /// Chooses one of its accounts; `None` = all of them.
        account: Option<usize>,
        /// How.
        trouble: Trouble,
        /// Until so many calls had it,
        calls: u64,
        /// or until this is over.
        lasting: Duration,
    },
    /// A wire is bad.
    Network {
        /// Which one.
        way: Way,
        /// How.
        harm: Harm,
        /// For how long.
        lasting: Duration,
    },
}

/// What a platform does to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// 503 without a body.
    Down,
    /// An error that a repetition can mend.
    Error,
    /// The account is to slow down.
    Throttle,
    /// The account is refused.
    Refuse,
    /// The answer comes so much later.
    Slow(Duration),
    /// No answer.
    Hang {
        /// Whether the message was taken.
        taken: bool,
    },
    /// The answer breaks off.
    Cut {
        /// Whether the message was taken.
        taken: bool,
    },
}

/// A way between two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// From clients to the API's first instance.
    Api,
    /// From all services to Kafka.
    Log,
    /// From the API and the status-consumer to Cassandra.
    Store,
    /// From a platform's connectors to the platform.
    Calls(&'static str),
    /// From a platform to its connector's webhook.
    Receipts(&'static str),
}

/// What a wire does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Everything takes so much longer.
    Slow(Duration),
    /// Nothing arrives until it is over.
    Stuck,
    /// Answers get lost.
    Deaf,
    /// Connections end, new ones too.
    Cut,
    /// Connections are reset once.
    Reset,
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Processes => "processes",
            Self::Platforms => "platforms",
            Self::Network => "network",
        })
    }
}

impl Act {
    /// What acts are counted and compared by. Few words.
    pub fn kind(&self) -> String {
        match self {
            Self::Kill { role, .. } => format!("kill -9 {}", role.name()),
            Self::KillAll { .. } => "kill -9 all services".to_owned(),
            Self::Restart { role, .. } => format!("SIGTERM {}", role.name()),
            Self::Freeze { role, lasting, .. } if *lasting > SESSION => {
                format!("SIGSTOP {}, past its session", role.name())
            }
            Self::Freeze { role, .. } => format!("SIGSTOP {}", role.name()),
            Self::Scale { role, to: 1, .. } => format!("scale in {}", role.name()),
            Self::Scale { role, .. } => format!("scale out {}", role.name()),
            Self::KillServer { server, .. } => format!("kill -9 {}", server.name()),
            Self::FreezeServer { server, .. } => format!("SIGSTOP {}", server.name()),
            Self::Platform { trouble, .. } => format!("platform {}", trouble.word()),
            Self::Network { way, harm, .. } => format!("network {} {}", way.kind(), harm.word()),
        }
    }

    /// As a line of a file.
    pub fn to_json(&self) -> Value {
        json!({ "kind": self.kind(), "act": self.to_string() })
    }
}

fn seconds(of: &Duration) -> String {
    format!("{:.1} s", of.as_secs_f64())
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill { role, which, away } => {
                write!(f, "kill -9 {} ({which}), away {}", role.name(), seconds(away))
            }
            Self::KillAll { away } => write!(f, "kill -9 all services, away {}", seconds(away)),
            Self::Restart { role, which } => write!(f, "SIGTERM {} ({which})", role.name()),
            Self::Freeze { role, which, lasting } => {
                write!(f, "SIGSTOP {} ({which}) for {}", role.name(), seconds(lasting))
            }
            Self::Scale { role, to, hard } => {
                let how = if *hard { " with kill -9" } else { "" };
                write!(f, "{} instances of {}{how}", to, role.name())
            }
            Self::KillServer { server, away } => {
                write!(f, "kill -9 {}, away {}", server.name(), seconds(away))
            }
            Self::FreezeServer { server, lasting } => {
                write!(f, "SIGSTOP {} for {}", server.name(), seconds(lasting))
            }
            Self::Platform { platform, account, trouble, calls, lasting } => {
                let account = account.map(|n| format!(" account {n}")).unwrap_or_default();
                let (word, lasting) = (trouble.word(), seconds(lasting));
                write!(f, "{platform}{account}: {word}, at most {calls} calls and {lasting}")
            }
            Self::Network { way, harm, lasting } => {
                write!(f, "{way}: {} for {}", harm.word(), seconds(lasting))
            }
        }
    }
}

impl Trouble {
    fn word(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Error => "error",
            Self::Throttle => "throttle",
            Self::Refuse => "refuses account",
            Self::Slow(_) => "slow",
            Self::Hang { taken: true } => "hangs after",
            Self::Hang { taken: false } => "hangs before",
            Self::Cut { taken: true } => "cuts after",
            Self::Cut { taken: false } => "cuts before",
        }
    }
}

impl Way {
    fn kind(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Log => "log",
            Self::Store => "store",
            Self::Calls(_) => "calls",
            Self::Receipts(_) => "receipts",
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api => f.write_str("clients to api"),
            Self::Log => f.write_str("services to Kafka"),
            Self::Store => f.write_str("services to Cassandra"),
            Self::Calls(platform) => write!(f, "connectors to {platform}"),
            Self::Receipts(platform) => write!(f, "{platform} to webhook"),
        }
    }
}

impl Harm {
    fn word(self) -> &'static str {
        match self {
            Self::Slow(_) => "slow",
            Self::Stuck => "stuck",
            Self::Deaf => "deaf",
            Self::Cut => "cut",
            Self::Reset => "reset",
        }
    }
}
