use std::fmt;

use serde::Serialize;

use super::{any_text, read_time};
use crate::fields::{FieldError, Fields, parse_object};
use crate::id::{AccountName, ExternalId, PlatformName};
use crate::time::EpochMs;

/// A message that a person sent to one of our accounts, on `inbound`.
///
/// Required: platform, account, peer, external_id, timestamp.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Inbound {
    /// The platform.
    pub platform: PlatformName,
    /// The account it was sent to.
    pub account: AccountName,
    /// Who sent it, in the platform's grammar. Personal data.
    pub peer: String,
    /// The platform's id of the message.
    pub external_id: ExternalId,
    /// When it was sent, as the platform says.
    pub timestamp: EpochMs,
    /// The text, if it is a text message. Personal data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

impl Inbound {
    /// Reads a record.
    pub fn parse(bytes: &[u8]) -> Result<Self, FieldError> {
        let map = parse_object(bytes)?;
        let fields = Fields::new(&map);
        Ok(Self {
            platform: fields.required("platform", PlatformName::new)?,
            account: fields.required("account", AccountName::new)?,
            peer: fields.required("peer", any_text)?,
            external_id: fields.required("external_id", ExternalId::new)?,
            timestamp: read_time(&fields, "timestamp")?
                .ok_or_else(|| FieldError::missing("timestamp"))?,
            content: fields.optional("content", any_text)?,
        })
    }

    /// The record's key: one conversation of one person with one account.
    pub fn key(&self) -> String {
        format!("{}:{}:{}", self.platform, self.account, self.peer)
    }
}

impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbound")
            .field("platform", &self.platform)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}
