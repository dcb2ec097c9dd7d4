//! The figures of a run, their medians over the rounds, and what the limits say to them.

use serde::Serialize;

use super::scenario::{Limits, Name, Scenario};
use crate::statistics::median;

/// Of one run.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Figures {
    /// Messages a second, from the first call to the last.
    pub(super) goodput: f64,
    /// CPU-seconds for 1,000 messages, from the first call on.
    pub(super) cpu_per_1000: f64,
    /// Resident MiB while most calls were under way.
    pub(super) memory_at_full_flight: f64,
    /// The most resident MiB.
    pub(super) memory_peak: f64,
    /// The most calls at once.
    pub(super) in_flight: f64,
    pub(super) lag_p50_ms: f64,
    pub(super) lag_p99_ms: f64,
    /// Calls beyond the first of a message.
    pub(super) duplicates: f64,
    /// Messages first called after a later one of their conversation.
    pub(super) overtaken: f64,
    /// Messages never called.
    pub(super) lost: f64,
    /// Calls at the moment of the kill.
    pub(super) under_way_at_kill: f64,
}

/// A scenario's rounds.
#[derive(Clone, Debug)]
pub(super) struct Rounds {
    pub(super) scenario: Scenario,
    /// Of each round; none where the floor does not take part.
    pub(super) floor: Vec<Figures>,
    pub(super) connector: Vec<Figures>,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Row {
    pub(super) what: &'static str,
    /// The median.
    pub(super) floor: Option<f64>,
    /// The median; where nothing at all is allowed, the worst.
    pub(super) connector: f64,
    /// The median of the rounds' own ratios.
    pub(super) ratio: Option<f64>,
    pub(super) limit: Option<Limit>,
    pub(super) holds: Option<bool>,
}

/// What must hold of a ratio, or, where the floor is no measure, of the figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Limit {
    pub(super) at_least: Option<f64>,
    pub(super) at_most: Option<f64>,
    pub(super) of_ratio: bool,
}

impl Limit {
    fn most(most: f64, of_ratio: bool) -> Self {
        Self { at_least: None, at_most: Some(most), of_ratio }
    }

    fn allows(&self, value: f64) -> bool {
        self.at_least.is_none_or(|least| value >= least)
            && self.at_most.is_none_or(|most| value <= most)
    }
}

type Get = fn(&Figures) -> f64;

impl Rounds {
    /// Whether the connector has kept what no measurement excuses.
    pub(super) fn is_sound(&self) -> bool {
        self.connector.iter().all(|figures| figures.lost + figures.overtaken == 0.0)
    }

    pub(super) fn rows(&self) -> Vec<Row> {
        let Limits { goodput, cpu, memory, lag_p99_ms, duplicates } = self.scenario.limits;
        let most = |of_ratio| move |most| Limit::most(most, of_ratio);
        let least = |least| Limit { at_least: Some(least), at_most: None, of_ratio: true };
        let nothing = Some(Limit::most(0.0, false));
        let share: Get = |f| f.duplicates / f.under_way_at_kill.max(1.0);
        let mut rows = match self.scenario.name {
            // A new process waits for the group to notice that the old one is gone.
            Name::S5 => vec![
                self.row("calls at the kill", |f| f.under_way_at_kill, None),
                self.row("duplicates for each", share, duplicates.map(most(false))),
                self.worst("duplicates", |f| f.duplicates, None),
            ],
            _ => vec![
                self.row("goodput, msg/s", |f| f.goodput, goodput.map(least)),
                self.row("CPU-s per 1,000", |f| f.cpu_per_1000, cpu.map(most(true))),
                self.row("MiB at full flight", |f| f.memory_at_full_flight, memory.map(most(true))),
                self.row("MiB at most", |f| f.memory_peak, None),
                self.row("calls at once, at most", |f| f.in_flight, None),
                self.worst("duplicates", |f| f.duplicates, nothing),
            ],
        };
        if self.scenario.rate.is_some() {
            rows.push(self.row("lag p50, ms", |f| f.lag_p50_ms, None));
            let limit = lag_p99_ms.map(most(false));
            rows.push(self.row("lag p99, ms", |f| f.lag_p99_ms, limit));
        }
        rows.push(self.worst("overtaken", |f| f.overtaken, nothing));
        rows.push(self.worst("lost", |f| f.lost, nothing));
        rows
    }

    fn row(&self, what: &'static str, get: Get, limit: Option<Limit>) -> Row {
        let of = |figures: &[Figures]| median(figures.iter().map(get).collect());
        let pairs = self.floor.iter().zip(&self.connector);
        let ratios: Vec<f64> = pairs.map(|(floor, own)| get(own) / get(floor)).collect();
        let has_floor = !self.floor.is_empty();
        let ratio = has_floor.then(|| median(ratios)).filter(|ratio| ratio.is_finite());
        let connector = of(&self.connector);
        let measured = if limit.is_some_and(|l| l.of_ratio) { ratio } else { Some(connector) };
        let holds = limit.zip(measured).map(|(limit, value)| limit.allows(value));
        Row { what, floor: has_floor.then(|| of(&self.floor)), connector, ratio, limit, holds }
    }

    fn worst(&self, what: &'static str, get: Get, limit: Option<Limit>) -> Row {
        let of = |figures: &[Figures]| figures.iter().map(get).fold(0.0, f64::max);
        let (floor, connector) = (of(&self.floor), of(&self.connector));
        let holds = limit.map(|limit| limit.allows(connector));
        let floor = (!self.floor.is_empty()).then_some(floor);
        Row { what, floor, connector, ratio: None, limit, holds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(name: Name, floor: &[f64], connector: &[f64]) -> Rounds {
        let scenario = Scenario::all(1.0).into_iter().find(|s| s.name == name).unwrap();
        let figures = |goodput: &f64| Figures { goodput: *goodput, ..Figures::default() };
        let of = |all: &[f64]| all.iter().map(figures).collect();
        Rounds { scenario, floor: of(floor), connector: of(connector) }
    }

    fn row(rounds: &Rounds, what: &str) -> Row {
        rounds.rows().into_iter().find(|row| row.what == what).unwrap()
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let rounds = rounds(Name::S1, &[100.0, 200.0, 1_000.0], &[90.0, 180.0, 500.0]);
        let goodput = row(&rounds, "goodput, msg/s");
        assert_eq!((goodput.floor, goodput.connector), (Some(200.0), 180.0));
        assert_eq!((goodput.ratio, goodput.holds), (Some(0.9), Some(true)));
    }

    #[test]
    fn one_message_that_is_lost_or_overtaken_in_any_round_is_too_many() {
        let mut rounds = rounds(Name::S4, &[1.0; 3], &[1.0; 3]);
        assert!(rounds.is_sound());
        rounds.connector[1].overtaken = 1.0;
        assert!(!rounds.is_sound());
        assert_eq!(row(&rounds, "overtaken").holds, Some(false));
        assert_eq!(row(&rounds, "lost").holds, Some(true));
    }

    #[test]
    fn duplicates_after_a_kill_are_counted_beside_the_calls_under_way() {
        let mut rounds = rounds(Name::S5, &[], &[1.0]);
        rounds.connector[0].under_way_at_kill = 1_000.0;
        rounds.connector[0].duplicates = 1_201.0;
        assert_eq!(row(&rounds, "duplicates for each").holds, Some(false));
        assert_eq!(row(&rounds, "duplicates").floor, None);
    }
}
