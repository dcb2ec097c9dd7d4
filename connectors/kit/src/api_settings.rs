//! `[connectors.<platform>.api]` of a platform that is called over HTTP with a token for each
//! account, and that signs its webhooks with a secret.

use std::collections::BTreeMap;

use chat4all_contracts::{AccountName, PlatformName, PlatformSpec};
use chat4all_process::{ConfigError, config};
use secrecy::SecretString;
use serde::Deserialize;

use crate::platform::SimulatedBy;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiSettings {
    base_url: String,
    version: String,
    app_secret: Option<SecretString>,
    verify_token: Option<SecretString>,
    #[serde(default)]
    accounts: BTreeMap<String, AccountSettings>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AccountSettings {
    id: Option<String>,
    access_token: Option<SecretString>,
}

/// Where and with what a platform is called.
#[derive(Debug)]
pub struct ApiAccess {
    /// `https://host/version`, without a slash at the end.
    pub base_url: String,
    /// Every account of the platform.
    pub accounts: BTreeMap<AccountName, ApiAccount>,
    /// What webhooks are signed with.
    pub app_secret: SecretString,
    /// What confirms the webhook's address.
    pub verify_token: SecretString,
    /// Whether the simulator stands in.
    pub simulated: bool,
}

/// An account at the platform.
#[derive(Clone, Debug)]
pub struct ApiAccount {
    /// The platform's id of it: part of the calls' address, and of webhooks.
    pub id: String,
    /// The token that may send from it.
    pub token: SecretString,
}

impl ApiAccess {
    /// Reads the section. Without any access token the platform is simulated, at
    /// `{simulator}/{platform}`.
    ///
    /// # Errors
    /// If a key is unknown or wrong, or only a part of the credentials is there.
    pub fn read(
        platform: &PlatformName,
        spec: &PlatformSpec,
        api: &serde_json::Value,
        simulator: &SimulatedBy,
    ) -> Result<Self, ConfigError> {
        let key = format!("connectors.{platform}.api");
        let settings: ApiSettings = config::section(&key, api)?;
        refuse_unknown_accounts(platform, spec, &settings, &key)?;
        let simulated = settings.accounts.values().all(|account| account.access_token.is_none());
        if simulated {
            refuse_secrets_without_token(spec, &settings, &key)?;
        }
        let host = if simulated {
            format!("{}/{platform}", simulator.url.trim_end_matches('/'))
        } else {
            settings.base_url.trim_end_matches('/').to_owned()
        };
        let secret = |name: &str, given: &Option<SecretString>| match given {
            Some(secret) if !simulated => Ok(secret.clone()),
            _ if simulated => Ok(simulator.secret.clone()),
            _ => Err(ConfigError::missing(
                &format!("{key}.{name}"),
                "is required once an account has an access token".to_owned(),
                "take it from the app's settings at the platform",
            )),
        };
        let accounts = spec.accounts.keys().map(|name| {
            let given = settings.accounts.get(name.as_str()).cloned().unwrap_or_default();
            let account = if simulated {
                let id = given.id.unwrap_or_else(|| simulated_id(name));
                ApiAccount { id, token: simulator.secret.clone() }
            } else {
                complete(&format!("{key}.accounts.{name}"), given)?
            };
            Ok((name.clone(), account))
        });
        Ok(Self {
            base_url: format!("{host}/{}", settings.version),
            accounts: accounts.collect::<Result<_, ConfigError>>()?,
            app_secret: secret("app_secret", &settings.app_secret)?,
            verify_token: secret("verify_token", &settings.verify_token)?,
            simulated,
        })
    }

    /// The account with this id at the platform.
    pub fn account_with_id(&self, id: &str) -> Option<&AccountName> {
        self.accounts.iter().find(|(_, account)| account.id == id).map(|(name, _)| name)
    }
}

/// Platforms number their accounts, and so does their stand-in: 15 digits, the same for the same
/// name (FNV-1a).
fn simulated_id(name: &AccountName) -> String {
    let hash = name.as_str().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("1{:014}", hash % 100_000_000_000_000)
}

fn refuse_unknown_accounts(
    platform: &PlatformName,
    spec: &PlatformSpec,
    settings: &ApiSettings,
    key: &str,
) -> Result<(), ConfigError> {
    let is_known = |name: &str| spec.accounts.keys().any(|account| account.as_str() == name);
    match settings.accounts.keys().find(|name| !is_known(name)) {
        None => Ok(()),
        Some(name) => Err(ConfigError::missing(
            &format!("{key}.accounts.{name}"),
            "names an account that the platform does not have".to_owned(),
            &format!("add [platforms.{platform}.accounts.{name}] with its partition"),
        )),
    }
}

/// Whoever gives a secret means the real platform: the simulator must not stand in unnoticed.
fn refuse_secrets_without_token(
    spec: &PlatformSpec,
    settings: &ApiSettings,
    key: &str,
) -> Result<(), ConfigError> {
    let given = [("app_secret", &settings.app_secret), ("verify_token", &settings.verify_token)];
    match given.iter().find(|(_, secret)| secret.is_some()) {
        None => Ok(()),
        Some((name, _)) => Err(ConfigError::missing(
            &format!("{key}.accounts.{}.access_token", spec.default_account),
            format!("is required, because {key}.{name} is given"),
            "give every account its credentials, or remove all of them to simulate the platform",
        )),
    }
}

fn complete(key: &str, account: AccountSettings) -> Result<ApiAccount, ConfigError> {
    let missing = |name: &str| {
        ConfigError::missing(
            &format!("{key}.{name}"),
            "is required once any account has an access token".to_owned(),
            "give every account its credentials, or none to simulate the platform",
        )
    };
    let id = account.id.ok_or_else(|| missing("id"))?;
    let token = account.access_token.ok_or_else(|| missing("access_token"))?;
    Ok(ApiAccount { id, token })
}

#[cfg(test)]
mod tests {
    use chat4all_contracts::AccountSpec;
    use secrecy::ExposeSecret;
    use serde_json::{Value, json};

    use super::*;

    fn read(api: Value) -> Result<ApiAccess, ConfigError> {
        let account = |name: &str| AccountName::new(name).unwrap();
        let spec = PlatformSpec {
            recipient: regex::Regex::new("^.+$").unwrap(),
            recipient_rule: "anything".to_owned(),
            has_receipts: true,
            accounts: [("a", 0), ("b", 1)]
                .map(|(name, partition)| (account(name), AccountSpec { partition }))
                .into(),
            default_account: account("a"),
        };
        let simulator =
            SimulatedBy { url: "http://sim/".to_owned(), secret: SecretString::from("sim") };
        ApiAccess::read(&PlatformName::new("p").unwrap(), &spec, &api, &simulator)
    }

    const REAL: &str = "https://real/";

    #[test]
    fn without_any_token_the_simulator_stands_in() {
        let access = read(json!({"base_url": REAL, "version": "v1"})).unwrap();
        assert!(access.simulated);
        assert_eq!(access.base_url, "http://sim/p/v1");
        let ids: Vec<&str> = access.accounts.values().map(|account| account.id.as_str()).collect();
        assert!(ids.iter().all(|id| id.len() == 15 && id.bytes().all(|b| b.is_ascii_digit())));
        assert_ne!(ids[0], ids[1]);
    }

    #[test]
    fn a_platform_with_credentials_never_meets_the_simulator() {
        let account = |id| json!({"id": id, "access_token": "t"});
        let access = read(json!({"base_url": REAL, "version": "v1", "app_secret": "s",
            "verify_token": "v", "accounts": {"a": account("1"), "b": account("2")}}))
        .unwrap();
        assert!(!access.simulated);
        assert_eq!(access.base_url, "https://real/v1");
        assert_eq!(access.app_secret.expose_secret(), "s");
    }

    #[test]
    fn half_of_the_credentials_are_refused_with_the_missing_key() {
        let account = json!({"id": "1", "access_token": "t"});
        let half = |extra: Value| {
            let mut api = json!({"base_url": REAL, "version": "v1", "accounts": {"a": account}});
            api.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            read(api).unwrap_err().key
        };
        assert_eq!(half(json!({})), "connectors.p.api.accounts.b.id");
        let unknown = json!({"accounts": {"c": account}});
        assert_eq!(half(unknown), "connectors.p.api.accounts.c");
        let both = json!({"accounts": {"a": account, "b": account}});
        assert_eq!(half(both), "connectors.p.api.app_secret");
        for secret in ["app_secret", "verify_token"] {
            let no_token = json!({"accounts": {}, secret: "s"});
            assert_eq!(half(no_token), "connectors.p.api.accounts.a.access_token");
        }
    }
}
