//! A stored message as clients see it.

use std::collections::BTreeSet;

use chat4all_contracts::{Generation, PlatformName, Platforms, Status};
use chat4all_store::StoredMessage;
use serde::Serialize;
use utoipa::ToSchema;

/// A message with all that became of it.
// No `Debug`: it holds content (I10).
#[derive(Serialize, ToSchema)]
#[schema(as = Message)]
pub(crate) struct MessageView {
    /// The message.
    message_id: String,
    /// Its conversation.
    conversation_id: String,
    /// Who sends, as the client named it.
    sender_id: String,
    /// To whom.
    receiver_id: String,
    /// The text.
    content: String,
    /// A file that goes with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    file_id: Option<String>,
    /// The platform.
    platform: String,
    /// The account it goes out from; absent if the message named none and the platform is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    /// ACCEPTED, UNKNOWN, FAILED, SENT, DELIVERED or READ.
    #[schema(example = "DELIVERED")]
    status: &'static str,
    /// When it was accepted, RFC 3339.
    #[schema(format = DateTime)]
    accepted_at: String,
    /// When its life ends: no call to the platform starts later. RFC 3339.
    #[schema(format = DateTime)]
    expires_at: String,
    /// What was reported, lowest first.
    statuses: Vec<StatusView>,
    /// Why, if the status is FAILED or UNKNOWN.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Whether the receiver may have got it twice: an earlier call, whose outcome is unknown, may
    /// have been accepted too. Absent if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    possible_duplicate: bool,
    /// The platform's own id of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    /// Whether a simulator stands in for the platform: nothing reaches a person.
    simulated: bool,
    /// How often the message was redriven; absent if never.
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u32>,
}

/// A status with its time.
#[derive(Serialize, ToSchema)]
#[schema(as = StatusAt)]
pub(crate) struct StatusView {
    /// The status.
    #[schema(example = "SENT")]
    status: &'static str,
    /// When it was reported to have happened, RFC 3339.
    #[schema(format = DateTime)]
    at: String,
}

impl MessageView {
    /// A message as a client may see it.
    pub fn of(
        stored: StoredMessage,
        platforms: &Platforms,
        simulated: &BTreeSet<PlatformName>,
    ) -> Self {
        let StoredMessage { message, state } = stored;
        let platform = message.receiver_id.platform();
        let accepted = std::iter::once((Status::Accepted, message.accepted_at));
        let statuses = accepted
            .chain(state.history())
            .map(|(status, at)| StatusView { status: status.word(), at: at.to_rfc3339() })
            .collect();
        // A minimal record names no account: it goes out from the platform's default one.
        let default = || platforms.get(platform).map(|(_, spec)| spec.default_account.clone());
        let generation = Some(state.generation).filter(|g| *g > Generation::FIRST);
        Self {
            platform: platform.to_owned(),
            account: message.account.or_else(default).map(|account| account.as_str().to_owned()),
            simulated: simulated.iter().any(|name| name.as_str() == platform),
            status: state.status().word(),
            reason: state.reason().map(|reason| reason.word()),
            possible_duplicate: state.is_possible_duplicate(),
            external_id: state.external_id().map(|id| id.as_str().to_owned()),
            generation: generation.map(Generation::as_u32),
            statuses,
            message_id: message.message_id.as_str().to_owned(),
            conversation_id: message.conversation_id.as_str().to_owned(),
            sender_id: message.sender_id.as_str().to_owned(),
            receiver_id: message.receiver_id.as_str().to_owned(),
            content: message.content,
            file_id: message.file_id.map(|file| file.as_str().to_owned()),
            accepted_at: message.accepted_at.to_rfc3339(),
            expires_at: message.expires_at.to_rfc3339(),
        }
    }
}
