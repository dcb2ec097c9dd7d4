//! docs/configuration.md and deploy/ say of `[kafka]` and of the sections what the code says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use chat4all_eventlog::kafka::KafkaSettings;
use chat4all_process::ConfigError;
use chat4all_process::config::{self, part};
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
struct File {
    kafka: KafkaSettings,
}

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).unwrap()
}

/// What the code says to a file with `[kafka]` and one key.
fn set(key: &str, value: &str) -> Result<KafkaSettings, ConfigError> {
    let text = format!("{key} = {value}\n");
    config::load::<File>(&["[kafka]\n", &text], None, HashMap::new()).map(|file| file.kafka)
}

/// Key, default and bounds of each row.
fn documented() -> Vec<[String; 3]> {
    let page = read("docs/configuration.md");
    let rows = page.lines().filter(|line| line.starts_with("| `kafka."));
    let cell = |line: &str, at: usize| {
        line.split('|').nth(at).unwrap_or_default().trim().trim_matches('`').to_owned()
    };
    let rows = rows.filter(|line| line.split('|').count() == 6);
    rows.map(|line| [1, 2, 3].map(|at| cell(line, at))).collect()
}

fn flatten(prefix: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                flatten(&format!("{prefix}.{name}"), value, into);
            }
        }
        Value::Null => {}
        Value::String(text) => drop(into.insert(prefix.to_owned(), text.clone())),
        other => drop(into.insert(prefix.to_owned(), other.to_string())),
    }
}

#[test]
fn every_key_of_kafka_is_documented_with_its_default() {
    let mut defaults = BTreeMap::new();
    let settings = serde_json::to_value(KafkaSettings::default()).unwrap();
    flatten("kafka", &settings, &mut defaults);
    let given = |[key, default, _]: [String; 3]| (default != "—").then_some((key, default));
    let rows: BTreeMap<String, String> = documented().into_iter().filter_map(given).collect();
    assert_eq!(rows, defaults);
}

#[test]
fn every_optional_key_of_kafka_is_documented_and_exists() {
    let rows: Vec<String> = documented().into_iter().map(|[key, ..]| key).collect();
    for section in ["kafka", "kafka.tls", "kafka.sasl"] {
        let error = set(&format!("{section}.no_such_key"), "1").unwrap_err();
        for name in error.fix.split('`').skip(1).step_by(2) {
            let key = format!("{section}.{name}");
            let is_there =
                rows.iter().any(|row| *row == key || row.starts_with(&format!("{key}.")));
            assert!(is_there, "{key} is not documented");
        }
    }
    for key in rows {
        let example = key.replace("<group>", "some-group");
        if let Err(error) = set(&example, "'earliest'") {
            assert!(!error.rule.contains("not a known key"), "{error}");
        }
    }
}

#[test]
fn the_documented_bounds_are_those_of_the_code() {
    let mut checked = 0;
    for [key, _, bounds] in documented() {
        let refused = set(&key, "-1").err().map(|error| error.rule);
        let in_code = refused
            .and_then(|rule| rule.strip_prefix("must be a whole number, ").map(str::to_owned));
        if in_code.is_some() || bounds.contains(" to ") {
            assert_eq!(in_code.as_deref(), Some(bounds.as_str()), "{key}");
            checked += 1;
        }
    }
    assert!(checked > 5, "only {checked} keys have bounds");
}

#[test]
fn a_documented_secret_is_one_to_the_program() {
    for [key, _, bounds] in documented() {
        assert!(bounds != "secret" || config::is_secret(&key), "{key} would be shown");
    }
}

#[test]
fn the_page_says_who_reads_which_section() {
    let page = read("docs/configuration.md");
    let from = page.find("## Processes of their own").unwrap();
    let table = page[from..].split("\n\n").find(|text| text.starts_with("| Executable")).unwrap();
    for section in part::SECTIONS {
        assert!(table.contains(&format!("`{section}")), "nobody reads {section}");
    }
}

#[test]
fn the_files_in_deploy_have_sections_that_there_are() {
    for path in ["deploy/chat4all.toml", "deploy/local.toml"] {
        let text = read(path);
        let file = config::load::<HashMap<String, Value>>(&[&text], None, HashMap::new()).unwrap();
        for section in file.keys() {
            assert!(part::SECTIONS.contains(&section.as_str()), "{path}: {section}");
        }
        let kafka: File = config::load(&[&text], None, HashMap::new()).unwrap();
        assert_eq!(kafka.kafka.validate("kafka"), Ok(()));
    }
}
