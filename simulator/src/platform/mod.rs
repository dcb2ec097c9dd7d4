//! The platforms that are simulated, behind one small trait.
//!
//! A platform knows its vendor's wire format and nothing else: no ledger, no clock, no faults.

mod graph;
mod instagram;
mod whatsapp;

use axum::http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

/// Every platform. Adding one is a module and an entry here.
pub(crate) static REGISTRY: &[&dyn Platform] = &[&whatsapp::WhatsApp, &instagram::Instagram];

/// A call as it came in.
pub(crate) struct Incoming<'a> {
    pub method: &'a Method,
    /// What follows the platform's prefix, without the leading slash.
    pub path: &'a str,
    pub query: Option<&'a str>,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
}

/// What a call asks for.
pub(crate) enum Parsed {
    /// To send a message; `refusal` if the vendor would not.
    Send { message: Message, refusal: Option<VendorError> },
    /// Something else that is not in the ledger, with its answer.
    Other(Value),
    /// Nothing that names a recipient; the account may be empty.
    Unusable { account: String, refusal: VendorError },
}

/// A message somebody wants sent. Holds content and a recipient: no Debug.
pub(crate) struct Message {
    /// Who sends.
    pub account: String,
    /// Who receives, as written by the client.
    pub recipient: String,
    /// What identifies the content; never stored.
    pub content: String,
    /// What the client wants back in receipts.
    pub opaque: Option<String>,
}

/// An error in the vendor's terms. The details may name limits and fields, never values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VendorError {
    pub code: i64,
    pub subcode: Option<i64>,
    /// What is wrong; empty = the vendor's usual words for the code.
    pub details: String,
    /// In place of the HTTP status documented for the code.
    pub http_status: Option<u16>,
    pub retry_after_s: Option<u64>,
}

impl VendorError {
    pub(crate) fn new(code: i64, details: &str) -> Self {
        Self { code, details: details.to_owned(), ..Self::default() }
    }
}

/// What a receipt reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Sent,
    Delivered,
    Read,
}

impl Stage {
    pub(crate) const ALL: [Stage; 3] = [Stage::Sent, Stage::Delivered, Stage::Read];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Stage::Sent => "sent",
            Stage::Delivered => "delivered",
            Stage::Read => "read",
        }
    }
}

/// What a receipt says. Holds a recipient: no Debug.
pub(crate) struct Event<'a> {
    pub account: &'a str,
    pub external_id: &'a str,
    pub stage: Stage,
    /// The recipient's hash, always known.
    pub recipient: &'a str,
    /// The recipient as the vendor spells it, if it is known (still).
    pub address: Option<&'a str>,
    pub opaque: Option<&'a str>,
    /// When it happened, milliseconds since 1970.
    pub at_ms: u64,
}

/// One platform's wire format.
pub(crate) trait Platform: Send + Sync {
    /// In settings, in the ledger, and the first segment of every URL.
    fn name(&self) -> &'static str;

    /// What its receipts report, in order.
    fn stages(&self) -> &'static [Stage];

    /// Error codes that a repetition mends, for random faults.
    fn transient_errors(&self) -> &'static [i64];

    /// Reads and checks a call.
    fn parse(&self, call: &Incoming<'_>) -> Parsed;

    /// The platform's own id of a message; unique if the number is.
    fn external_id(&self, number: u64, random: u64) -> String;

    /// The answer to an accepted message.
    fn accepted(&self, message: &Message, external_id: &str) -> Value;

    /// The answer to a refused one.
    fn error(&self, error: &VendorError, trace_id: &str) -> (StatusCode, Value);

    /// The recipient as receipts show it, and whether it may be stored: a phone number may not.
    fn address(&self, recipient: &str) -> (String, bool);

    /// The body of the webhook for an event.
    fn webhook(&self, event: &Event<'_>) -> Value;
}
