//! What the topic `accounts` says now, of every account: the last state, the last commands.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chat4all_contracts::{
    AccountCommand, AccountName, AccountOrder, AccountRecord, AccountState, PlatformName,
};
use chat4all_eventlog::Record;

/// A command and its offset: a connector that has come so far follows it.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) command: AccountCommand,
    pub(super) offset: u64,
}

/// What is known of one account.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) state: Option<AccountState>,
    /// The last pause or resume.
    pub(super) command: Option<Given>,
    /// The last time that its breaker was to be closed.
    pub(super) closed: Option<Given>,
}

/// All accounts that were ever spoken of: as many as were ever configured.
#[derive(Debug, Default)]
pub(super) struct Board(BTreeMap<(PlatformName, AccountName), Known>);

impl Board {
    pub(super) fn of(&self, platform: &PlatformName, account: &AccountName) -> Option<&Known> {
        self.0.get(&(platform.clone(), account.clone()))
    }

    fn learn(&mut self, record: &Record) {
        match AccountRecord::parse(&record.key, &record.value) {
            Ok(Some(AccountRecord::State(state))) => {
                let known = self.entry(&state.platform, &state.account);
                known.state = Some(state);
            }
            Ok(Some(AccountRecord::Command(command))) => {
                let order = command.command;
                let known = self.entry(&command.platform, &command.account);
                let given = Some(Given { command, offset: record.offset });
                match order {
                    AccountOrder::Pause | AccountOrder::Resume => known.command = given,
                    AccountOrder::CloseBreaker => known.closed = given,
                }
            }
            Ok(None) => {}
            Err(why) => {
                tracing::warn!(?record, %why, "a record about an account is passed over");
            }
        }
    }

    fn entry(&mut self, platform: &PlatformName, account: &AccountName) -> &mut Known {
        self.0.entry((platform.clone(), account.clone())).or_default()
    }
}

/// The board, as far as it has been read.
#[derive(Default)]
pub(crate) struct Accounts(Mutex<Reading>);

#[derive(Default)]
struct Reading {
    /// What holds; `None` until everything has been read once.
    board: Option<Board>,
    /// What has been read since the topic is read from its start again.
    next: Option<Board>,
}

impl Accounts {
    fn with<T>(&self, f: impl FnOnce(&mut Reading) -> T) -> T {
        // A board takes one record at a time.
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The topic is read from its start.
    pub(super) fn begin(&self) {
        self.with(|reading| reading.next = Some(Board::default()));
    }

    pub(super) fn learn(&self, records: &[Record]) {
        self.with(|reading| {
            if let Some(board) = reading.next.as_mut().or(reading.board.as_mut()) {
                records.iter().for_each(|record| board.learn(record));
            }
        });
    }

    /// From now on the board holds.
    pub(super) fn caught_up(&self) {
        self.with(|reading| reading.board = reading.next.take().or(reading.board.take()));
    }

    /// What a connector last said of an account.
    pub(crate) fn state(
        &self,
        platform: &PlatformName,
        account: &AccountName,
    ) -> Option<AccountState> {
        self.read(|board| board.of(platform, account)?.state.clone()).flatten()
    }

    /// Looks at the board; `None` as long as it has not been read.
    pub(super) fn read<T>(&self, look: impl FnOnce(&Board) -> T) -> Option<T> {
        self.with(|reading| reading.board.as_ref().map(look))
    }
}
