use serde::Serialize;

use super::read_time;
use crate::fields::{FieldError, Fields, Rule, parse_object};
use crate::id::{AccountName, ExternalId, PlatformName};
use crate::reason::Reason;
use crate::status::Status;
use crate::time::EpochMs;

/// A platform's receipt that names the message only by the platform's own id, on `receipts`.
///
/// Required: platform, account, external_id, status, timestamp.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// The platform.
    pub platform: PlatformName,
    /// The account that the platform reported to.
    pub account: AccountName,
    /// The platform's id of the message.
    pub external_id: ExternalId,
    /// SENT, DELIVERED, READ or FAILED.
    pub status: Status,
    /// When it happened, as the platform says.
    pub timestamp: EpochMs,
    /// Why, for FAILED.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

impl Receipt {
    /// Reads a record.
    pub fn parse(bytes: &[u8]) -> Result<Self, FieldError> {
        let map = parse_object(bytes)?;
        let fields = Fields::new(&map);
        let status = |word: &str| match Status::from_word(word) {
            Some(Status::Accepted | Status::Unknown) | None => {
                Err(Rule::new("must be FAILED, SENT, DELIVERED or READ"))
            }
            Some(status) => Ok(status),
        };
        Ok(Self {
            platform: fields.required("platform", PlatformName::new)?,
            account: fields.required("account", AccountName::new)?,
            external_id: fields.required("external_id", ExternalId::new)?,
            status: fields.required("status", status)?,
            timestamp: read_time(&fields, "timestamp")?
                .ok_or_else(|| FieldError::missing("timestamp"))?,
            reason: fields.text("reason")?.map(Reason::from_word),
        })
    }
}
