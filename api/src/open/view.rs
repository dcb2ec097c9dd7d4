//! An open message as the API shows it.

use chat4all_contracts::EpochMs;
use chat4all_store::StoredMessage;
use serde::Serialize;
use utoipa::ToSchema;

use super::waits::Wait;
use crate::shared::Shared;

/// A part of the open messages.
#[derive(Serialize, ToSchema)]
#[schema(as = OpenPage)]
pub(crate) struct OpenPageView {
    /// The messages.
    pub(super) messages: Vec<OpenView>,
    /// Where the next page begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_cursor: Option<String>,
}

/// A message without an outcome.
#[derive(Serialize, ToSchema)]
#[schema(as = OpenMessage)]
pub(crate) struct OpenView {
    /// The message's id.
    message_id: String,
    /// Its conversation.
    conversation_id: String,
    /// The platform.
    platform: String,
    /// The account it goes out from.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    /// ACCEPTED or UNKNOWN.
    #[schema(example = "ACCEPTED")]
    status: &'static str,
    /// When it was accepted, RFC 3339.
    #[schema(format = DateTime)]
    accepted_at: String,
    /// How long ago that was, in seconds.
    age_s: u64,
    /// In how many seconds its life ends; 0 if it has ended.
    expires_in_s: u64,
    /// Where it waits: router_backlog, connector_backlog, paced, parked, in_doubt,
    /// projection_behind; or unknown.
    #[schema(example = "parked")]
    waits: &'static str,
    /// Why, for people.
    why: String,
}

impl OpenView {
    pub(super) fn of(api: &Shared, stored: &StoredMessage, wait: Wait, now: EpochMs) -> Self {
        let message = &stored.message;
        let (platform, account) = api.way_of(message);
        Self {
            message_id: message.message_id.as_str().to_owned(),
            conversation_id: message.conversation_id.as_str().to_owned(),
            platform: platform.to_owned(),
            account: account.map(|account| account.as_str().to_owned()),
            status: stored.state.status().word(),
            accepted_at: message.accepted_at.to_rfc3339(),
            age_s: now.since(message.accepted_at).as_secs(),
            expires_in_s: message.expires_at.since(now).as_secs(),
            waits: wait.place,
            why: wait.why,
        }
    }
}
