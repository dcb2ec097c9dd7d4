//! The dashboards of Grafana.

use std::collections::BTreeSet;

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use crate::expr::Expr;
use crate::files::{dashboards, panels, text, yaml};
use crate::rules;

/// Units of Grafana that a rate may have.
const PER_SECOND: [&str; 5] = ["eps", "mps", "ops", "recps", "reqps"];
/// The others.
const UNITS: [&str; 5] = ["bool_yes_no", "none", "percentunit", "s", "short"];

#[derive(Deserialize)]
struct Sources {
    datasources: Vec<Source>,
}

#[derive(Deserialize)]
struct Source {
    uid: String,
    #[serde(rename = "type")]
    kind: String,
}

/// Calls `check` with every panel and the name of its place.
fn each(mut check: impl FnMut(&str, &Value)) {
    for (path, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            check(&format!("{path}: {}", text(panel, "title")), panel);
        }
    }
}

fn targets(panel: &Value) -> &[Value] {
    panel["targets"].as_array().unwrap()
}

#[test]
fn there_are_four_dashboards_with_names_of_their_own() {
    let dashboards = dashboards();
    let names: Vec<&str> =
        dashboards.iter().map(|(path, _)| path.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["api.json", "connectors.json", "overview.json", "router.json"]);
    for (path, dashboard) in &dashboards {
        let name = path.rsplit('/').next().unwrap().trim_end_matches(".json");
        assert_eq!(text(dashboard, "uid"), format!("chat4all-{name}"));
        assert!(text(dashboard, "description").ends_with('?'), "{path}");
        assert!(panels(dashboard).len() >= 8, "{path}");
    }
}

#[test]
fn every_panel_asks_a_question_and_explains_itself() {
    let mut titles = BTreeSet::new();
    each(|place, panel| {
        assert!(text(panel, "title").ends_with('?'), "{place}");
        let description = text(panel, "description");
        assert!(description.len() > 30 && description.ends_with('.'), "{place}: {description}");
        let no_value = text(&panel["fieldConfig"]["defaults"], "noValue");
        assert!(!no_value.is_empty(), "{place}");
        assert!(titles.insert(place.to_owned()), "{place} is there twice");
    });
    assert!(titles.len() > 40, "only {} panels", titles.len());
}

#[test]
fn every_panel_asks_the_provisioned_data_source() {
    let sources: Sources = yaml("grafana/provisioning/datasources/prometheus.yml");
    let [source] = sources.datasources.as_slice() else { panic!("one data source") };
    let is_it =
        |value: &Value| text(value, "uid") == source.uid && text(value, "type") == source.kind;
    each(|place, panel| {
        assert!(is_it(&panel["datasource"]), "{place}");
        assert!(targets(panel).iter().all(|target| is_it(&target["datasource"])), "{place}");
    });
    for (path, dashboard) in dashboards() {
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            assert!(is_it(&variable["datasource"]), "{path}");
        }
    }
}

#[test]
fn every_panel_has_the_unit_of_what_it_shows() {
    let recorded = rules::recorded();
    each(|place, panel| {
        let unit = text(&panel["fieldConfig"]["defaults"], "unit");
        assert!(PER_SECOND.contains(&unit) || UNITS.contains(&unit), "{place}: {unit}");
        for target in targets(panel) {
            let expr = text(target, "expr");
            let read = Expr::new(expr, &recorded);
            let is_time = read.metrics().iter().any(|metric| metric.unit() == "seconds")
                || read.records().iter().any(|name| name.contains("seconds"));
            let is_change = expr.contains("changes(");
            assert_eq!(unit == "s", is_time && !is_change, "{place}: {expr}");
            let is_rate = expr.contains("rate(") && !expr.contains("histogram_quantile");
            assert_eq!(PER_SECOND.contains(&unit), is_rate, "{place}: {expr}");
        }
    });
}

#[test]
fn panels_ask_for_what_exists_over_the_interval_of_the_screen() {
    let recorded = rules::recorded();
    let rate = Regex::new(r"\brate\([^\[]*\[([^\]]+)\]").unwrap();
    let mut checked = 0;
    each(|place, panel| {
        let mut letters = BTreeSet::new();
        for target in targets(panel) {
            let expr = text(target, "expr");
            let read = Expr::new(expr, &recorded);
            read.check(place);
            for found in rate.captures_iter(expr) {
                assert_eq!(&found[1], "$__rate_interval", "{place}: {expr}");
            }
            let result = read.result();
            for label in shown(text(target, "legendFormat")) {
                assert!(result.contains(&label), "{place}: {expr} has no {label}");
            }
            assert!(letters.insert(text(target, "refId")), "{place}");
            checked += 1;
        }
    });
    assert!(checked > 50, "only {checked} expressions");
}

/// The labels that a legend shows. `job` stands for itself: `up` is Prometheus' own.
fn shown(legend: &str) -> Vec<String> {
    let label = Regex::new(r"\{\{([a-z_]+)\}\}").unwrap();
    label.captures_iter(legend).map(|found| found[1].to_owned()).collect()
}

#[test]
fn the_platform_is_a_variable() {
    for (path, dashboard) in dashboards() {
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        let names: Vec<&str> = variables.iter().map(|variable| text(variable, "name")).collect();
        let expected: &[&str] = if path.ends_with("connectors.json") { &["platform"] } else { &[] };
        assert_eq!(names, expected, "{path}");
        for panel in panels(&dashboard) {
            for target in targets(panel) {
                let expr = text(target, "expr");
                let is_limit = expr.starts_with("chat4all:limit_");
                let uses = expr.contains("$platform");
                assert_eq!(uses, !expected.is_empty() && !is_limit, "{path}: {expr}");
            }
        }
    }
}

#[test]
fn panels_lie_beside_each_other() {
    for (path, dashboard) in dashboards() {
        let all = dashboard["panels"].as_array().unwrap();
        let mut taken = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for panel in all {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{path}");
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24, "{path}: {}", panel["title"]);
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(taken.insert((x, y)), "{path}: {} covers another", panel["title"]);
                }
            }
        }
    }
}
