//! What a client asks for with `POST /v1/messages`, validated. A refusal names field and rule and
//! never repeats the value (I10).

use std::fmt;
use std::time::Duration;

use chat4all_contracts::fields::{Fields, Rule, parse_object};
use chat4all_contracts::{
    AccountName, ConversationId, FileId, Generation, IdempotencyKey, Message, MessageId,
    PlatformName, PlatformSpec, Platforms, ReceiverId, SenderId,
};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::error_code::ErrorCode;
use crate::idempotency::Identity;
use crate::problem::Problem;

/// The longest content, in bytes of UTF-8.
pub const MAX_CONTENT_BYTES: usize = 10_240;

/// The longest lifetime that a client may ask for, in seconds.
pub const MAX_LIFETIME_S: u64 = 86_400;

/// The fields of the body.
pub(crate) const FIELDS: [&str; 9] = [
    "conversation_id",
    "receiver_id",
    "recipient_id",
    "content",
    "sender_id",
    "account",
    "file_id",
    "message_id",
    "expires_in",
];

/// A message to be sent. One of receiver_id and recipient_id is required. Unknown fields are
/// refused; null counts as absent.
#[derive(ToSchema)]
#[allow(dead_code)] // the schema of the body; SendRequest reads it, for errors that name the field
pub(crate) struct SendMessage {
    /// The conversation; its messages are delivered one after the other.
    #[schema(min_length = 1, max_length = 128, example = "order-42")]
    conversation_id: String,
    /// To whom: platform:address.
    #[schema(min_length = 3, max_length = 128, example = "whatsapp:+5511999990000")]
    receiver_id: Option<String>,
    /// Another name for receiver_id; if both are given they must be equal.
    #[schema(min_length = 3, max_length = 128)]
    recipient_id: Option<String>,
    /// The text, at most 10,240 bytes of UTF-8. No control characters but line feed, carriage
    /// return and tab.
    #[schema(min_length = 1, max_length = 10240, example = "Your order is on its way.")]
    content: String,
    /// Who sends, as the client names it; by default the account's name.
    #[schema(min_length = 1, max_length = 128)]
    sender_id: Option<String>,
    /// The sending account; by default the platform's default account.
    #[schema(min_length = 1, max_length = 64)]
    account: Option<String>,
    /// A file that goes with the text.
    #[schema(min_length = 1, max_length = 128)]
    file_id: Option<String>,
    /// The client's own id, for safe retries. A version 7 UUID also tells when the message was
    /// made: at most 5 minutes ahead and 7 days back.
    #[schema(min_length = 1, max_length = 128)]
    message_id: Option<String>,
    /// For how many seconds after acceptance the message may be tried; by default a day.
    #[schema(minimum = 1, maximum = 86400)]
    expires_in: Option<u32>,
}

/// A validated request.
pub(crate) struct SendRequest {
    /// The client's Idempotency-Key.
    pub key: Option<IdempotencyKey>,
    /// The client's own id.
    pub message_id: Option<MessageId>,
    /// The receiver's platform, which is one of ours.
    pub platform: PlatformName,
    /// The account that the message goes out from: the named one or the default.
    pub account: AccountName,
    /// How long the message may be tried.
    pub lifetime: Duration,
    conversation_id: ConversationId,
    receiver_id: ReceiverId,
    content: String,
    sender_id: Option<SenderId>,
    file_id: Option<FileId>,
    named_account: Option<AccountName>,
    expires_in: Option<u64>,
}

impl SendRequest {
    /// Validates a body.
    pub fn parse(
        body: &[u8],
        key: Option<IdempotencyKey>,
        platforms: &Platforms,
        default_lifetime: Duration,
    ) -> Result<Self, Problem> {
        let map = parse_object(body)?;
        refuse_unknown(&map)?;
        let fields = Fields::new(&map);
        let conversation_id = fields.required("conversation_id", ConversationId::new)?;
        let (receiver_id, receiver_field) = receiver(&fields)?;
        let content = content(&fields)?;
        let named_account = fields.optional("account", AccountName::new)?;
        let (platform, spec) = platform_of(&receiver_id, receiver_field, platforms)?;
        let account = account_of(spec, named_account.as_ref())?;
        let expires_in = fields.optional_number("expires_in", lifetime_s)?;
        Ok(Self {
            key,
            message_id: fields.optional("message_id", MessageId::new)?,
            platform: platform.clone(),
            account: account.clone(),
            lifetime: expires_in.map_or(default_lifetime, Duration::from_secs),
            conversation_id,
            receiver_id,
            content,
            sender_id: fields.optional("sender_id", SenderId::new)?,
            file_id: fields.optional("file_id", FileId::new)?,
            named_account,
            expires_in,
        })
    }

    /// A digest of everything the client said but the message_id, which the claim itself holds.
    /// Defaults are left out, so that a change of the configuration does not turn a retry into
    /// another request.
    pub fn hash(&self) -> [u8; 32] {
        let expires_in = self.expires_in.map(|seconds| seconds.to_string());
        let fields = [
            Some(self.conversation_id.as_str()),
            Some(self.receiver_id.as_str()),
            Some(self.content.as_str()),
            self.sender_id.as_ref().map(SenderId::as_str),
            self.named_account.as_ref().map(AccountName::as_str),
            self.file_id.as_ref().map(FileId::as_str),
            expires_in.as_deref(),
        ];
        let mut digest = Sha256::new();
        digest.update(b"chat4all request 1");
        for field in fields {
            // The length first: no two different requests have the same bytes.
            let length = field.map_or(u64::MAX, |text| text.len() as u64);
            digest.update(length.to_be_bytes());
            digest.update(field.unwrap_or_default().as_bytes());
        }
        digest.finalize().into()
    }

    /// The message that this request makes under an identity.
    pub fn message(&self, identity: &Identity) -> Result<Message, Problem> {
        // An account's name always satisfies the wider grammar of a sender.
        let default_sender = || SenderId::new(identity.account.as_str());
        let sender_id = match &self.sender_id {
            Some(sender) => sender.clone(),
            None => default_sender().map_err(|rule| Problem::invalid("sender_id", rule))?,
        };
        Ok(Message {
            message_id: identity.message_id.clone(),
            conversation_id: self.conversation_id.clone(),
            sender_id,
            receiver_id: self.receiver_id.clone(),
            content: self.content.clone(),
            file_id: self.file_id.clone(),
            account: Some(identity.account.clone()),
            accepted_at: identity.accepted_at,
            expires_at: identity.expires_at,
            generation: Generation::FIRST,
        })
    }
}

impl fmt::Debug for SendRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendRequest")
            .field("message_id", &self.message_id)
            .field("platform", &self.platform)
            .finish_non_exhaustive()
    }
}

/// Whether a stored message is what this one asks for. A redrive gives a message a new end of
/// life, which is no difference.
pub(crate) fn same_message(stored: &Message, asked: &Message) -> bool {
    let redriven = stored.generation > Generation::FIRST;
    stored.conversation_id == asked.conversation_id
        && stored.sender_id == asked.sender_id
        && stored.receiver_id == asked.receiver_id
        && stored.content == asked.content
        && stored.file_id == asked.file_id
        && stored.account == asked.account
        && (redriven || stored.expires_at == asked.expires_at)
}

/// A misspelt `expires_in` that is silently ignored would send what should have expired.
fn refuse_unknown(map: &Map<String, Value>) -> Result<(), Problem> {
    match map.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(unknown_field(name, &FIELDS)),
    }
}

/// Names an unknown field if it looks like a name: anything else could be a person's data.
pub(crate) fn unknown_field(name: &str, known: &[&str]) -> Problem {
    let like_a_name = name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    let shown = if like_a_name { name.to_owned() } else { "(a field)".to_owned() };
    let rule = match known {
        [] => "is not known here; none is".to_owned(),
        known => format!("is not known here; known are {}", known.join(", ")),
    };
    Problem::field(ErrorCode::UnknownField, shown, rule)
}

/// The receiver, and the name under which the client gave it.
fn receiver(fields: &Fields<'_>) -> Result<(ReceiverId, &'static str), Problem> {
    let grammar = |field| {
        // A problem of grammar has the receiver's own code; a missing or mistyped field does not.
        let text = fields.text(field)?;
        let parsed = text.map(ReceiverId::new).transpose();
        parsed.map_err(|rule| Problem::field(ErrorCode::InvalidReceiver, field, rule))
    };
    match (grammar("receiver_id")?, grammar("recipient_id")?) {
        (Some(a), Some(b)) if a != b => Err(Problem::field(
            ErrorCode::ConflictingFields,
            "recipient_id",
            "means the same as receiver_id and must be equal to it, or absent",
        )),
        (Some(receiver), _) => Ok((receiver, "receiver_id")),
        (None, Some(receiver)) => Ok((receiver, "recipient_id")),
        (None, None) => Err(Problem::field(ErrorCode::MissingField, "receiver_id", "is required")),
    }
}

fn content(fields: &Fields<'_>) -> Result<String, Problem> {
    let text = fields.required("content", |text| Ok(text.to_owned()))?;
    if text.len() > MAX_CONTENT_BYTES {
        let rule = "must be at most 10240 bytes of UTF-8";
        return Err(Problem::field(ErrorCode::ContentTooLong, "content", rule));
    }
    if text.trim().is_empty() {
        return Err(Problem::invalid("content", Rule::new("must not be empty or blank")));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        let rule = "must hold no control characters but line feed, carriage return and tab";
        return Err(Problem::invalid("content", Rule::new(rule)));
    }
    Ok(text)
}

fn platform_of<'a>(
    receiver: &ReceiverId,
    field: &'static str,
    platforms: &'a Platforms,
) -> Result<(&'a PlatformName, &'a PlatformSpec), Problem> {
    let Some((name, spec)) = platforms.get(receiver.platform()) else {
        let rule = format!("must name one of the platforms: {}", platforms.names());
        return Err(Problem::field(ErrorCode::UnknownPlatform, field, rule));
    };
    spec.check_recipient(receiver)
        .map_err(|rule| Problem::field(ErrorCode::InvalidReceiver, field, rule))?;
    Ok((name, spec))
}

fn account_of<'a>(
    spec: &'a PlatformSpec,
    named: Option<&'a AccountName>,
) -> Result<&'a AccountName, Problem> {
    let (account, _) = spec.account(named).ok_or_else(|| {
        let names: Vec<&str> = spec.accounts.keys().map(AccountName::as_str).collect();
        let rule = format!("must be an account of the receiver's platform: {}", names.join(", "));
        Problem::field(ErrorCode::UnknownAccount, "account", rule)
    })?;
    Ok(account)
}

pub(crate) fn lifetime_s(seconds: u64) -> Result<u64, Rule> {
    if (1..=MAX_LIFETIME_S).contains(&seconds) {
        Ok(seconds)
    } else {
        Err(Rule::new("must be a whole number of seconds, 1 to 86400"))
    }
}
