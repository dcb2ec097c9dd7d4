//! What everyone may know of a platform: its recipients' grammar, its limits, its accounts.
//!
//! This is data from the configuration. Code that serves one platform lives in that platform's
//! connector and nowhere else.

use std::collections::BTreeMap;

use regex::Regex;

use crate::fields::Rule;
use crate::id::{AccountName, PlatformName, ReceiverId};

/// A sending identity of a platform, as the API and the router need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSpec {
    /// The partition of `{platform}-outbound` that carries this account's messages. One account
    /// a partition: two in one share their fate.
    pub partition: u32,
}

/// A platform, as the API and the router need it.
#[derive(Clone, Debug)]
pub struct PlatformSpec {
    /// What an address must match, anchored.
    pub recipient: Regex,
    /// The same in words, for the person who sent a bad one.
    pub recipient_rule: String,
    /// Whether the platform reports the delivery of a message. If it does not, its acceptance
    /// is shown as DELIVERED.
    pub has_receipts: bool,
    /// The accounts by name; never empty.
    pub accounts: BTreeMap<AccountName, AccountSpec>,
    /// The account of a message that names none; one of `accounts`.
    pub default_account: AccountName,
}

impl PlatformSpec {
    /// The partition count that `{platform}-outbound` needs.
    pub fn partitions(&self) -> u32 {
        self.accounts.values().map(|account| account.partition + 1).max().unwrap_or(1)
    }

    /// The account that a message goes out from: the named one, or the default. `None` if the
    /// platform has no such account.
    pub fn account<'a>(
        &'a self,
        named: Option<&'a AccountName>,
    ) -> Option<(&'a AccountName, &'a AccountSpec)> {
        self.accounts.get_key_value(named.unwrap_or(&self.default_account))
    }

    /// Checks an address against the platform's grammar; the error does not repeat the address.
    pub fn check_recipient(&self, receiver: &ReceiverId) -> Result<(), Rule> {
        if self.recipient.is_match(receiver.address()) {
            Ok(())
        } else {
            Err(Rule::of(format!("must be {}:{}", receiver.platform(), self.recipient_rule)))
        }
    }
}

/// The platforms of this installation, by name.
#[derive(Clone, Debug, Default)]
pub struct Platforms(pub BTreeMap<PlatformName, PlatformSpec>);

impl Platforms {
    /// The platform with this name.
    pub fn get(&self, name: &str) -> Option<(&PlatformName, &PlatformSpec)> {
        let name = PlatformName::new(name).ok()?;
        self.0.get_key_value(&name)
    }

    /// The names, for an error message that lists what there is.
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.0.keys().map(PlatformName::as_str).collect();
        names.join(", ")
    }
}
