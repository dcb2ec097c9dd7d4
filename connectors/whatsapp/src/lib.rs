//! WhatsApp over Meta's Cloud API: how a call is made, what its answer means, what a webhook
//! reports. Nothing else.

mod callback_data;
mod classify;
mod encode;
mod settings;
mod webhook;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::HeaderMap;
use bytes::Bytes;
use chat4all_connector_kit::hub;
use chat4all_connector_kit::platform::{
    Built, Outcome, Platform, Refusal, SimulatedBy, Webhook, WebhookRefusal,
};
use chat4all_contracts::{AccountName, Message, PlatformName, PlatformSpec};
use chat4all_process::ConfigError;
use http::{Request, Response};
use secrecy::SecretString;

use crate::settings::{ApiSettings, Number};

/// The platform's name.
pub const NAME: &str = "whatsapp";

/// The platform's defaults, as configuration.
pub const DEFAULTS: &str = include_str!("../platform.toml");

/// The Cloud API.
pub struct WhatsApp {
    name: PlatformName,
    base_url: String,
    numbers: BTreeMap<AccountName, Number>,
    app_secret: SecretString,
    verify_token: SecretString,
}

/// Reads `[connectors.whatsapp.api]`.
///
/// # Errors
/// If a key is unknown or wrong, or an account has no credentials while another has.
pub fn build(
    name: &PlatformName,
    spec: &PlatformSpec,
    api: &serde_json::Value,
    simulator: &SimulatedBy,
) -> Result<Built, ConfigError> {
    let settings: ApiSettings =
        chat4all_process::config::section("connectors.whatsapp.api", api)?;
    let simulated = settings.has_no_credentials();
    let settings = if simulated { settings.simulated(simulator) } else { settings };
    let whatsapp = WhatsApp {
        name: name.clone(),
        base_url: settings.base_url(),
        numbers: settings.numbers(spec, simulated, simulator)?,
        app_secret: settings.secret("app_secret", &settings.app_secret)?,
        verify_token: settings.secret("verify_token", &settings.verify_token)?,
    };
    Ok(Built { platform: Arc::new(whatsapp), simulated })
}

impl Platform for WhatsApp {
    fn name(&self) -> &PlatformName {
        &self.name
    }

    fn encode(&self, account: &AccountName, message: &Message) -> Result<Request<Bytes>, Refusal> {
        encode::text(&self.base_url, self.numbers.get(account), message)
    }

    fn classify(&self, answer: &Response<Bytes>) -> Outcome {
        classify::answer(answer)
    }

    fn confirm_webhook(&self, query: &[(String, String)]) -> Option<String> {
        hub::confirm(query, &self.verify_token)
    }

    fn read_webhook(&self, headers: &HeaderMap, body: &[u8]) -> Result<Webhook, WebhookRefusal> {
        if !hub::is_signed_by_app(headers, body, &self.app_secret) {
            return Err(WebhookRefusal::Signature);
        }
        webhook::read(&self.name, &self.numbers, body)
    }
}
