//! The rules of Prometheus.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::expr::{Expr, Recorded};
use crate::files::{list, yaml};

#[derive(Deserialize)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    rules: Vec<Rule>,
}

/// A rule: it records, or it is an alert.
#[derive(Clone, Deserialize)]
pub struct Rule {
    pub record: Option<String>,
    pub alert: Option<String>,
    pub expr: String,
    #[serde(default)]
    pub labels: Labels,
    #[serde(default)]
    pub annotations: Annotations,
}

#[derive(Clone, Default, Deserialize)]
pub struct Labels {
    #[serde(default)]
    pub severity: String,
}

#[derive(Clone, Default, Deserialize)]
pub struct Annotations {
    #[serde(default)]
    pub summary: String,
    #[serde(default)]
    pub runbook: String,
}

/// Every rule, in the order of the files.
pub fn all() -> Vec<Rule> {
    groups().into_iter().flat_map(|group| group.rules).collect()
}

/// The names of the groups, in the order of the files.
pub fn group_names() -> Vec<String> {
    groups().into_iter().map(|group| group.name).collect()
}

fn groups() -> Vec<Group> {
    let files = list("prometheus/rules", ".yml");
    files.iter().flat_map(|path| yaml::<RuleFile>(path).groups).collect()
}

/// The alerts, by name.
pub fn alerts() -> Vec<(String, Rule)> {
    all().into_iter().filter_map(|rule| Some((rule.alert.clone()?, rule))).collect()
}

/// What recording rules make, with the labels of the result.
pub fn recorded() -> Recorded {
    let mut recorded = Recorded::new();
    for rule in all() {
        if let Some(name) = rule.record {
            let labels = Expr::new(&rule.expr, &recorded).result();
            assert!(recorded.insert(name.clone(), labels).is_none(), "{name} is recorded twice");
        }
    }
    recorded
}

#[derive(Deserialize)]
struct TestFile {
    rule_files: Vec<String>,
    group_eval_order: Vec<String>,
    tests: Vec<TestGroup>,
}

#[derive(Deserialize)]
struct TestGroup {
    alert_rule_test: Vec<AlertTest>,
}

#[derive(Deserialize)]
struct AlertTest {
    alertname: String,
    exp_alerts: Vec<serde_json::Value>,
}

/// The alerts that a test sees firing, and those that a test sees quiet.
pub fn tested() -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut firing, mut quiet) = (BTreeSet::new(), BTreeSet::new());
    for path in list("prometheus/tests", ".yml") {
        let file: TestFile = yaml(&path);
        assert_eq!(file.rule_files, ["../rules/*.yml"], "{path}");
        // Otherwise an alert may see what was recorded a moment before.
        assert_eq!(file.group_eval_order, group_names(), "{path}");
        for test in file.tests.into_iter().flat_map(|group| group.alert_rule_test) {
            let seen = if test.exp_alerts.is_empty() { &mut quiet } else { &mut firing };
            seen.insert(test.alertname);
        }
    }
    (firing, quiet)
}
