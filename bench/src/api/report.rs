//! Figures of the API beside those of its floor: medians over the rounds.

use serde_json::{Value, json};

use super::On;
use super::load::Measured;
use crate::statistics::{median, percentile_ms};

/// Medians over rounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Answers in a second.
    goodput: f64,
    /// Processor seconds of the answering process for 1,000 answers.
    cpu: f64,
    p50_ms: f64,
    p99_ms: f64,
}

impl Figures {
    pub(crate) fn of(rounds: &[Measured]) -> Self {
        let over = |of: fn(&Measured) -> f64| median(rounds.iter().map(of).collect());
        Self {
            goodput: over(|round| f64::from(round.requests) / round.wall.as_secs_f64()),
            cpu: over(|round| round.cpu.as_secs_f64() * 1_000.0 / f64::from(round.requests)),
            p50_ms: over(|round| percentile_ms(&round.latencies, 50)),
            p99_ms: over(|round| percentile_ms(&round.latencies, 99)),
        }
    }

    fn json(&self) -> Value {
        let Self { goodput, cpu, p50_ms, p99_ms } = self;
        json!({"per_second": goodput, "cpu_s_per_1000": cpu, "p50_ms": p50_ms, "p99_ms": p99_ms})
    }
}

/// What was asked, the floor's figures, the API's.
type Row = (&'static str, Figures, Figures);

pub(crate) struct Report {
    pub(crate) on: On,
    pub(crate) rows: [Row; 2],
}

impl Report {
    fn place(&self) -> &'static str {
        match self.on {
            On::Embedded => "embedded",
            On::Servers => "servers",
        }
    }

    pub(crate) fn json(&self) -> Value {
        let rows = self.rows.map(|(what, floor, api)| {
            json!({
                "what": what, "floor": floor.json(), "api": api.json(),
                "ratio_per_second": api.goodput / floor.goodput,
                "ratio_cpu": api.cpu / floor.cpu,
            })
        });
        json!({"benchmark": "api", "on": self.place(), "rows": rows})
    }

    pub(crate) fn table(&self) -> String {
        let mut text = format!(
            "{:<24} {:>10} {:>14} {:>9} {:>9}\n",
            format!("API, {}", self.place()),
            "answers/s",
            "CPU s / 1,000",
            "p50 ms",
            "p99 ms"
        );
        for (what, floor, api) in self.rows {
            for (side, figures) in [("floor", floor), ("API", api)] {
                let Figures { goodput, cpu, p50_ms, p99_ms } = figures;
                text += &format!(
                    "{:<24} {goodput:>10.0} {cpu:>14.4} {p50_ms:>9.2} {p99_ms:>9.2}\n",
                    format!("{what}: {side}")
                );
            }
            let (goodput, cpu) = (api.goodput / floor.goodput, api.cpu / floor.cpu);
            text += &format!("{:<24} {goodput:>9.2}x {cpu:>13.2}x\n", format!("{what}: ratio"));
        }
        text.trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn figures_are_medians_over_the_rounds() {
        let round = |wall: u64, cpu: u64| Measured {
            requests: 1_000,
            wall: Duration::from_secs(wall),
            cpu: Duration::from_millis(cpu),
            latencies: (1..=100).map(Duration::from_millis).collect(),
        };
        let figures = Figures::of(&[round(4, 100), round(1, 900), round(2, 300)]);
        assert_eq!((figures.goodput, figures.cpu), (500.0, 0.3));
        assert_eq!((figures.p50_ms, figures.p99_ms), (51.0, 100.0));
    }
}
