//! Loads configuration: defaults, one TOML file, environment variables; in that order.
//!
//! `CHAT4ALL__API__LISTEN` sets `api.listen`. Everything is read and checked before a port is
//! bound; an error names key, value, rule and fix.
//!
//! One file may serve several programs: see [`part`]. Variables of other names than ours that mean
//! a key are in [`plain`].

pub mod part;
pub mod plain;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use ::config::{Config, Environment, File, FileFormat, ValueKind};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

/// The prefix of every environment variable that is configuration.
pub const ENV_PREFIX: &str = "CHAT4ALL";

/// Something in the configuration, or in what it points to, that does not allow a start.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{key}{} {rule}\n  fix: {fix}", .value.as_ref().map(|v| format!(" = {v}:")).unwrap_or_default())]
pub struct ConfigError {
    /// The key, dotted: `api.listen`.
    pub key: String,
    /// The refused value, unless it is a secret.
    pub value: Option<String>,
    /// What the value must satisfy.
    pub rule: String,
    /// What to do.
    pub fix: String,
}

impl ConfigError {
    /// An error about `key`; the value is hidden if the key names a secret.
    pub fn of(key: &str, value: impl fmt::Display, rule: String, fix: &str) -> Self {
        let value = if is_secret(key) { "***".to_owned() } else { value.to_string() };
        Self { key: key.to_owned(), value: Some(value), rule, fix: fix.to_owned() }
    }

    /// An error about a key that has no value.
    pub fn missing(key: &str, rule: String, fix: &str) -> Self {
        Self { key: key.to_owned(), value: None, rule, fix: fix.to_owned() }
    }
}

/// Whether a key's value must never be shown.
pub fn is_secret(key: &str) -> bool {
    let last = key.rsplit('.').next().unwrap_or(key);
    ["token", "secret", "password"].iter().any(|word| last.contains(word))
}

/// Reads `T` from TOML texts (weakest first), a file if one is given, and the environment.
///
/// # Errors
/// The first key that is unknown, of the wrong type or out of its bounds.
pub fn load<T: DeserializeOwned>(
    defaults: &[&str],
    file: Option<&Path>,
    environment: HashMap<String, String>,
) -> Result<T, ConfigError> {
    read(&merge(defaults, file, environment)?)
}

/// The file that is read if it is there and no other is named.
pub const DEFAULT_FILE: &str = "chat4all.toml";

/// The named file, else [`DEFAULT_FILE`] if it is there.
pub fn file_or_default(named: Option<&Path>) -> Option<&Path> {
    let default_file = Path::new(DEFAULT_FILE);
    named.or_else(|| default_file.exists().then_some(default_file))
}

/// All sources, the stronger ones over the weaker ones.
fn merge(
    defaults: &[&str],
    file: Option<&Path>,
    environment: HashMap<String, String>,
) -> Result<Config, ConfigError> {
    let mut builder = Config::builder();
    for text in defaults {
        builder = builder.add_source(File::from_str(text, FileFormat::Toml));
    }
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).map_err(|error| {
            let rule = format!("must be a file that can be read: {error}");
            ConfigError::of("--config", path.display(), rule, "check the path")
        })?;
        builder = builder.add_source(File::from_str(&text, FileFormat::Toml));
    }
    refuse_unknown_variables(&environment)?;
    let prefix = format!("{ENV_PREFIX}__");
    let ours = environment.into_iter().filter(|(name, _)| name.starts_with(&prefix)).collect();
    builder = builder.add_source(
        Environment::with_prefix(ENV_PREFIX)
            .prefix_separator("__")
            .separator("__")
            .source(Some(ours)),
    );
    builder.build().map_err(|error| {
        // The parser quotes the line it stopped at, which may hold a secret: keep the place only.
        let text = error.to_string();
        let place = text.lines().find(|line| line.contains("line ")).unwrap_or("TOML parse error");
        ConfigError::missing(
            "the file",
            format!("must be TOML: {}", place.trim()),
            "correct the syntax",
        )
    })
}

fn read<T: DeserializeOwned>(config: &Config) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize(config.clone()).map_err(|error| {
        let path = error.path().to_string();
        let value = |key: &str| shown(&config.get::<::config::Value>(key).ok()?);
        explain(&path, value, &error.into_inner().to_string())
    })
}

/// A value as an error shows it; a table or a list not at all, since it may hold a secret whose key
/// nobody looks at.
fn shown(value: &::config::Value) -> Option<String> {
    let is_whole = matches!(value.kind, ValueKind::Table(_) | ValueKind::Array(_));
    (!is_whole).then(|| value.to_string())
}

/// Reads a section whose shape only its owner knows; `key` is where it stands.
///
/// # Errors
/// As [`load`].
pub fn section<T: DeserializeOwned>(
    key: &str,
    value: &serde_json::Value,
) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let shown = |whole: &str| {
            let below = whole.strip_prefix(key)?.trim_start_matches('.');
            match value.pointer(&format!("/{}", below.replace('.', "/")))? {
                serde_json::Value::String(text) => Some(text.clone()),
                serde_json::Value::Object(_) | serde_json::Value::Array(_) => None,
                other => Some(other.to_string()),
            }
        };
        let path = if path == "." { key.to_owned() } else { format!("{key}.{path}") };
        explain(&path, shown, &error.into_inner().to_string())
    })
}

/// Variables that are ours and no configuration keys: the log filter, the command line's address,
/// the simulation's seed.
const OTHER_VARIABLES: [&str; 3] = ["CHAT4ALL_LOG", "CHAT4ALL_API", "CHAT4ALL_SIM_SEED"];

/// A misspelt variable would otherwise be ignored without a word.
fn refuse_unknown_variables(environment: &HashMap<String, String>) -> Result<(), ConfigError> {
    let is_meant_for_us = |name: &&String| {
        name.starts_with(&format!("{ENV_PREFIX}_"))
            && !name.starts_with(&format!("{ENV_PREFIX}__"))
            && !OTHER_VARIABLES.contains(&name.as_str())
    };
    // The first in the order of the alphabet: a map's own order differs from run to run.
    match environment.keys().filter(is_meant_for_us).min() {
        None => Ok(()),
        Some(name) => Err(ConfigError::missing(
            name,
            "is no variable of this program".to_owned(),
            "write CHAT4ALL__SECTION__KEY, with two underscores at each place",
        )),
    }
}

/// The key that is not there, in serde's words or in those of the configuration's crate.
fn missing(message: &str) -> Option<&str> {
    let named = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    let ours = || message.strip_prefix("missing configuration field \"")?.split('"').next();
    named.or_else(ours).map(|key| key.rsplit('.').next().unwrap_or(key))
}

/// Turns the deserializer's words into key, value, rule and fix.
fn explain(path: &str, value: impl Fn(&str) -> Option<String>, message: &str) -> ConfigError {
    let path = if path == "." { "" } else { path };
    let quoted = |text: &str| text.split('`').nth(1).unwrap_or_default().to_owned();
    let under =
        |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    // serde appends the failing field to the path only if it got that far.
    let leaf = |name: &str| {
        if path.rsplit('.').next() == Some(name) { path.to_owned() } else { under(name) }
    };
    if message.starts_with("unknown field") {
        let known = message.split_once("expected").map_or("", |(_, known)| known.trim());
        let known = known.split(" for key").next().unwrap_or(known);
        let known = if known.is_empty() { "none".to_owned() } else { known.to_owned() };
        let fix = format!("remove it, or use a known key here: {known}");
        let (key, rule) = (leaf(&quoted(message)), "is not a known key".to_owned());
        return match value(&key) {
            Some(value) => ConfigError::of(&key, value, rule, &fix),
            None => ConfigError::missing(&key, rule, &fix),
        };
    }
    if let Some(name) = missing(message) {
        let key = leaf(name);
        return ConfigError::missing(
            &key,
            "is required".to_owned(),
            "add it to the file or the environment",
        );
    }
    let rule = match message.split_once("expected ") {
        Some((_, expected)) => {
            format!("must be {}", expected.split(" for key").next().unwrap_or(expected))
        }
        None => message.split(" for key").next().unwrap_or(message).to_owned(),
    };
    let fix = "see docs/configuration.md for the key's meaning and bounds";
    // What stands where keys belong may be the secret that one of them was to hold.
    let keys = ["must be struct ", "must be a map"];
    if keys.iter().any(|words| rule.starts_with(words)) {
        return ConfigError::missing(path, "must be a table of keys".to_owned(), fix);
    }
    match value(path) {
        Some(value) => ConfigError::of(path, value, rule, fix),
        None => ConfigError::missing(path, rule, fix),
    }
}

/// A whole number between two bounds, both allowed. The only way to a policy value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Bounded<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Bounded<MIN, MAX> {
    /// A value known when the program was written; out of bounds it does not compile in a const.
    pub const fn new(value: u64) -> Self {
        assert!(MIN <= value && value <= MAX, "out of bounds");
        Self(value)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number as a count of things in memory.
    pub const fn count(self) -> usize {
        self.0 as usize
    }

    /// The number as milliseconds.
    pub const fn ms(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Bounded<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let refused = || D::Error::custom(format!("must be a whole number, {MIN} to {MAX}"));
        let value = i64::deserialize(deserializer).map_err(|error| {
            // A number that is not there at all is no number out of bounds.
            if missing(&error.to_string()).is_some() { error } else { refused() }
        })?;
        match u64::try_from(value) {
            Ok(value) if (MIN..=MAX).contains(&value) => Ok(Self(value)),
            _ => Err(refused()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        api: Api,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)] // read only to see how it is refused
    struct Api {
        listen: SocketAddr,
        window: Bounded<1, 100>,
        access_token: Option<Bounded<1, 2>>,
    }

    const DEFAULTS: &str = "[api]\nlisten = '127.0.0.1:8080'\nwindow = 10\n";

    fn with_env(pairs: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let pairs = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        load(&[DEFAULTS], None, pairs)
    }

    #[test]
    fn the_environment_overrides_the_defaults() {
        let settings = with_env(&[("CHAT4ALL__API__WINDOW", "7"), ("CHAT4ALL", "x")]).unwrap();
        assert_eq!(settings.api.window.get(), 7);
    }

    #[test]
    fn an_unknown_key_is_named_with_the_known_ones() {
        let error = with_env(&[("CHAT4ALL__API__WINDOWS", "7")]).unwrap_err();
        assert_eq!(
            (error.key.as_str(), error.rule.as_str()),
            ("api.windows", "is not a known key")
        );
        assert!(error.fix.contains("`window`"), "{error}");
        assert_eq!(error.value.as_deref(), Some("7"));
        let error = with_env(&[("CHAT4ALL_API__WINDOW", "7")]).unwrap_err();
        assert_eq!(error.key, "CHAT4ALL_API__WINDOW");
    }

    #[test]
    fn a_value_out_of_bounds_is_named_with_its_rule() {
        for value in ["0", "101", "-1", "many"] {
            let error = with_env(&[("CHAT4ALL__API__WINDOW", value)]).unwrap_err();
            assert_eq!((error.key.as_str(), error.value.as_deref()), ("api.window", Some(value)));
            assert_eq!(error.rule, "must be a whole number, 1 to 100");
        }
        let error = with_env(&[("CHAT4ALL__API__LISTEN", "localhost")]).unwrap_err();
        assert_eq!(error.key, "api.listen");
    }

    #[test]
    fn a_number_that_is_missing_is_named() {
        let text = "[api]\nlisten = '127.0.0.1:8080'\n";
        let error = load::<Settings>(&[text], None, HashMap::new()).unwrap_err();
        assert_eq!((error.key.as_str(), error.rule.as_str()), ("api.window", "is required"));
        let api = serde_json::json!({"listen": "127.0.0.1:8080"});
        let error = section::<Api>("connectors.x.api", &api).unwrap_err();
        assert_eq!(error.key, "connectors.x.api.window");
    }

    #[test]
    fn a_section_is_explained_with_its_whole_key() {
        let api = serde_json::json!({"listen": "x", "window": 5});
        let error = section::<Api>("connectors.x.api", &api).unwrap_err();
        assert_eq!(error.key, "connectors.x.api.listen");
        assert_eq!(error.value.as_deref(), Some("x"));
    }

    #[test]
    fn a_secret_is_never_shown() {
        let error = with_env(&[("CHAT4ALL__API__ACCESS_TOKEN", "hunter2")]).unwrap_err();
        assert_eq!(error.value.as_deref(), Some("***"));
        let listed = "[api]\nlisten = [{access_token = 'hunter2'}]\nwindow = 1";
        let error = load::<Settings>(&[listed], None, HashMap::new()).unwrap_err();
        assert_eq!((error.key.as_str(), error.value), ("api.listen", None));
        let api = serde_json::json!({"listen": {"access_token": "hunter2"}, "window": 1});
        let error = section::<Api>("connectors.x.api", &api).unwrap_err();
        assert_eq!((error.key.as_str(), error.value), ("connectors.x.api.listen", None));
        let error = load::<Settings>(&["api = 'hunter2'"], None, HashMap::new()).unwrap_err();
        let told = (error.key.as_str(), error.value.as_deref(), error.rule.as_str());
        assert_eq!(told, ("api", None, "must be a table of keys"));
        let broken = load::<Settings>(&["[api]\naccess_token = 'hunter2"], None, HashMap::new());
        let error = format!("{:?}", broken.unwrap_err());
        assert!(!error.contains("hunter2"), "{error}");
    }
}
