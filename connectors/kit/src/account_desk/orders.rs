//! Operators' commands, from the records of `accounts` to what gateways obey. No I/O.

use std::collections::BTreeMap;

use chat4all_contracts::{AccountCommand, AccountName, AccountOrder, AccountRecord, PlatformName};
use chat4all_eventlog::Record;

use crate::steering::Orders;

/// What a record says.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// A command to an account of this platform.
    Command(AccountCommand),
    /// Nothing that concerns us: a state, another platform's account, a later release's record.
    Nothing,
    /// Nothing that can be read.
    Unreadable,
}

/// Reads a record of `accounts`.
pub fn read(record: &Record, platform: &PlatformName) -> Said {
    match AccountRecord::parse(&record.key, &record.value) {
        Ok(Some(AccountRecord::Command(command))) if command.platform == *platform => {
            Said::Command(command)
        }
        Ok(_) => Said::Nothing,
        Err(why) => {
            tracing::warn!(record = ?record, %why, "a record about an account is passed over");
            Said::Unreadable
        }
    }
}

/// What is wanted of each account, as far as the log has been read.
#[derive(Debug, Default)]
pub struct Book {
    orders: BTreeMap<AccountName, Orders>,
}

impl Book {
    /// Enters a command; answers what is wanted of its account now.
    pub fn enter(&mut self, command: &AccountCommand, offset: u64) -> Orders {
        let orders = self.orders.entry(command.account.clone()).or_default();
        match command.command {
            AccountOrder::Pause => orders.paused = true,
            AccountOrder::Resume => orders.paused = false,
            // Done at once, or not at all: it leaves nothing behind.
            AccountOrder::CloseBreaker => {}
        }
        orders.applied = orders.applied.max(Some(offset));
        *orders
    }

    /// What is wanted of an account.
    pub fn of(&self, account: &AccountName) -> Orders {
        self.orders.get(account).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use chat4all_contracts::EpochMs;

    use super::*;

    fn command(command: AccountOrder) -> AccountCommand {
        AccountCommand {
            platform: PlatformName::new("plain").unwrap(),
            account: AccountName::new("main").unwrap(),
            command,
            at: EpochMs::saturating(1),
            by: "maria".to_owned(),
            reason: None,
        }
    }

    #[test]
    fn to_close_a_breaker_leaves_a_pause_as_it_is() {
        let mut book = Book::default();
        let paused = |applied| Orders { paused: true, applied: Some(applied) };
        assert_eq!(book.enter(&command(AccountOrder::Pause), 3), paused(3));
        assert_eq!(book.enter(&command(AccountOrder::CloseBreaker), 4), paused(4));
        let resumed = book.enter(&command(AccountOrder::Resume), 9);
        assert_eq!(resumed, Orders { paused: false, applied: Some(9) });
        assert_eq!(book.of(&AccountName::new("other").unwrap()), Orders::default());
    }

    #[test]
    fn compaction_may_bring_the_commands_of_two_keys_in_another_order() {
        let mut book = Book::default();
        book.enter(&command(AccountOrder::CloseBreaker), 2);
        assert_eq!(book.enter(&command(AccountOrder::Pause), 1).applied, Some(2));
    }
}
