//! Figures: medians and 90th percentiles, and their ratio to the floor.

use std::time::Duration;

use serde_json::{Value, json};

use crate::statistics::percentile_ms;

#[derive(Default)]
pub(crate) struct Measured {
    append_and_insert: Vec<Duration>,
    answered: Vec<Duration>,
    two_hops: Vec<Duration>,
    called: Vec<Duration>,
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
                "p50_ms": percentile_ms(measured, 50),
                "p90_ms": percentile_ms(measured, 90),
                "floor_p50_ms": percentile_ms(bare, 50),
                "floor_p90_ms": percentile_ms(bare, 90),
                "ratio_p50": percentile_ms(measured, 50) / percentile_ms(bare, 50),
            })
        });
        json!({"benchmark": "idle", "rows": rows})
    }

    pub(crate) fn table(&self) -> String {
        let mut text = format!(
            "{:<28} {:>9} {:>9}   {:<26} {:>9} {:>9}   {:>6}\n",
            "idle, one at a time", "p50 ms", "p90 ms", "floor", "p50 ms", "p90 ms", "ratio"
        );
        for (what, floor, measured, bare) in self.rows() {
            let [p50, p90] = [50, 90].map(|percent| percentile_ms(measured, percent));
            let [bare50, bare90] = [50, 90].map(|percent| percentile_ms(bare, percent));
            text += &format!(
                "{what:<28} {p50:>9.2} {p90:>9.2}   {floor:<26} {bare50:>9.2} {bare90:>9.2}   {:>6.2}\n",
                p50 / bare50
            );
        }
        text.trim_end().to_owned()
    }
}
