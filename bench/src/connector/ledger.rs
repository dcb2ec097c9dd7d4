//! What the platform has seen: which messages were called, when, how often, in which order.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::statistics::percentile;

/// What a call says about its message; the text that the load has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Called {
    pub(super) number: u32,
    pub(super) conversation: u32,
    /// The how-manieth message of its conversation, from 1 on.
    pub(super) sequence: u32,
    /// When it should have been called, in ms since 1970; 0 = as soon as possible.
    pub(super) intended_ms: u64,
}

impl Called {
    /// The message's text.
    pub(super) fn text(&self) -> String {
        let Self { number, conversation, sequence, intended_ms } = self;
        let numbers = format!("{number} {conversation} {sequence} {intended_ms} ");
        format!("{numbers:.<100}")
    }

    /// Reads it in a request's body, wherever the platform has it.
    pub(super) fn find(body: &[u8]) -> Option<Self> {
        let body = std::str::from_utf8(body).ok()?;
        let (_, text) =
            body.split_once("\"body\":\"").or_else(|| body.split_once("\"text\":\""))?;
        let mut numbers = text.split(' ');
        Some(Self {
            number: numbers.next()?.parse().ok()?,
            conversation: numbers.next()?.parse().ok()?,
            sequence: numbers.next()?.parse().ok()?,
            intended_ms: numbers.next()?.parse().ok()?,
        })
    }
}

/// See the module. Messages with a number beyond those that are measured warm up, and leave no
/// trace but [`Look::warm`].
pub(super) struct Ledger {
    times: Vec<u32>,
    /// By conversation, the latest message that was called.
    latest: Vec<u32>,
    look: Look,
    peak: u32,
    overtaken: u32,
    first: Option<Instant>,
    last: Option<Instant>,
    lags_ms: Vec<u64>,
}

/// How far it is, at a moment.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Look {
    /// Messages called at least once.
    pub(super) called: u32,
    /// Calls.
    pub(super) calls: u32,
    /// Calls that are not answered yet.
    pub(super) in_flight: u32,
    /// Messages that warm up.
    pub(super) warm: u32,
}

/// What is to be said at the end.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Report {
    /// From the first call to the last that was the first of its message, in seconds.
    pub(super) seconds: f64,
    /// Messages called at least once.
    pub(super) called: u32,
    /// Calls beyond the first of each message.
    pub(super) duplicates: u32,
    /// Messages first called after a later one of their conversation.
    pub(super) overtaken: u32,
    /// The most calls at once.
    pub(super) in_flight_peak: u32,
    /// From the intended time to the first call, in milliseconds.
    pub(super) lag_p50_ms: f64,
    /// As above.
    pub(super) lag_p99_ms: f64,
}

impl Ledger {
    pub(super) fn new(messages: u32, conversations: u32) -> Self {
        Self {
            times: vec![0; messages as usize],
            latest: vec![0; conversations as usize],
            look: Look::default(),
            peak: 0,
            overtaken: 0,
            first: None,
            last: None,
            lags_ms: Vec::with_capacity(messages as usize),
        }
    }

    /// A call has come, at this moment and time of day.
    pub(super) fn begin(&mut self, call: &Called, at: Instant, now_ms: u64) {
        let Some(times) = self.times.get_mut(call.number as usize) else {
            self.look.warm += 1;
            return;
        };
        *times += 1;
        self.look.calls += 1;
        self.look.in_flight += 1;
        self.peak = self.peak.max(self.look.in_flight);
        if *times > 1 {
            return;
        }
        self.look.called += 1;
        self.first.get_or_insert(at);
        self.last = Some(at);
        if call.intended_ms > 0 {
            self.lags_ms.push(now_ms.saturating_sub(call.intended_ms));
        }
        if let Some(latest) = self.latest.get_mut(call.conversation as usize) {
            self.overtaken += u32::from(call.sequence < *latest);
            *latest = call.sequence.max(*latest);
        }
    }

    /// A call has been answered.
    pub(super) fn end(&mut self, call: &Called) {
        if (call.number as usize) < self.times.len() {
            self.look.in_flight -= 1;
        }
    }

    pub(super) fn look(&self) -> Look {
        self.look
    }

    pub(super) fn report(&self) -> Report {
        let span = self.first.zip(self.last).map_or(Duration::ZERO, |(first, last)| last - first);
        let lag = |percent| percentile(&self.lags_ms, percent) as f64;
        Report {
            seconds: span.as_secs_f64(),
            called: self.look.called,
            duplicates: self.look.calls - self.look.called,
            overtaken: self.overtaken,
            in_flight_peak: self.peak,
            lag_p50_ms: lag(50),
            lag_p99_ms: lag(99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(number: u32, sequence: u32) -> Called {
        Called { number, conversation: 1, sequence, intended_ms: 1_000 }
    }

    #[test]
    fn the_text_of_a_message_is_found_in_a_call() {
        let called = call(7, 2);
        let body = format!(r#"{{"a":"{{\"m\":1}}","text":{{"body":"{}","b":1}}}}"#, called.text());
        assert_eq!(Called::find(body.as_bytes()), Some(called));
        assert_eq!(called.text().len(), 100);
        for other in ["", "{}", r#"{"text":{"body":"x"}}"#, r#"{"body":"1 2 3"}"#] {
            assert_eq!(Called::find(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn duplicates_overtaken_lag_and_the_calls_under_way_are_counted() {
        let (mut ledger, begun) = (Ledger::new(4, 2), Instant::now());
        let second = Duration::from_secs(1);
        ledger.begin(&call(0, 1), begun, 1_005);
        ledger.begin(&call(2, 3), begun + second, 1_010);
        ledger.begin(&call(1, 2), begun + second * 2, 1_020);
        ledger.end(&call(0, 1));
        ledger.begin(&call(0, 1), begun + second * 3, 9_999);
        ledger.begin(&call(4, 1), begun + second * 4, 9_999);
        let Look { called, calls, in_flight, warm } = ledger.look();
        assert_eq!((called, calls, in_flight, warm), (3, 4, 3, 1));
        let report = ledger.report();
        assert_eq!((report.duplicates, report.overtaken, report.in_flight_peak), (1, 1, 3));
        assert_eq!((report.seconds, report.lag_p50_ms, report.lag_p99_ms), (2.0, 10.0, 20.0));
    }
}
