//! Figures: medians and 90th percentiles, and their ratio to the floor.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use serde_json::{Value, json};

#[derive(Default)]
pub(crate) struct Measured {
    append_and_insert: Vec<Duration>,
    answered: Vec<Duration>,
    two_hops: Vec<Duration>,
    called: Vec<Duration>,
}

/// A percentile of durations, in milliseconds.
fn percentile(of: &[Duration], percent: usize) -> f64 {
    let mut sorted = of.to_vec();
    sorted.sort_unstable();
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).map_or(0.0, |duration| duration.as_secs_f64() * 1_000.0)
}

impl Measured {
    pub(crate) fn add(
        &mut self,
        stored: Duration,
        answered: Duration,
        hops: Duration,
        called: Duration,
    ) {
        self.append_and_insert.push(stored);
        self.answered.push(answered);
        self.two_hops.push(hops);
        self.called.push(called);
    }

    fn rows(&self) -> [(&'static str, &'static str, &[Duration], &[Duration]); 2] {
        [
            ("POST to 202", "one append and one insert", &self.answered, &self.append_and_insert),
            (
                "POST to the platform's call",
                "two hops through the log",
                &self.called,
                &self.two_hops,
            ),
        ]
    }

    pub(crate) fn json(&self) -> Value {
        let rows = self.rows().map(|(what, floor, measured, bare)| {
            json!({
                "what": what,
                "floor": floor,
                "messages": measured.len(),
                "p50_ms": percentile(measured, 50),
                "p90_ms": percentile(measured, 90),
                "floor_p50_ms": percentile(bare, 50),
                "floor_p90_ms": percentile(bare, 90),
                "ratio_p50": percentile(measured, 50) / percentile(bare, 50),
            })
        });
        json!({"benchmark": "idle", "rows": rows})
    }

    /// A table for people; JSON if the output is no terminal.
    pub(crate) fn print(&self) {
        let mut out = std::io::stdout();
        let text = if out.is_terminal() { self.table() } else { self.json().to_string() };
        // Whoever started us need not be listening.
        let _closed = writeln!(out, "{text}");
    }

    fn table(&self) -> String {
        let mut text = format!(
            "{:<28} {:>9} {:>9}   {:<26} {:>9} {:>9}   {:>6}\n",
            "idle, one at a time", "p50 ms", "p90 ms", "floor", "p50 ms", "p90 ms", "ratio"
        );
        for (what, floor, measured, bare) in self.rows() {
            let [p50, p90] = [50, 90].map(|percent| percentile(measured, percent));
            let [bare50, bare90] = [50, 90].map(|percent| percentile(bare, percent));
            text += &format!(
                "{what:<28} {p50:>9.2} {p90:>9.2}   {floor:<26} {bare50:>9.2} {bare90:>9.2}   {:>6.2}\n",
                p50 / bare50
            );
        }
        text.trim_end().to_owned()
    }
}
