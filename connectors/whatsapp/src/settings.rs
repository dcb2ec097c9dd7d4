//! `[connectors.whatsapp.api]`

use std::collections::BTreeMap;

use chat4all_connector_kit::platform::SimulatedBy;
use chat4all_contracts::{AccountName, PlatformSpec};
use chat4all_process::ConfigError;
use secrecy::SecretString;
use serde::Deserialize;

/// Where and with what the API is called.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ApiSettings {
    base_url: String,
    version: String,
    pub(crate) app_secret: Option<SecretString>,
    pub(crate) verify_token: Option<SecretString>,
    accounts: BTreeMap<String, AccountSettings>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AccountSettings {
    phone_number_id: Option<String>,
    access_token: Option<SecretString>,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            base_url: "https://graph.facebook.com".to_owned(),
            version: "v26.0".to_owned(),
            app_secret: None,
            verify_token: None,
            accounts: BTreeMap::new(),
        }
    }
}

/// A business phone number.
pub(crate) struct Number {
    /// The API's id of the number.
    pub phone_number_id: String,
    /// The token that may send from it.
    pub access_token: SecretString,
}

impl ApiSettings {
    /// Whether nobody has given a token: then the simulator stands in.
    pub(crate) fn has_no_credentials(&self) -> bool {
        self.accounts.values().all(|account| account.access_token.is_none())
    }

    /// The same settings, for the simulator.
    pub(crate) fn simulated(self, by: &SimulatedBy) -> Self {
        Self {
            base_url: format!("{}/whatsapp", by.url),
            app_secret: Some(by.secret.clone()),
            verify_token: Some(by.secret.clone()),
            ..self
        }
    }

    /// `https://host/vN.N`
    pub(crate) fn base_url(&self) -> String {
        format!("{}/{}", self.base_url.trim_end_matches('/'), self.version)
    }

    /// A secret that webhooks need.
    pub(crate) fn secret(
        &self,
        key: &str,
        secret: &Option<SecretString>,
    ) -> Result<SecretString, ConfigError> {
        secret.clone().ok_or_else(|| {
            ConfigError::missing(
                &format!("connectors.whatsapp.api.{key}"),
                "is required once an account has an access token".to_owned(),
                "take it from the app's settings at the platform",
            )
        })
    }

    /// The number behind each account of the platform.
    pub(crate) fn numbers(
        &self,
        spec: &PlatformSpec,
        simulated: bool,
        by: &SimulatedBy,
    ) -> Result<BTreeMap<AccountName, Number>, ConfigError> {
        let unknown =
            self.accounts.keys().find(|name| !spec.accounts.keys().any(|a| a.as_str() == *name));
        if let Some(name) = unknown {
            return Err(ConfigError::missing(
                &format!("connectors.whatsapp.api.accounts.{name}"),
                "names an account that the platform does not have".to_owned(),
                &format!("add [platforms.whatsapp.accounts.{name}] with its partition"),
            ));
        }
        spec.accounts
            .keys()
            .map(|name| {
                let account = self.accounts.get(name.as_str()).cloned().unwrap_or_default();
                let number = if simulated {
                    Number {
                        phone_number_id: account
                            .phone_number_id
                            .unwrap_or_else(|| name.as_str().to_owned()),
                        access_token: by.secret.clone(),
                    }
                } else {
                    complete(name, account)?
                };
                Ok((name.clone(), number))
            })
            .collect()
    }
}

fn complete(name: &AccountName, account: AccountSettings) -> Result<Number, ConfigError> {
    let missing = |key: &str| {
        ConfigError::missing(
            &format!("connectors.whatsapp.api.accounts.{name}.{key}"),
            "is required once any account has an access token".to_owned(),
            "give every account its credentials, or none to simulate the platform",
        )
    };
    Ok(Number {
        phone_number_id: account.phone_number_id.ok_or_else(|| missing("phone_number_id"))?,
        access_token: account.access_token.ok_or_else(|| missing("access_token"))?,
    })
}
