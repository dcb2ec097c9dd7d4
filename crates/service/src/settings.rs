//! Settings that several services read, each from the same section of one file.

use std::collections::BTreeMap;
use std::time::Duration;

use chat4all_eventlog::Topology;
use chat4all_process::config::Bounded;
use serde::{Deserialize, Serialize};

/// `[log]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// The longest record, in bytes.
    pub max_record_bytes: Bounded<1_048_576, 16_777_216>,
    /// With less free disk than this, in MiB, the API answers 503, while what is under way can
    /// still be finished. Of the embedded log only.
    pub free_disk_floor_mib: Bounded<0, 1_048_576>,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { max_record_bytes: Bounded::new(1_048_576), free_disk_floor_mib: Bounded::new(256) }
    }
}

/// `[topics]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TopicSettings {
    /// Partitions of `messages`. Cannot be changed later: keys would move.
    pub messages_partitions: Bounded<1, 10_000>,
    /// Partitions of `status-updates`. Cannot be changed later.
    pub status_updates_partitions: Bounded<1, 10_000>,
    /// Partitions of `receipts`. Cannot be changed later.
    pub receipts_partitions: Bounded<1, 10_000>,
    /// Partitions of `inbound`. Cannot be changed later.
    pub inbound_partitions: Bounded<1, 10_000>,
    /// How long records are kept, in hours: at least three times a message's longest life.
    pub retention_hours: Bounded<72, 87_600>,
}

impl Default for TopicSettings {
    fn default() -> Self {
        Self {
            messages_partitions: Bounded::new(4),
            status_updates_partitions: Bounded::new(4),
            receipts_partitions: Bounded::new(2),
            inbound_partitions: Bounded::new(2),
            retention_hours: Bounded::new(168),
        }
    }
}

impl TopicSettings {
    /// The same for the log.
    pub fn topology(&self) -> Topology {
        Topology {
            messages: self.messages_partitions.get() as u32,
            status_updates: self.status_updates_partitions.get() as u32,
            receipts: self.receipts_partitions.get() as u32,
            inbound: self.inbound_partitions.get() as u32,
            retention: Duration::from_secs(self.retention_hours.get() * 3600),
        }
    }
}

/// `[platforms.<name>]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PlatformSettings {
    /// What a receiver's address must match: an anchored regular expression.
    pub recipient_pattern: String,
    /// The same in words, for whoever sent a bad one.
    pub recipient_rule: String,
    /// Whether the platform reports deliveries. If not, its acceptance is shown as DELIVERED.
    pub has_receipts: bool,
    /// Whether the simulator stands in. Absent: in one process, if there are no credentials;
    /// for a connector as a process of its own, no.
    #[serde(default)]
    pub simulated: Option<bool>,
    /// The account of a message that names none.
    pub default_account: String,
    /// The sending identities.
    pub accounts: BTreeMap<String, AccountSettings>,
}

/// `[platforms.<name>.accounts.<account>]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AccountSettings {
    /// The account's partition of the platform's topic. One account a partition, or they share
    /// their fate.
    pub partition: Bounded<0, 9_999>,
    /// The account's pace, in calls a second.
    pub per_second: Bounded<1, 100_000>,
}
