//! What a PromQL expression names: enough of its grammar to hold names and labels against the code.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use chat4all_process::metric::{Kind, Metric};
use regex::Regex;

/// Labels that a scrape adds, and `service`, which every metric of ours has.
const EVERYWHERE: [&str; 3] = ["service", "instance", "job"];

static SERIES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[a-z_]*:?\bchat4all[a-z0-9_:]+").unwrap());
static GROUPED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bby \(([a-z_, ]+)\)").unwrap());
static MATCHED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"([a-z_]+)(?:=|!=|=~|!~)""#).unwrap());

/// A metric of the enum by the name of one of its series.
pub fn metric(series: &str) -> Option<Metric> {
    let of_name = |name: &str| Metric::ALL.iter().copied().find(|metric| metric.name() == name);
    let part = ["_bucket", "_sum", "_count"].iter().find_map(|part| series.strip_suffix(part));
    let histogram = part.and_then(of_name).filter(|metric| metric.kind() == Kind::Histogram);
    histogram.or_else(|| of_name(series).filter(|metric| metric.kind() != Kind::Histogram))
}

/// The labels that the result of a recording rule has, by its name.
pub type Recorded = BTreeMap<String, BTreeSet<String>>;

/// An expression, read.
pub struct Expr<'a> {
    text: &'a str,
    recorded: &'a Recorded,
}

impl<'a> Expr<'a> {
    pub fn new(text: &'a str, recorded: &'a Recorded) -> Self {
        Self { text, recorded }
    }

    /// The series of ours that it names: where, and how each is called.
    fn series(&self) -> Vec<(usize, &'a str)> {
        SERIES.find_iter(self.text).map(|found| (found.start(), found.as_str())).collect()
    }

    /// The metrics of the enum that it names.
    pub fn metrics(&self) -> Vec<Metric> {
        self.series().into_iter().filter_map(|(_, name)| metric(name)).collect()
    }

    /// The recorded series that it names.
    pub fn records(&self) -> Vec<&'a str> {
        let names = self.series().into_iter().map(|(_, name)| name);
        names.filter(|name| name.contains(':')).collect()
    }

    /// The labels of a series before anything is aggregated.
    fn labels_of(&self, series: &str) -> BTreeSet<String> {
        if let Some(labels) = self.recorded.get(series) {
            return labels.clone();
        }
        let own = metric(series).map(Metric::labels).unwrap_or_default();
        let bucket = series.ends_with("_bucket").then_some("le");
        own.iter().copied().chain(EVERYWHERE).chain(bucket).map(str::to_owned).collect()
    }

    /// Every label that is asked for exists; every name exists; counters are looked at as rates.
    pub fn check(&self, place: &str) {
        let mut available: BTreeSet<String> =
            ["job", "instance", "alertname", "alertstate", "severity"].map(str::to_owned).into();
        for (at, series) in self.series() {
            let known = metric(series).is_some() || self.recorded.contains_key(series);
            assert!(known, "{place}: there is no {series}");
            let labels = self.labels_of(series);
            for label in matched(&self.text[at + series.len()..]) {
                assert!(labels.contains(&label), "{place}: {series} has no label {label}");
            }
            let before = self.text[..at].trim_end();
            let is_rate = before.ends_with("rate(") || before.ends_with("increase(");
            let is_counter = metric(series).is_some_and(|metric| metric.kind() != Kind::Gauge);
            assert_eq!(is_rate, is_counter, "{place}: {series} is a counter, or is none");
            available.extend(labels);
        }
        for label in self.grouped() {
            assert!(available.contains(&label), "{place}: nothing has the label {label}");
        }
    }

    /// The labels in every `by (…)`.
    fn grouped(&self) -> BTreeSet<String> {
        let lists = GROUPED.captures_iter(self.text).map(|found| found[1].to_owned());
        lists.flat_map(|list| list.split(", ").map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// The labels of the result.
    pub fn result(&self) -> BTreeSet<String> {
        let mut grouped = self.grouped();
        if self.text.contains("histogram_quantile(") {
            grouped.remove("le");
        }
        let aggregates = ["sum(", "max(", "min(", "count("].iter().any(|a| self.text.contains(a));
        if !grouped.is_empty() || aggregates {
            return grouped;
        }
        self.series().into_iter().flat_map(|(_, series)| self.labels_of(series)).collect()
    }
}

/// The labels of the matchers that follow a name.
fn matched(after: &str) -> Vec<String> {
    let Some(matchers) = after.strip_prefix('{').and_then(|rest| rest.split('}').next()) else {
        return Vec::new();
    };
    MATCHED.captures_iter(matchers).map(|found| found[1].to_owned()).collect()
}

#[test]
fn an_expression_names_its_series_and_labels() {
    let recorded =
        Recorded::from([("topic:chat4all_x:sum".to_owned(), ["topic".to_owned()].into())]);
    let expr = |text| Expr { text, recorded: &recorded };
    let rate = "sum by (route, le) (rate(chat4all_http_request_seconds_bucket{route=\"/\"}[5m]))";
    assert_eq!(expr(rate).metrics(), [Metric::HttpRequestSeconds]);
    expr(rate).check("a histogram");
    assert_eq!(expr("topic:chat4all_x:sum > 1").records(), ["topic:chat4all_x:sum"]);
    assert_eq!(expr("topic:chat4all_x:sum > 1").result(), ["topic".to_owned()].into());
    for wrong in [
        "chat4all_nothing",
        "chat4all_http_requests_total",
        "rate(chat4all_deliveries_parked[5m])",
        "chat4all_deliveries_parked{route=\"/\"}",
        "sum by (route) (chat4all_deliveries_parked)",
        "rate(chat4all_http_request_seconds[5m])",
    ] {
        let found = std::panic::catch_unwind(|| expr(wrong).check("wrong"));
        assert!(found.is_err(), "{wrong}");
    }
}
