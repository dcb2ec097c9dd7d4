//! A line of progress on standard error, rewritten in place on a terminal.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use tokio::time::Instant;

use super::ledger::Look;

const EVERY: Duration = Duration::from_millis(250);

pub(super) struct Progress {
    what: String,
    shown: Option<Instant>,
    is_terminal: bool,
}

impl Progress {
    pub(super) fn of(what: String) -> Self {
        Self { what, shown: None, is_terminal: std::io::stderr().is_terminal() }
    }

    pub(super) fn show(&mut self, look: &Look, messages: u32) {
        if !self.is_terminal || self.shown.is_some_and(|at| at.elapsed() < EVERY) {
            return;
        }
        self.shown = Some(Instant::now());
        let Look { called, in_flight, .. } = look;
        self.write(&format!("{called} of {messages} called, {in_flight} under way"), "");
    }

    /// The last word, which stays.
    pub(super) fn end(&mut self, text: &str) {
        self.write(text, "\n");
    }

    fn write(&self, text: &str, end: &str) {
        let start = if self.is_terminal { "\r\x1b[K" } else { "" };
        let mut out = std::io::stderr();
        // Whoever started us need not be listening.
        let _closed = write!(out, "{start}{}: {text}{end}", self.what).and_then(|()| out.flush());
    }
}
