//! The documentation says what the code does: keys, codes, metrics, links, files, commands.

// Helpers of tests are tests, which clippy sees only in functions marked as such.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;

use chat4all::installation::Installation;
use chat4all::registry::REGISTRY;
use chat4all::settings::Settings;
use chat4all_api::ErrorCode;
use chat4all_connector_kit::platform::Outcome;
use chat4all_contracts::Reason;
use chat4all_process::metric::{Kind, Metric};
use chat4all_process::{ConfigError, config, exit};
use regex::Regex;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every page for outsiders, by its path from the root.
fn pages() -> BTreeMap<String, String> {
    let mut paths = vec!["README.md".to_owned()];
    for folder in ["docs", "docs/adr"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".md") {
                paths.push(format!("{folder}/{name}"));
            }
        }
    }
    paths.into_iter().map(|path| (path.clone(), read(&path))).collect()
}

/// The rows of the tables under a heading (or on the whole page), without head and rule.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let text = read(page);
    let from = text.find(heading).unwrap_or_else(|| panic!("{page} has no {heading}"));
    let section = &text[from + heading.len()..];
    let level = heading.chars().take_while(|c| *c == '#').count();
    let next = format!("\n{} ", "#".repeat(level));
    let end = if level == 0 { None } else { section.find(&next) };
    let lines: Vec<&str> = section[..end.unwrap_or(section.len())].lines().collect();
    let is_rule = |line: &str| line.starts_with("|-");
    let is_head = |at: usize| lines.get(at + 1).is_some_and(|next| is_rule(next));
    let cells =
        |line: &str| line.trim_matches('|').split('|').map(|c| c.trim().to_owned()).collect();
    lines
        .iter()
        .enumerate()
        .filter(|(at, line)| line.starts_with('|') && !is_rule(line) && !is_head(*at))
        .map(|(_, line)| cells(line))
        .collect()
}

fn code(cell: &str) -> String {
    cell.trim_matches('`').to_owned()
}

// Configuration.

const CONFIGURATION: &str = "docs/configuration.md";

struct Documented {
    key: String,
    default: Option<String>,
    bounds: String,
}

fn documented_keys() -> Vec<Documented> {
    let row = |cells: Vec<String>| {
        assert_eq!(cells.len(), 4, "{cells:?}");
        let default = Some(code(&cells[1])).filter(|default| default != "—");
        Documented { key: code(&cells[0]), default, bounds: cells[2].clone() }
    };
    rows(CONFIGURATION, "## Keys").into_iter().map(row).collect()
}

/// `<platform>` and `<account>` stand for any name.
fn names(documented: &str, key: &str) -> bool {
    let (pattern, key): (Vec<_>, Vec<_>) =
        (documented.split('.').collect(), key.split('.').collect());
    let fits = |(part, own): (&&str, &&str)| part.starts_with('<') || part == own;
    pattern.len() == key.len() && pattern.iter().zip(&key).all(fits)
}

/// The dotted keys of a value that have a value themselves.
fn flatten(prefix: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&key, value, into);
            }
        }
        Value::Null => {}
        Value::String(text) => drop(into.insert(prefix.to_owned(), text.clone())),
        other => drop(into.insert(prefix.to_owned(), other.to_string())),
    }
}

fn defaults() -> BTreeMap<String, String> {
    let settings = Settings::load(None, HashMap::new()).unwrap();
    let mut keys = BTreeMap::new();
    flatten("", &serde_json::to_value(settings).unwrap(), &mut keys);
    keys
}

/// What the program says to one environment variable that sets `key`.
fn set(key: &str, value: &str) -> Result<(), ConfigError> {
    let name = format!("CHAT4ALL__{}", key.replace('.', "__").to_uppercase());
    let settings = Settings::load(None, HashMap::from([(name, value.to_owned())]))?;
    Installation::new(settings).map(drop)
}

/// A key that can be set, for a documented one.
fn example_of(documented: &str) -> String {
    documented.replace("<platform>", REGISTRY[0].name).replace("<account>", "default")
}

#[test]
fn every_key_is_documented_with_its_default() {
    let documented = documented_keys();
    for (key, default) in defaults() {
        let found: Vec<_> = documented.iter().filter(|row| names(&row.key, &key)).collect();
        assert_eq!(found.len(), 1, "{key} must have one row");
        assert_eq!(found[0].default.as_deref(), Some(default.as_str()), "{key}");
    }
}

#[test]
fn every_documented_key_exists() {
    let defaults = defaults();
    for Documented { key, default, .. } in documented_keys() {
        if default.is_some() {
            assert!(defaults.keys().any(|known| names(&key, known)), "{key} is no key");
            continue;
        }
        // An optional key may ask for others beside it; unknown it must not be.
        if let Err(error) = set(&example_of(&key), "http://127.0.0.1:1") {
            assert!(!error.rule.contains("not a known key"), "{key}: {error}");
        }
    }
}

#[test]
fn every_optional_key_is_documented() {
    let documented: Vec<String> =
        documented_keys().iter().map(|row| example_of(&row.key)).collect();
    let sections = [
        "simulation",
        "simulation.simulator",
        "simulation.simulator.webhooks.<platform>",
        "simulation.simulator.webhooks.<platform>.accounts.<account>",
        "connectors.<platform>",
        "connectors.<platform>.api",
        "connectors.<platform>.api.accounts.<account>",
        "platforms.<platform>",
        "platforms.<platform>.accounts.<account>",
    ];
    for section in sections.map(example_of) {
        let error = set(&format!("{section}.no_such_key"), "1").unwrap_err();
        assert!(error.rule.contains("not a known key"), "{error}");
        let known: Vec<&str> = error.fix.split('`').skip(1).step_by(2).collect();
        assert!(!known.is_empty(), "{error}");
        for name in known {
            let key = format!("{section}.{name}");
            let below = format!("{key}.");
            let is_there = |row: &&String| **row == key || row.starts_with(&below);
            assert!(documented.iter().any(|row| is_there(&row)), "{key} is not documented");
        }
    }
}

#[test]
fn the_documented_bounds_are_those_of_the_code() {
    let bounds = Regex::new("^[0-9]+ to [0-9]+$").unwrap();
    let mut checked = 0;
    for Documented { key, bounds: documented, .. } in documented_keys() {
        let refused = set(&example_of(&key), "-1").err().map(|error| error.rule);
        let rule = refused.filter(|rule| rule.starts_with("must be a whole number, "));
        let in_code = rule.map(|rule| rule.replace("must be a whole number, ", ""));
        if in_code.is_some() || bounds.is_match(&documented) {
            assert_eq!(in_code.as_deref(), Some(documented.as_str()), "{key}");
            checked += 1;
        }
    }
    assert!(checked > 50, "only {checked} keys have bounds");
}

#[test]
fn the_example_files_are_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chat4all.toml");
    for page in ["README.md", CONFIGURATION] {
        let text = read(page);
        let examples = blocks(&text, "toml");
        assert!(!examples.is_empty(), "{page} has no example");
        for example in examples {
            std::fs::write(&file, &example).unwrap();
            let settings = Settings::load(Some(&file), HashMap::new()).unwrap();
            let installation = Installation::new(settings).unwrap();
            assert_eq!(installation.simulated.len(), installation.served.len() - 1, "{example}");
        }
    }
}

#[test]
fn environment_variables_on_the_pages_are_keys() {
    let defaults = defaults();
    let documented = documented_keys();
    let variable = Regex::new("CHAT4ALL__[A-Z_]+").unwrap();
    for (path, text) in pages() {
        for found in variable.find_iter(&text).map(|found| found.as_str()) {
            let Some(key) = found.strip_prefix("CHAT4ALL__").filter(|key| !key.is_empty()) else {
                continue;
            };
            let key = key.replace("__", ".").to_lowercase();
            let is_known =
                defaults.contains_key(&key) || documented.iter().any(|row| names(&row.key, &key));
            assert!(is_known, "{path}: {found} is no key");
        }
    }
}

// Codes and metrics.

#[test]
fn the_table_of_api_errors_is_that_of_the_code() {
    let expected: Vec<Vec<String>> = ErrorCode::ALL
        .iter()
        .map(|error| {
            let word = format!("`{}`", error.word());
            let status = error.status().as_u16().to_string();
            vec![word, status, error.meaning().to_owned(), error.fix().to_owned()]
        })
        .collect();
    assert_eq!(rows("docs/errors.md", "## API errors"), expected);
}

#[test]
fn the_table_of_failure_reasons_is_that_of_the_code() {
    let documented = rows("docs/errors.md", "## Failure reasons");
    let of_code: Vec<(String, String)> = Reason::ALL
        .iter()
        .map(|reason| (reason.code().to_string(), reason.word().to_owned()))
        .collect();
    let of_page: Vec<(String, String)> =
        documented.iter().map(|row| (row[0].clone(), code(&row[1]))).collect();
    assert_eq!(of_page, of_code);
    assert!(documented.iter().all(|row| row[2].len() > 10 && row[3].len() > 10));
}

#[test]
fn the_table_of_outcomes_is_that_of_the_code() {
    let documented = rows("docs/errors.md", "## Outcomes of a call");
    let words: Vec<String> = documented.iter().map(|row| code(&row[0])).collect();
    assert_eq!(words, Outcome::WORDS);
    assert!(documented.iter().flatten().all(|cell| cell.len() > 7));
}

#[test]
fn the_exit_codes_are_those_of_the_code() {
    let rows = rows("docs/errors.md", "## Exit codes");
    let documented: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    let in_code = [0, exit::UNSUCCESSFUL, exit::CONFIGURATION, exit::SOFTWARE];
    assert_eq!(documented, in_code.map(|number| number.to_string()));
    let help = help(&[]);
    for number in in_code {
        assert!(help.contains(&format!("{number} ")), "{number} is not in the help");
    }
}

#[test]
fn the_table_of_metrics_is_that_of_the_code() {
    let row = |metric: &Metric| {
        let kind = match metric.kind() {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<String> =
            metric.labels().iter().map(|label| format!("`{label}`")).collect();
        let name = format!("`{}`", metric.name());
        let unit = metric.unit().to_owned();
        vec![name, kind.to_owned(), unit, labels.join(", "), metric.help().to_owned()]
    };
    let expected: Vec<Vec<String>> = Metric::ALL.iter().map(row).collect();
    let documented: Vec<Vec<String>> =
        rows("docs/metrics.md", "# Metrics").into_iter().filter(|row| row.len() == 5).collect();
    assert_eq!(documented, expected);
    let labels: BTreeSet<String> = rows("docs/metrics.md", "## Values of the labels")
        .iter()
        .map(|row| code(&row[0]))
        .collect();
    for label in Metric::ALL.iter().flat_map(|metric| metric.labels()) {
        let explained = labels.contains(*label) || *label == "topic";
        assert!(explained, "the label {label} is not explained");
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = read("Cargo.toml");
    let from = manifest.find("[workspace.dependencies]").unwrap();
    let section = &manifest[from..];
    let section = &section[..section.find("\n[workspace.lints").unwrap()];
    let in_manifest: BTreeSet<&str> = section
        .lines()
        .filter_map(|line| line.split_once(" = ").map(|(name, _)| name))
        .filter(|name| !name.starts_with('#') && !name.starts_with("chat4all"))
        .collect();
    let rows = rows("docs/adr/0008-dependencies.md", "## Decision");
    let on_page: BTreeSet<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(on_page, in_manifest);
}

// Links, files and commands.

fn blocks(text: &str, language: &str) -> Vec<String> {
    let open = format!("```{language}\n");
    text.split(&open).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// The anchors of a page's headings, as web views make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let prose = text.split("```").step_by(2);
    let headings = prose.flat_map(str::lines).filter_map(|line| line.strip_prefix('#'));
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings
        .map(|heading| heading.trim_start_matches('#').trim().to_lowercase())
        .map(|heading| heading.chars().filter(kept).collect::<String>().replace(' ', "-"))
        .collect()
}

#[test]
fn every_internal_link_leads_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let pages = pages();
    let mut checked = 0;
    for (path, text) in &pages {
        for found in link.captures_iter(text) {
            let target = &found[1];
            if target.starts_with("http") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let folder = Path::new(path).parent().unwrap();
            let file = if file.is_empty() { PathBuf::from(path) } else { folder.join(file) };
            let there = root().join(&file);
            assert!(there.exists(), "{path}: {target} leads nowhere");
            if !anchor.is_empty() {
                let text = std::fs::read_to_string(&there).unwrap();
                assert!(anchors(&text).contains(anchor), "{path}: {target} has no such heading");
            }
            checked += 1;
        }
    }
    assert!(checked > 10, "only {checked} links were found");
}

#[test]
fn every_file_that_is_named_exists() {
    let named =
        Regex::new(r"`([a-z0-9_-]+/(?:[A-Za-z0-9_.-]+/)*(?:[a-z0-9_-]+\.(?:rs|md|toml))?)`")
            .unwrap();
    let mut checked = 0;
    for (path, text) in pages() {
        for found in named.captures_iter(&text) {
            let file = &found[1];
            // Made by a build, and elsewhere if CARGO_TARGET_DIR says so.
            if file == "target/" {
                continue;
            }
            let in_layout =
                path == "README.md" && ["kit/", "whatsapp/", "instagram/"].contains(&file);
            let place = if in_layout { format!("connectors/{file}") } else { file.to_owned() };
            assert!(root().join(place).exists(), "{path}: there is no {file}");
            checked += 1;
        }
    }
    assert!(checked > 50, "only {checked} files were found");
}

fn help(command: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_chat4all")).args(command).arg("--help").output().unwrap();
    assert!(output.status.success(), "{command:?} has no help");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_readmes_commands_and_flags_exist() {
    let readme = read("README.md");
    let mut checked = 0;
    for line in blocks(&readme, "sh").iter().flat_map(|block| block.lines()) {
        let Some((_, arguments)) = line.split_once("cargo run --release --") else { continue };
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        let command = arguments[0];
        assert!(help(&[]).contains(&format!("\n  {command} ")), "{command} is no command");
        let help = help(&[command]);
        for flag in arguments.iter().filter(|argument| argument.starts_with("--")) {
            assert!(help.contains(flag), "{command} has no {flag}");
            checked += 1;
        }
    }
    assert!(checked > 0, "no flag was found");
}

#[test]
fn the_readmes_addresses_are_the_defaults() {
    let defaults = defaults();
    let listening: BTreeSet<&String> = defaults
        .iter()
        .filter(|(key, _)| key.ends_with("listen"))
        .map(|(_, address)| address)
        .collect();
    let address = Regex::new(r"127\.0\.0\.1:[0-9]+").unwrap();
    let readme = read("README.md");
    for found in address.find_iter(&readme) {
        assert!(listening.contains(&found.as_str().to_owned()), "nothing listens at {found:?}");
    }
}

#[test]
fn a_secrets_key_on_the_page_is_a_secret_to_the_program() {
    for Documented { key, bounds, .. } in documented_keys() {
        assert!(bounds != "secret" || config::is_secret(&key), "{key} would be shown");
    }
}
