//! The scenarios: what is delivered, how long the platform takes, and what the ratios to the floor
//! must be.

use std::time::Duration;

use clap::ValueEnum;

/// The partitions of a scenario's topic.
pub(super) const PARTITIONS: i32 = 6;

/// Which work is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "verbatim")]
pub(super) enum Name {
    /// A backlog, calls as long as a real platform's
    S1,
    /// A few conversations get most of the messages
    S2,
    /// A steady load, each message at its intended time
    S3,
    /// A platform that answers at once
    S4,
    /// kill -9 with calls under way, then a new process
    S5,
}

/// One scenario.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) name: Name,
    pub(super) messages: u32,
    pub(super) conversations: u32,
    /// How messages fall to the conversations.
    pub(super) spread: Spread,
    /// How long the platform takes, in milliseconds: uniform, decided by the message's number.
    pub(super) call_ms: (u64, u64),
    /// The most calls at once.
    pub(super) in_flight: u32,
    /// Messages a second, each written at its intended time; `None` = all are there beforehand.
    pub(super) rate: Option<u32>,
    pub(super) limits: Limits,
}

/// How messages fall to conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spread {
    /// In turn.
    Even,
    /// The nth conversation gets a share of 1/n.
    Zipf,
}

/// What must hold: ratios to the floor but for the lag.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    pub(super) goodput: Option<f64>,
    pub(super) cpu: Option<f64>,
    pub(super) memory: Option<f64>,
    pub(super) lag_p99_ms: Option<f64>,
    /// Calls made twice, as a multiple of the calls under way at the kill.
    pub(super) duplicates: Option<f64>,
}

impl Scenario {
    /// All of them, with `scale` times as many messages.
    pub(super) fn all(scale: f64) -> Vec<Self> {
        Name::value_variants().iter().map(|name| Self::of(*name, scale)).collect()
    }

    /// One of them.
    pub(super) fn of(name: Name, scale: f64) -> Self {
        let none = Limits::default();
        let (ratio, memory) = (|cpu| Limits { cpu: Some(cpu), ..none }, Some(1.5));
        let steady = Limits { lag_p99_ms: Some(40.0), memory, ..ratio(0.75) };
        let goodput = |least| Limits { goodput: Some(least), memory, ..ratio(1.3) };
        let killed = Limits { duplicates: Some(1.2), ..none };
        let (even, zipf) = (Spread::Even, Spread::Zipf);
        let (messages, conversations, spread, call_ms, in_flight, rate, limits) = match name {
            Name::S1 => (20_000, 10_000, even, (200, 500), 10_000, None, goodput(0.85)),
            Name::S2 => (10_000, 2_000, zipf, (10, 10), 10_000, None, goodput(0.97)),
            Name::S3 => (30_000, 10_000, even, (10, 10), 10_000, Some(1_000), steady),
            Name::S4 => (100_000, 10_000, even, (0, 0), 1_000, None, goodput(0.75)),
            Name::S5 => (10_000, 2_000, even, (200, 500), 1_000, None, killed),
        };
        let messages = (f64::from(messages) * scale).ceil().max(100.0) as u32;
        Self { name, messages, conversations, spread, call_ms, in_flight, rate, limits }
    }

    /// What is measured, in one line.
    pub(super) fn describe(&self) -> String {
        let Self { messages, conversations, in_flight, .. } = self;
        let work = match (self.rate, self.spread) {
            (Some(rate), _) => format!("open loop, {rate} messages a second, {messages} in all"),
            (None, Spread::Zipf) => format!("backlog of {messages}, Zipf"),
            (None, Spread::Even) => format!("backlog of {messages}"),
        };
        let calls = match self.call_ms {
            (0, 0) => "calls without delay".to_owned(),
            (least, most) if least == most => format!("calls of {least} ms"),
            (least, most) => format!("calls of {least} to {most} ms"),
        };
        let killed = if self.name == Name::S5 { ", kill -9 amid them" } else { "" };
        format!(
            "{work}, {PARTITIONS} partitions, {conversations} conversations, {calls}, at most \
             {in_flight} at once{killed}"
        )
    }

    /// For each message, by number: its conversation, and the how-manieth of it it is.
    pub(super) fn places(&self, seed: u64) -> Vec<Place> {
        let mut counts = vec![0; self.conversations as usize];
        let shares = zipf(self.conversations);
        (0..self.messages)
            .map(|number| {
                let conversation = match self.spread {
                    Spread::Even => number % self.conversations,
                    Spread::Zipf => {
                        // 53 bits, as many as the fraction holds.
                        let at = (mix(seed, number) >> 11) as f64 / (1_u64 << 53) as f64;
                        shares.partition_point(|upto| *upto < at) as u32
                    }
                };
                let count = &mut counts[conversation.min(self.conversations - 1) as usize];
                *count += 1;
                Place { conversation, sequence: *count }
            })
            .collect()
    }
}

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) conversation: u32,
    /// From 1 on.
    pub(super) sequence: u32,
}

/// The cumulated shares of so many conversations.
fn zipf(conversations: u32) -> Vec<f64> {
    let weights = (1..=conversations).map(|n| 1.0 / f64::from(n));
    let whole: f64 = weights.clone().sum();
    weights
        .scan(0.0, |sum, weight| {
            *sum += weight / whole;
            Some(*sum)
        })
        .collect()
}

/// How long the call of a message takes.
pub(super) fn call_time((least, most): (u64, u64), seed: u64, number: u32) -> Duration {
    Duration::from_millis(least + mix(seed ^ CALLS, number) % (most - least + 1))
}

/// Keeps the lengths of calls apart from the choice of conversations.
const CALLS: u64 = 0xca11;

/// A number that looks random: SplitMix64 (Steele, Lea and Flood, 2014).
fn mix(seed: u64, number: u32) -> u64 {
    let mut z = seed.wrapping_add((u64::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversations_count_their_messages_from_one() {
        for scenario in Scenario::all(0.1) {
            let mut seen = vec![0; scenario.conversations as usize];
            for Place { conversation, sequence } in scenario.places(7) {
                seen[conversation as usize] += 1;
                assert_eq!(seen[conversation as usize], sequence);
            }
            assert_eq!(seen.iter().sum::<u32>(), scenario.messages);
        }
    }

    #[test]
    fn the_first_conversation_of_zipf_gets_an_eighth_of_two_thousand() {
        let scenario = Scenario::of(Name::S2, 1.0);
        let first = scenario.places(7).iter().filter(|place| place.conversation == 0).count();
        assert!((1_100..1_350).contains(&first), "{first}");
    }

    #[test]
    fn calls_are_as_long_as_said_and_the_same_for_everybody() {
        let times: Vec<_> = (0..10_000).map(|n| call_time((200, 500), 7, n).as_millis()).collect();
        assert_eq!((times.iter().min(), times.iter().max()), (Some(&200), Some(&500)));
        assert_eq!(times[3], call_time((200, 500), 7, 3).as_millis());
        assert_eq!(call_time((0, 0), 7, 3), Duration::ZERO);
    }
}
