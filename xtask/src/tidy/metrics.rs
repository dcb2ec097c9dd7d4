//! Documentation, alert rules and dashboards name only metrics that exist.

use std::collections::BTreeMap;

use super::finding::Finding;
use super::source::is_word;

/// The file that declares every metric.
pub const DECLARED: &str = "crates/process/src/metric.rs";
const PREFIX: &str = "chat4all_";

/// The metrics there are.
pub struct Metrics {
    /// Whether it is a histogram, by name.
    names: BTreeMap<String, bool>,
    /// The crates as Rust names them, which look like metrics.
    crates: Vec<String>,
}

impl Metrics {
    /// Reads the text of [`DECLARED`]: each metric is `Kind "name"`.
    pub fn new(declared: &str, packages: &[String]) -> Self {
        let mut names = BTreeMap::new();
        for (at, _) in declared.match_indices(&format!("\"{PREFIX}")) {
            let name = declared[at + 1..].split('"').next().unwrap_or_default();
            let is_histogram = declared[..at].trim_end().ends_with("Histogram");
            names.insert(name.to_owned(), is_histogram);
        }
        let crates = packages.iter().map(|package| package.replace('-', "_")).collect();
        Self { names, crates }
    }

    /// Whether no metric was found.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether `name` is a metric or one of the series of a histogram.
    fn has(&self, name: &str) -> bool {
        let base =
            ["_bucket", "_sum", "_count"].iter().find_map(|series| name.strip_suffix(series));
        self.names.contains_key(name)
            || base.is_some_and(|base| self.names.get(base) == Some(&true))
            || self.crates.iter().any(|a_crate| a_crate == name)
    }

    fn has_prefix(&self, prefix: &str) -> bool {
        self.names.keys().any(|name| name.starts_with(prefix))
    }
}

/// Whether a file is documentation, alert rules or dashboards.
pub fn is_checked(path: &str) -> bool {
    path.ends_with(".md") || path.starts_with("prometheus/") || path.starts_with("grafana/")
}

/// Checks such a file.
pub fn check(path: &str, text: &str, metrics: &Metrics) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for (at, _) in line.match_indices(PREFIX) {
            let before = line[..at].chars().next_back();
            let length = line[at..].find(|c| !is_word(c)).unwrap_or(line.len() - at);
            let (name, after) = line[at..].split_at(length);
            // `:` is part of a recording rule's name, or of a path in Rust.
            let is_other = before.is_some_and(|c| is_word(c) || c == ':') || is_joined(after);
            let is_pattern = name.ends_with('_') || after.starts_with('*');
            let is_known = if is_pattern { metrics.has_prefix(name) } else { metrics.has(name) };
            if !is_other && !is_known {
                let fix = format!("use a name of {DECLARED}, or add the metric there");
                findings.push(Finding::new(
                    path,
                    index + 1,
                    format!("there is no metric {name}"),
                    fix,
                ));
            }
        }
    }
    findings
}

/// Whether what follows a name is `:` and more of the same name.
fn is_joined(after: &str) -> bool {
    let rest = after.strip_prefix(':').map(|rest| rest.trim_start_matches(':'));
    rest.is_some_and(|rest| rest.starts_with(is_word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        let declared = "A = Counter \"chat4all_a_total\" [\"x\"],\nB = Histogram\n \"chat4all_b_seconds\" [],\n";
        let metrics = Metrics::new(declared, &["chat4all-process".to_owned()]);
        check("docs/a.md", text, &metrics).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_metric_that_does_not_exist_is_found() {
        let bad = [
            "`chat4all_a`",
            "rate(chat4all_a_totals[5m])",
            "chat4all_a_total_bucket",
            "chat4all_c_*",
            "chat4all_c: x",
        ];
        for text in bad {
            assert_eq!(lines(&format!("x\n{text}\n")), [2], "{text}");
        }
    }

    #[test]
    fn metrics_their_series_and_other_names_pass() {
        let good = [
            "rate(chat4all_a_total{x=\"y\"}[5m]) + chat4all_b_seconds_bucket + chat4all_b_seconds_count",
            "`chat4all_b_*` and chat4all_a_{total}",
            "`chat4all_process::Clock` in chat4all_process",
            "job:chat4all_c:rate5m and chat4all_c:rate5m",
            "the folder my_chat4all_c",
            "chat4all_a_total: how many",
        ];
        for text in good {
            assert!(lines(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn documentation_rules_and_dashboards_are_checked() {
        assert!(
            ["docs/a.md", "README.md", "prometheus/a.yml", "grafana/b/c.json"]
                .into_iter()
                .all(is_checked)
        );
        assert!(!["docs/a.rs", "api/src/prometheus/a.rs"].into_iter().any(is_checked));
    }
}
