//! Rules, their tests, dashboards and the operations page fit each other and the code. Whether
//! Prometheus agrees is asked by `.ci/monitoring`; whether they show anything, by
//! `cargo xtask monitor-check`.

// Helpers of tests are tests, which clippy sees only in functions marked as such.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod dashboards;
mod expr;
mod files;
mod rules;
mod scraping;

use std::collections::BTreeSet;

use chat4all_process::metric::Metric;
use regex::Regex;

use expr::Expr;
use files::{dashboards, panels, read, root, text};

/// Metrics that no panel and no rule looks at, and why.
const UNUSED: [(&str, &str); 0] = [];

#[test]
fn rules_name_what_exists() {
    let recorded = rules::recorded();
    for rule in rules::all() {
        let name = rule.alert.or(rule.record).unwrap();
        Expr::new(&rule.expr, &recorded).check(&name);
    }
}

#[test]
fn every_limit_is_used_and_every_used_limit_is_set() {
    // A limit that is not set is not a number, and an alert about it would never fire.
    let limit = Regex::new(r"scalar\((chat4all:limit_[a-z0-9_:]+)\)").unwrap();
    let recorded = rules::recorded();
    let set: BTreeSet<&str> =
        recorded.keys().map(String::as_str).filter(|name| name.contains(":limit_")).collect();
    let alerts = rules::alerts();
    let used: BTreeSet<&str> = alerts
        .iter()
        .flat_map(|(_, rule)| limit.captures_iter(&rule.expr))
        .map(|found| found.get(1).unwrap().as_str())
        .collect();
    assert_eq!(set, used);
}

#[test]
fn every_alert_says_how_bad_it_is_what_it_means_and_what_to_do() {
    let page = read("docs/operations.md");
    let alerts = rules::alerts();
    assert!(alerts.len() > 15, "only {} alerts", alerts.len());
    for (name, rule) in &alerts {
        let severity = rule.labels.severity.as_str();
        assert!(["critical", "warning"].contains(&severity), "{name}: {severity}");
        assert!(rule.annotations.summary.len() > 20, "{name} says nothing");
        let anchor = rule.annotations.runbook.strip_prefix("docs/operations.md#").unwrap();
        let section = section(&page, anchor).unwrap_or_else(|| panic!("{name}: no #{anchor}"));
        assert!(section.contains(&format!("`{name}`, {severity}.")), "{name} is not named there");
        for part in ["\nMeans: ", "\nLikely: ", "```sh\n"] {
            let is_there =
                section.contains(part) || part.contains("Likely") && section.contains("| Likely |");
            assert!(is_there, "{name}: the section has no {part:?}");
        }
    }
    let sections = page.matches("\nMeans: ").count();
    assert_eq!(sections, alerts.len(), "a section is about no alert");
}

/// The section of a page under the heading with this anchor.
fn section<'a>(page: &'a str, anchor: &str) -> Option<&'a str> {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-');
    page.split("\n### ").skip(1).find(|section| {
        let heading = section.lines().next().unwrap_or_default().to_lowercase();
        heading.chars().filter(kept).collect::<String>().replace(' ', "-") == anchor
    })
}

#[test]
fn every_alert_is_tested_firing_and_quiet() {
    let (firing, quiet) = rules::tested();
    let alerts: BTreeSet<String> = rules::alerts().into_iter().map(|(name, _)| name).collect();
    assert_eq!(firing, alerts, "firing");
    assert_eq!(quiet, alerts, "quiet");
}

#[test]
fn every_metric_is_looked_at() {
    let recorded = rules::recorded();
    let mut used: BTreeSet<&str> = UNUSED.iter().map(|(name, _)| *name).collect();
    let rules = rules::all();
    let of_rules = rules.iter().map(|rule| rule.expr.clone());
    let dashboards = dashboards();
    let panels = dashboards.iter().flat_map(|(_, dashboard)| panels(dashboard));
    let of_panels = panels
        .flat_map(|panel| panel["targets"].as_array().unwrap())
        .map(|target| text(target, "expr"));
    for expr in of_rules.chain(of_panels.map(str::to_owned)) {
        used.extend(Expr::new(&expr, &recorded).metrics().into_iter().map(Metric::name));
    }
    let all: BTreeSet<&str> = Metric::ALL.iter().map(|metric| metric.name()).collect();
    assert_eq!(used, all);
}

#[test]
fn the_log_texts_that_the_page_looks_for_are_written() {
    let page = read("docs/operations.md");
    let looked_for = Regex::new(r"grep (?:-i |-E )*'([^']+)'").unwrap();
    let sources = sources();
    let mut checked = 0;
    for found in looked_for.captures_iter(&page) {
        for text in alternatives(&found[1]) {
            // Levels are the subscriber's words, and so is the form of a dead letter serde's.
            if text.starts_with('"') {
                continue;
            }
            assert!(sources.contains(&text), "nothing says {text:?}");
            checked += 1;
        }
    }
    assert!(checked > 10, "only {checked} texts");
}

/// `a (b|c)` is `a b` and `a c`.
fn alternatives(pattern: &str) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once('(') else {
        return pattern.split('|').map(str::to_owned).collect();
    };
    let (inside, after) = rest.split_once(')').unwrap();
    inside.split('|').map(|word| format!("{before}{word}{after}")).collect()
}

/// Every line of product code, in one text.
fn sources() -> String {
    let mut text = String::new();
    let mut folders: Vec<_> = ["api", "connectors", "crates", "router", "status-consumer"]
        .map(|folder| root().join(folder))
        .into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                text += &std::fs::read_to_string(path).unwrap();
            }
        }
    }
    text
}
