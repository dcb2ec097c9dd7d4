//! One file for a whole installation, read by programs that each know a part of it.
//!
//! A program reads its own sections strictly and leaves those of others alone. What is nobody's
//! section is refused: it would be ignored without a word everywhere.

// Never iterated here: the environment comes as the standard library's map.
use std::collections::HashMap;
use std::path::Path;

use ::config::{Config, Map, Value, ValueKind};
use serde::de::DeserializeOwned;

use super::{ConfigError, merge, read};

/// Every top-level key of an installation's file.
pub const SECTIONS: [&str; 11] = [
    "api",
    "cassandra",
    "connectors",
    "data",
    "kafka",
    "log",
    "platforms",
    "router",
    "simulation",
    "status_consumer",
    "topics",
];

/// As [`load`](super::load), of the keys under `own` only; each is dotted: `connectors.x`.
///
/// # Errors
/// The first key that is no section at all, or that is wrong under `own`.
pub fn load<T: DeserializeOwned>(
    defaults: &[&str],
    file: Option<&Path>,
    environment: HashMap<String, String>,
    own: &[&str],
) -> Result<T, ConfigError> {
    let mut config = merge(defaults, file, environment)?;
    let whole = std::mem::take(&mut config.cache);
    let ValueKind::Table(whole) = whole.kind else { return read(&config) };
    refuse_unknown_sections(&whole)?;
    let mut kept = Map::new();
    for path in own {
        keep(path, &whole, &mut kept);
    }
    config.cache = Value::new(None, ValueKind::Table(kept));
    read(&config)
}

fn refuse_unknown_sections(whole: &Map<String, Value>) -> Result<(), ConfigError> {
    // The first in the order of the alphabet: a map's own order differs from run to run.
    match whole.keys().filter(|key| !SECTIONS.contains(&key.as_str())).min() {
        None => Ok(()),
        Some(unknown) => {
            let fix = format!("remove it, or use a section that there is: {}", SECTIONS.join(", "));
            Err(ConfigError::missing(unknown, "is not a known section".to_owned(), &fix))
        }
    }
}

/// Copies what is under `path`. Where the path leads through something that is no table, that goes
/// along, so that it is refused by its name.
fn keep(path: &str, from: &Map<String, Value>, into: &mut Map<String, Value>) {
    let (key, rest) = path.split_once('.').unwrap_or((path, ""));
    let Some(value) = from.get(key) else { return };
    match (&value.kind, rest) {
        (ValueKind::Table(inner), rest) if !rest.is_empty() => {
            let empty = || Value::new(None, ValueKind::Table(Map::new()));
            let kept = into.entry(key.to_owned()).or_insert_with(empty);
            if let ValueKind::Table(kept) = &mut kept.kind {
                keep(rest, inner, kept);
            }
        }
        _ => drop(into.insert(key.to_owned(), value.clone())),
    }
}

/// Whether the file or the environment says anything under a dotted key.
///
/// # Errors
/// If the file is not TOML.
pub fn is_given(
    key: &str,
    file: Option<&Path>,
    environment: HashMap<String, String>,
) -> Result<bool, ConfigError> {
    let config: Config = merge(&[], file, environment)?;
    Ok(config.get::<Value>(key).is_ok())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;
    use crate::config::Bounded;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Mine {
        #[serde(default)]
        connectors: BTreeMap<String, Connector>,
        #[serde(default)]
        topics: BTreeMap<String, Bounded<1, 9>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Connector {
        window: Bounded<1, 9>,
    }

    fn load_mine(text: &str, variables: &[(&str, &str)]) -> Result<Mine, ConfigError> {
        let environment =
            variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        load(&[text], None, environment.collect(), &["connectors.a", "topics"])
    }

    #[test]
    fn sections_of_others_are_left_alone() {
        let text = "[api]\nlisten = 5\n[connectors.a]\nwindow = 2\n[connectors.b]\ncolour = 1\n";
        let mine = load_mine(text, &[("CHAT4ALL__ROUTER__COLOUR", "blue")]).unwrap();
        assert_eq!(mine.connectors.keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(mine.connectors["a"].window.get(), 2);
        assert!(mine.topics.is_empty());
    }

    #[test]
    fn a_mistake_in_a_section_of_ones_own_has_its_whole_key() {
        let colour = load_mine("[connectors.a]\nwindow = 2\ncolour = 1\n", &[]).unwrap_err();
        assert_eq!(
            (colour.key.as_str(), colour.value.as_deref()),
            ("connectors.a.colour", Some("1"))
        );
        let value = load_mine("[connectors.a]\nwindow = 2\n", &[("CHAT4ALL__TOPICS__X", "10")]);
        let value = value.unwrap_err();
        assert_eq!((value.key.as_str(), value.value.as_deref()), ("topics.x", Some("10")));
        let shape = load_mine("connectors = 5\n", &[]).unwrap_err();
        assert_eq!(shape.key, "connectors");
    }

    #[test]
    fn a_section_of_nobody_is_refused_with_those_there_are() {
        let error = load_mine("[apis]\nlisten = 5\n", &[]).unwrap_err();
        assert_eq!((error.key.as_str(), error.rule.as_str()), ("apis", "is not a known section"));
        assert!(error.fix.contains("api, cassandra"), "{error}");
        let error = load_mine("", &[("CHAT4ALL__CONNECTOR__A__WINDOW", "1")]).unwrap_err();
        assert_eq!(error.key, "connector");
    }

    #[test]
    fn what_is_given_is_told_from_what_is_a_default() {
        let variables = [("CHAT4ALL__PLATFORMS__A__HAS_RECEIPTS".to_owned(), "true".to_owned())];
        let given = |key: &str| is_given(key, None, variables.clone().into()).unwrap();
        assert!(given("platforms.a") && !given("platforms.b") && !given("topics"));
    }
}
