//! `[platforms]` as a whole: each platform as data, checked.

use std::collections::{BTreeMap, BTreeSet};

use chat4all_contracts::{AccountName, AccountSpec, PlatformName, PlatformSpec, Platforms};
use chat4all_process::ConfigError;
use regex::Regex;

use crate::settings::PlatformSettings;

/// What `[platforms]` says.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// The platforms.
    pub platforms: Platforms,
    /// Those of which it says that the simulator stands in.
    pub simulated: BTreeSet<PlatformName>,
    /// Remarks for the operator: allowed, and probably not meant.
    pub warnings: Vec<String>,
}

/// Checks the section.
///
/// # Errors
/// The first contradiction, with the key to mend; or no platform at all.
pub fn check(settings: &BTreeMap<String, PlatformSettings>) -> Result<Checked, ConfigError> {
    if settings.is_empty() {
        return Err(ConfigError::missing(
            "platforms",
            "must have a section for each platform that is served".to_owned(),
            "add [platforms.<name>] with its accounts; deploy/chat4all.toml has those of every \
             connector, ready to copy",
        ));
    }
    let mut checked = Checked::default();
    for (key, platform) in settings {
        let name = name(&format!("platforms.{key}"), key)?;
        let spec = spec(key, platform)?;
        checked.warnings.extend(shared_partitions(key, &spec));
        if platform.simulated == Some(true) {
            checked.simulated.insert(name.clone());
        }
        checked.platforms.0.insert(name, spec);
    }
    Ok(checked)
}

/// The platform's name; `key` is where it stands.
///
/// # Errors
/// If it is no name.
pub fn name(key: &str, text: &str) -> Result<PlatformName, ConfigError> {
    PlatformName::new(text)
        .map_err(|rule| ConfigError::of(key, text, rule.to_string(), "rename the platform"))
}

/// The pace of a platform's accounts, in calls a second.
pub fn per_second(settings: &PlatformSettings) -> BTreeMap<AccountName, u32> {
    let pace = settings.accounts.iter().filter_map(|(account, settings)| {
        Some((AccountName::new(account).ok()?, settings.per_second.get() as u32))
    });
    pace.collect()
}

/// Holds what the configuration says about the simulator against what the credentials mean.
/// `by_credentials` = the connector has none and would call the simulator.
///
/// # Errors
/// If they contradict each other.
pub fn check_simulated(
    key: &str,
    settings: &PlatformSettings,
    by_credentials: bool,
) -> Result<(), ConfigError> {
    let key = format!("platforms.{key}.simulated");
    match settings.simulated {
        Some(true) if !by_credentials => Err(ConfigError::of(
            &key,
            true,
            "contradicts the access tokens of its accounts: a platform with credentials never \
             meets the simulator"
                .to_owned(),
            "remove it, or remove the credentials",
        )),
        Some(false) if by_credentials => Err(ConfigError::of(
            &key,
            false,
            "needs credentials, and no account has an access token".to_owned(),
            "give every account its credentials, or set it to true to let the simulator stand in",
        )),
        _ => Ok(()),
    }
}

fn spec(key: &str, settings: &PlatformSettings) -> Result<PlatformSpec, ConfigError> {
    let key = |name: &str| format!("platforms.{key}.{name}");
    let pattern = &settings.recipient_pattern;
    let recipient = Regex::new(pattern).map_err(|_| {
        let rule = "must be a regular expression".to_owned();
        ConfigError::of(&key("recipient_pattern"), pattern, rule, "correct its syntax")
    })?;
    if !pattern.starts_with('^') || !pattern.ends_with('$') {
        let rule = "must match the whole address".to_owned();
        let fix = "begin it with ^ and end it with $";
        return Err(ConfigError::of(&key("recipient_pattern"), pattern, rule, fix));
    }
    let mut accounts = BTreeMap::new();
    for (text, account) in &settings.accounts {
        let name = AccountName::new(text).map_err(|rule| {
            let key = key(&format!("accounts.{text}"));
            ConfigError::of(&key, text, rule.to_string(), "rename the account")
        })?;
        accounts.insert(name, AccountSpec { partition: account.partition.get() as u32 });
    }
    let default_account = AccountName::new(&settings.default_account)
        .ok()
        .filter(|name| accounts.contains_key(name))
        .ok_or_else(|| {
            let rule = "must name one of the platform's accounts".to_owned();
            let fix = "add the account, or name another";
            ConfigError::of(&key("default_account"), &settings.default_account, rule, fix)
        })?;
    Ok(PlatformSpec {
        recipient,
        recipient_rule: settings.recipient_rule.clone(),
        has_receipts: settings.has_receipts,
        accounts,
        default_account,
    })
}

fn shared_partitions(key: &str, spec: &PlatformSpec) -> Option<String> {
    let mut seen = BTreeSet::new();
    let shared = spec.accounts.values().find(|account| !seen.insert(account.partition))?;
    Some(format!(
        "platforms.{key}: several accounts share partition {}, so one that is slow holds up the \
         others; give each a partition of its own",
        shared.partition
    ))
}

#[cfg(test)]
mod tests {
    use chat4all_process::config::Bounded;

    use super::*;
    use crate::settings::AccountSettings;

    fn plain(partitions: &[u64], simulated: Option<bool>) -> PlatformSettings {
        let accounts = partitions.iter().enumerate().map(|(number, partition)| {
            // Bounds are checked when a number is read.
            let partition = if *partition == 0 { Bounded::new(0) } else { Bounded::new(1) };
            (format!("a{number}"), AccountSettings { partition, per_second: Bounded::new(7) })
        });
        PlatformSettings {
            recipient_pattern: "^.+$".to_owned(),
            recipient_rule: "anything".to_owned(),
            has_receipts: true,
            simulated,
            default_account: "a0".to_owned(),
            accounts: accounts.collect(),
        }
    }

    #[test]
    fn without_any_platform_the_error_says_what_to_add() {
        let error = check(&BTreeMap::new()).unwrap_err();
        assert_eq!(error.key, "platforms");
        assert!(error.fix.contains("[platforms.<name>]"), "{error}");
    }

    #[test]
    fn accounts_that_share_a_partition_are_remarked_and_simulated_platforms_known() {
        let shared = plain(&[0, 0], Some(true));
        let apart = plain(&[0, 1], None);
        let checked = check(&[("b".to_owned(), shared), ("c".to_owned(), apart)].into()).unwrap();
        assert!(checked.warnings.len() == 1 && checked.warnings[0].starts_with("platforms.b"));
        assert_eq!(checked.simulated.iter().map(PlatformName::as_str).collect::<Vec<_>>(), ["b"]);
        assert_eq!(checked.platforms.names(), "b, c");
    }

    #[test]
    fn a_pattern_without_an_end_and_an_unknown_default_account_are_refused() {
        let mut open = plain(&[0], None);
        open.recipient_pattern = "^.+".to_owned();
        let error = check(&[("b".to_owned(), open)].into()).unwrap_err();
        assert_eq!(error.key, "platforms.b.recipient_pattern");
        let mut nobody = plain(&[0], None);
        nobody.default_account = "nobody".to_owned();
        let error = check(&[("b".to_owned(), nobody)].into()).unwrap_err();
        assert_eq!(error.key, "platforms.b.default_account");
    }

    #[test]
    fn what_is_said_of_the_simulator_must_fit_the_credentials() {
        let check = |said, by_credentials| {
            check_simulated("b", &plain(&[0], said), by_credentials).map_err(|error| error.key)
        };
        let refused = Err("platforms.b.simulated".to_owned());
        assert_eq!((check(None, true), check(None, false)), (Ok(()), Ok(())));
        assert_eq!((check(Some(true), true), check(Some(false), false)), (Ok(()), Ok(())));
        assert_eq!(
            (check(Some(true), false), check(Some(false), true)),
            (refused.clone(), refused)
        );
    }
}
