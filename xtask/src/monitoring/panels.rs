//! What the dashboards ask for.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::failure::{Failure, Outcome};

/// What `$__rate_interval` is with a scrape interval of 5 s: at least four of them.
const RATE_INTERVAL: &str = "20s";

/// One question of a panel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The file and the panel's title.
    pub place: String,
    /// PromQL, with variables filled in.
    pub expr: String,
}

impl Question {
    /// Whether only an alert that fires gives it an answer.
    pub fn is_about_alerts(&self) -> bool {
        self.expr.starts_with("ALERTS")
    }
}

/// Every question of every dashboard in a folder; what depends on the platform, for each.
///
/// # Errors
/// If a file cannot be read, or the folder has none.
pub fn questions(folder: &Path, platforms: &[String]) -> Outcome<Vec<Question>> {
    let entries = fs::read_dir(folder).map_err(|error| Failure::file(folder.display(), &error))?;
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "json"));
    files.sort();
    let mut questions = Vec::new();
    for file in files {
        let text =
            fs::read_to_string(&file).map_err(|error| Failure::file(file.display(), &error))?;
        let dashboard = serde_json::from_str(&text)
            .map_err(|error| Failure::unsuccessful(format!("{}: {error}", file.display())))?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        questions.extend(of_dashboard(&name, &dashboard, platforms));
    }
    match questions.is_empty() {
        true => Err(Failure::unsuccessful(format!("{} asks nothing", folder.display()))),
        false => Ok(questions),
    }
}

fn of_dashboard(name: &str, dashboard: &Value, platforms: &[String]) -> Vec<Question> {
    let mut questions = Vec::new();
    for panel in dashboard["panels"].as_array().into_iter().flatten() {
        let place = format!("{name}: {}", panel["title"].as_str().unwrap_or_default());
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expr = target["expr"].as_str().unwrap_or_default();
            let expr = expr.replace("$__rate_interval", RATE_INTERVAL);
            if !expr.contains("$platform") {
                questions.push(Question { place: place.clone(), expr });
                continue;
            }
            questions.extend(platforms.iter().map(|platform| {
                let expr = expr.replace("$platform", platform);
                Question { place: format!("{place} ({platform})"), expr }
            }));
        }
    }
    questions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_about_a_platform_is_asked_for_each() {
        let dashboard = serde_json::json!({"panels": [
            {"title": "Row", "panels": []},
            {"title": "A?", "targets": [
                {"expr": "rate(x{p=\"$platform\"}[$__rate_interval])"}, {"expr": "ALERTS"}]},
        ]});
        let found = of_dashboard("d", &dashboard, &["p".to_owned(), "q".to_owned()]);
        let question =
            |place: &str, expr: &str| Question { place: place.into(), expr: expr.into() };
        let expected = [
            question("d: A? (p)", "rate(x{p=\"p\"}[20s])"),
            question("d: A? (q)", "rate(x{p=\"q\"}[20s])"),
            question("d: A?", "ALERTS"),
        ];
        assert_eq!(found, expected);
        assert_eq!(found.iter().filter(|question| question.is_about_alerts()).count(), 1);
    }
}
