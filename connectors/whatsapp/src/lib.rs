//! WhatsApp over Meta's Cloud API: how a call is made, what its answer means, what a webhook
//! reports. Nothing else.

mod callback_data;
mod classify;
mod encode;
mod webhook;

use std::sync::Arc;

use axum::http::HeaderMap;
use bytes::Bytes;
use chat4all_connector_kit::api_settings::ApiAccess;
use chat4all_connector_kit::hub;
use chat4all_connector_kit::platform::{
    Built, Entry, Outcome, Platform, Refusal, SimulatedBy, Webhook, WebhookRefusal,
};
use chat4all_contracts::{AccountName, Message, PlatformName, PlatformSpec};
use chat4all_process::ConfigError;
use http::{Request, Response};

/// The platform's name.
const NAME: &str = "whatsapp";

/// The platform, for a program that serves it.
pub const ENTRY: Entry = Entry { name: NAME, defaults: include_str!("../platform.toml"), build };

/// The Cloud API.
struct WhatsApp {
    name: PlatformName,
    access: ApiAccess,
}

/// Reads `[connectors.whatsapp.api]`.
///
/// # Errors
/// If a key is unknown or wrong, or an account has no credentials while another has.
fn build(
    name: &PlatformName,
    spec: &PlatformSpec,
    api: &serde_json::Value,
    simulator: &SimulatedBy,
) -> Result<Built, ConfigError> {
    let access = ApiAccess::read(name, spec, api, simulator)?;
    let simulated = access.simulated;
    Ok(Built { platform: Arc::new(WhatsApp { name: name.clone(), access }), simulated })
}

impl Platform for WhatsApp {
    fn name(&self) -> &PlatformName {
        &self.name
    }

    fn encode(&self, account: &AccountName, message: &Message) -> Result<Request<Bytes>, Refusal> {
        encode::text(&self.access, account, message)
    }

    fn classify(&self, answer: &Response<Bytes>) -> Outcome {
        classify::answer(answer)
    }

    fn confirm_webhook(&self, query: &[(String, String)]) -> Option<String> {
        hub::confirm(query, &self.access.verify_token)
    }

    fn read_webhook(&self, headers: &HeaderMap, body: &[u8]) -> Result<Webhook, WebhookRefusal> {
        if !hub::is_signed_by_app(headers, body, &self.access.app_secret) {
            return Err(WebhookRefusal::Signature);
        }
        webhook::read(&self.name, &self.access, body)
    }
}
