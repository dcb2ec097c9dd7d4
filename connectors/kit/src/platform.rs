//! What a platform's crate has to say: how a call is made, what its answer means, what a webhook
//! reports. Everything else is the kit's.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use bytes::Bytes;
use chat4all_contracts::{
    AccountName, ConversationId, EpochMs, ExternalId, Generation, Inbound, Message, MessageId,
    PlatformName, PlatformSpec, Reason, Receipt, Status,
};
use chat4all_process::ConfigError;
use http::{Request, Response};
use secrecy::SecretString;
use serde_json::Value;

pub use crate::detail::Detail;

/// A platform. Plain, synchronous code: no I/O, no clock. A panic in it fails one message.
pub trait Platform: Send + Sync + 'static {
    /// Its name: of its topics, its settings and its receivers.
    fn name(&self) -> &PlatformName;

    /// Makes the call that delivers `message` from `account`.
    ///
    /// # Errors
    /// If the message cannot be expressed in the platform's API.
    fn encode(&self, account: &AccountName, message: &Message) -> Result<Request<Bytes>, Refusal>;

    /// What an answer means. Every well-formed answer has a meaning; what cannot be understood is
    /// [`Outcome::Retryable`] if the platform failed, else [`Outcome::InDoubt`].
    fn classify(&self, answer: &Response<Bytes>) -> Outcome;

    /// Answers the platform's request to confirm the webhook's address, given the query's pairs;
    /// `None` refuses it.
    fn confirm_webhook(&self, query: &[(String, String)]) -> Option<String>;

    /// Checks a webhook's signature and reads what it reports.
    ///
    /// # Errors
    /// If the signature is wrong or the body is not the platform's.
    fn read_webhook(&self, headers: &HeaderMap, body: &[u8]) -> Result<Webhook, WebhookRefusal>;
}

/// A platform's code, ready for a connector.
pub struct Built {
    /// The code.
    pub platform: Arc<dyn Platform>,
    /// Whether its calls go to the simulator, because it was given no credentials.
    pub simulated: bool,
}

/// Builds a platform's code from its configuration: its name, it as data,
/// `[connectors.<name>.api]`, and who stands in without credentials.
pub type Build =
    fn(&PlatformName, &PlatformSpec, &Value, &SimulatedBy) -> Result<Built, ConfigError>;

/// A platform that a program can serve.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// Its defaults, as TOML.
    pub defaults: &'static str,
    /// Makes its code.
    pub build: Build,
}

/// Where a platform without credentials finds its stand-in. A platform with credentials never
/// meets it.
#[derive(Clone, Debug)]
pub struct SimulatedBy {
    /// The simulator's address, without a platform's path: `http://127.0.0.1:8090`.
    pub url: String,
    /// What the simulator signs webhooks with, and what it accepts as a token.
    pub secret: SecretString,
}

/// A message that the platform's API has no form for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why; a message-level reason.
    pub reason: Reason,
    /// The rule, without content.
    pub detail: String,
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The platform has taken the message.
    Accepted {
        /// The platform's id of it.
        external_id: ExternalId,
    },
    /// The platform failed; the same call may succeed later.
    Retryable {
        /// How long to wait at least, if it said.
        after: Option<Duration>,
        /// What the vendor said.
        detail: Detail,
    },
    /// The platform asks us to slow down. Not an attempt, not a failure of the platform.
    Throttled {
        /// How long to wait, if it said.
        after: Option<Duration>,
        /// Whom it concerns.
        scope: ThrottleScope,
        /// What the vendor said.
        detail: Detail,
    },
    /// The platform will never take this message.
    Permanent {
        /// Why.
        reason: Reason,
        /// Whether an operator has to mend something (a template, a country setting).
        operator: bool,
        /// What the vendor said.
        detail: Detail,
    },
    /// The platform refuses the account: credentials, blocked, unpaid. No message of it can go.
    Account {
        /// What the vendor said.
        detail: Detail,
    },
    /// The platform may have taken the message; its answer is missing.
    InDoubt {
        /// What went wrong.
        detail: Detail,
    },
}

impl Outcome {
    /// Every [`Outcome::word`].
    pub const WORDS: [&str; 6] =
        ["accepted", "retryable", "throttled", "permanent", "account", "in_doubt"];

    /// The word in metrics and logs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Retryable { .. } => "retryable",
            Self::Throttled { .. } => "throttled",
            Self::Permanent { .. } => "permanent",
            Self::Account { .. } => "account",
            Self::InDoubt { .. } => "in_doubt",
        }
    }

    /// Whether the platform works, whatever it said. Only this feeds the circuit breaker.
    pub fn shows_a_working_platform(&self) -> bool {
        !matches!(self, Self::Retryable { .. } | Self::InDoubt { .. })
    }
}

/// Whom a throttle concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThrottleScope {
    /// Every message of the account.
    Account,
    /// Messages to this receiver.
    Recipient,
}

/// What a webhook reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Webhook {
    /// In the order of the body.
    pub events: Vec<WebhookEvent>,
    /// How many entries were of a kind that we do not handle.
    pub ignored: usize,
}

/// One report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookEvent {
    /// A receipt that carries our own message.
    Status(ReportedStatus),
    /// The platform took our message, and says nothing that its answer to our call did not say.
    Taken(MessageId, Generation),
    /// A receipt that carries only the platform's id.
    Receipt(Receipt),
    /// A message to us.
    Inbound(Inbound),
}

/// A receipt that came back with what we gave along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedStatus {
    /// The message.
    pub message_id: MessageId,
    /// Its conversation and time of acceptance, which name its row.
    pub row: Option<(ConversationId, EpochMs)>,
    /// The life of the message that was sent.
    pub generation: Generation,
    /// What happened.
    pub status: Status,
    /// When, as the platform says.
    pub at: EpochMs,
    /// Why, for FAILED.
    pub reason: Option<Reason>,
    /// The account that the platform reported to.
    pub account: AccountName,
}

/// Why a webhook is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookRefusal {
    /// The signature is missing or wrong: 401.
    Signature,
    /// The body is not the platform's: 400.
    Body,
}
