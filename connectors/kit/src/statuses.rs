//! Makes the status events of a connector.

use chat4all_contracts::{AccountName, EpochMs, Message, PlatformName, Status, StatusUpdate};

use crate::outcome::Tries;
use crate::platform::ReportedStatus;

/// Knows the platform that events are about.
#[derive(Clone, Debug)]
pub struct Statuses {
    platform: PlatformName,
}

impl Statuses {
    /// Events about one platform.
    pub fn new(platform: PlatformName) -> Self {
        Self { platform }
    }

    /// The platform.
    pub fn platform(&self) -> &PlatformName {
        &self.platform
    }

    /// What became of a message here.
    pub fn about(
        &self,
        message: &Message,
        account: &AccountName,
        status: Status,
        tries: &Tries,
        now: EpochMs,
    ) -> StatusUpdate {
        let mut update = StatusUpdate::minimal(message.message_id.clone(), status, now);
        update.conversation_id = Some(message.conversation_id.clone());
        update.accepted_at = Some(message.accepted_at);
        update.expires_at = Some(message.expires_at);
        update.generation = message.generation;
        update.platform = Some(self.platform.clone());
        update.account = Some(account.clone());
        update.attempt = Some(tries.made);
        update.possible_duplicate = tries.possibly_accepted();
        update
    }

    /// What the platform reported about a message.
    pub fn reported(&self, report: ReportedStatus) -> StatusUpdate {
        let mut update = StatusUpdate::minimal(report.message_id, report.status, report.at);
        if let Some((conversation_id, accepted_at)) = report.row {
            update.conversation_id = Some(conversation_id);
            update.accepted_at = Some(accepted_at);
        }
        update.generation = report.generation;
        update.platform = Some(self.platform.clone());
        update.account = Some(report.account);
        update.reason = report.reason;
        update
    }
}
