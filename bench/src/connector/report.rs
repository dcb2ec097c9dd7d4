//! The table for people, and the same as JSON with every round's figures.

use serde_json::{Value, json};

use super::figures::{Limit, Rounds, Row};

pub(super) fn json(all: &[Rounds], seed: u64) -> Value {
    let scenarios: Vec<Value> = all
        .iter()
        .map(|rounds| {
            json!({
                "scenario": format!("{:?}", rounds.scenario.name),
                "what": rounds.scenario.describe(),
                "rows": rounds.rows(),
                "floor": rounds.floor,
                "connector": rounds.connector,
            })
        })
        .collect();
    json!({"benchmark": "connector", "seed": seed, "scenarios": scenarios})
}

/// For people.
pub(super) fn table(all: &[Rounds]) -> String {
    let tables: Vec<String> = all.iter().map(one).collect();
    tables.join("\n\n")
}

fn one(rounds: &Rounds) -> String {
    let (name, count) = (rounds.scenario.name, rounds.connector.len());
    let mut lines = vec![
        format!("{name:?}: {}; medians of {count}", rounds.scenario.describe()),
        format!("  {:<24} {:>10} {:>10} {:>7}   limit", "", "floor", "connector", "ratio"),
    ];
    lines.extend(rounds.rows().iter().map(line));
    lines.join("\n")
}

fn line(row: &Row) -> String {
    let floor = row.floor.map(number).unwrap_or_default();
    let ratio = row.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
    let (what, connector) = (row.what, number(row.connector));
    let limit = row.limit.as_ref().map(limit).unwrap_or_default();
    let verdict = match row.holds {
        Some(true) => " holds",
        Some(false) => " MISSED",
        None => "",
    };
    format!("  {what:<24} {floor:>10} {connector:>10} {ratio:>7}   {limit}{verdict}")
        .trim_end()
        .to_owned()
}

fn limit(limit: &Limit) -> String {
    let unit = if limit.of_ratio { "x" } else { "" };
    match (limit.at_least, limit.at_most) {
        (Some(least), _) => format!(">= {least}{unit}"),
        (None, Some(most)) => format!("<= {most}{unit}"),
        (None, None) => String::new(),
    }
}

/// Small figures with their thousandths.
fn number(value: f64) -> String {
    if value == 0.0 || value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 2.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.3}")
    }
}
