//! The stable codes of every refusal. One table: the answers, the pages under `/errors/{code}`, the
//! OpenAPI document and the documentation all read it.

use axum::http::StatusCode;
use serde::{Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

macro_rules! error_codes {
    ($($variant:ident = $status:ident $word:literal, $title:literal, $meaning:literal, $fix:literal;)*) => {
        /// Why a request was refused. Words and statuses never change meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ErrorCode {
            $(#[doc = $meaning] $variant,)*
        }

        impl ErrorCode {
            /// Every code, by status and then by how specific it is.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$variant,)*];

            /// The stable word in the problem's `code`.
            pub fn word(self) -> &'static str {
                match self { $(ErrorCode::$variant => $word,)* }
            }

            /// The HTTP status it comes with.
            pub fn status(self) -> StatusCode {
                match self { $(ErrorCode::$variant => StatusCode::$status,)* }
            }

            /// A few words for a heading.
            pub fn title(self) -> &'static str {
                match self { $(ErrorCode::$variant => $title,)* }
            }

            /// What happened.
            pub fn meaning(self) -> &'static str {
                match self { $(ErrorCode::$variant => $meaning,)* }
            }

            /// What the client can do.
            pub fn fix(self) -> &'static str {
                match self { $(ErrorCode::$variant => $fix,)* }
            }
        }
    };
}

error_codes! {
    MalformedJson = BAD_REQUEST "malformed_json", "Malformed JSON",
        "The body is not one JSON object in UTF-8, or it is nested more than 128 levels deep.",
        "Send one JSON object, encoded in UTF-8.";
    UnknownField = BAD_REQUEST "unknown_field", "Unknown field",
        "The request has a field or query parameter that this route does not know.",
        "Check its spelling against /openapi.json, or leave it out.";
    MissingField = BAD_REQUEST "missing_field", "Missing field",
        "A required field is absent or null.",
        "Add the field.";
    InvalidField = BAD_REQUEST "invalid_field", "Invalid field",
        "A field has the wrong type, is empty, or breaks the rule that the problem names.",
        "Change the value so that it satisfies the rule.";
    ConflictingFields = BAD_REQUEST "conflicting_fields", "Conflicting fields",
        "Two fields that mean the same have different values.",
        "Send one of them, or the same value in both.";
    InvalidReceiver = BAD_REQUEST "invalid_receiver", "Invalid receiver",
        "The receiver does not match the grammar of its platform.",
        "Write the receiver as the rule says.";
    UnknownPlatform = BAD_REQUEST "unknown_platform", "Unknown platform",
        "The receiver names a platform that this installation does not serve.",
        "Use one of the platforms that the rule lists.";
    UnknownAccount = BAD_REQUEST "unknown_account", "Unknown account",
        "The receiver's platform has no sending account with this name.",
        "Use a configured account, or leave the field out for the platform's default.";
    IdOutOfTime = BAD_REQUEST "id_out_of_time", "Message id out of time",
        "The message_id is a version 7 UUID whose time is over 5 minutes ahead or over 7 days back.",
        "Make the id when the message is made, with a clock that is right.";
    InvalidCursor = BAD_REQUEST "invalid_cursor", "Invalid cursor",
        "The cursor is none that this API gave out.",
        "Repeat next_cursor of the previous page unchanged, or leave it out to begin anew.";
    MessageNotFound = NOT_FOUND "message_not_found", "Message not found",
        "There is no message with this id.",
        "Check the id; it is the message_id of the answer to POST /v1/messages.";
    LetterNotFound = NOT_FOUND "letter_not_found", "Dead letter not found",
        "There is no dead letter with this id, or no longer: they are kept for 30 days.",
        "Use an id from GET /v1/dead-letters.";
    AccountNotFound = NOT_FOUND "account_not_found", "Account not found",
        "No platform of this installation has an account with this name.",
        "Use one of the accounts of GET /v1/accounts.";
    NotFound = NOT_FOUND "not_found", "Not found",
        "There is nothing at this address.",
        "See /openapi.json for the routes.";
    MethodNotAllowed = METHOD_NOT_ALLOWED "method_not_allowed", "Method not allowed",
        "The address exists and does not take this method.",
        "Use one of the methods in the Allow header.";
    RequestTimeout = REQUEST_TIMEOUT "request_timeout", "Request timeout",
        "The request's body did not arrive in time. Nothing was accepted.",
        "Send the request again, without pauses.";
    IdConflict = CONFLICT "id_conflict", "Message id taken",
        "The message_id is taken by a message with another body.",
        "Use a new id for a new message; repeat a request unchanged to retry it.";
    KeyConflict = CONFLICT "key_conflict", "Idempotency key taken",
        "The Idempotency-Key was used with another body or another message_id.",
        "Use a new key for a new message; repeat a request unchanged to retry it.";
    ContentTooLong = PAYLOAD_TOO_LARGE "content_too_long", "Content too long",
        "The content is longer than 10,240 bytes of UTF-8.",
        "Shorten the content, or send it as several messages.";
    BodyTooLarge = PAYLOAD_TOO_LARGE "body_too_large", "Body too large",
        "The request's body is longer than 65,536 bytes.",
        "Send a smaller body.";
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE "unsupported_media_type", "Unsupported media type",
        "The body is not declared as JSON in UTF-8.",
        "Send Content-Type: application/json, and no Content-Encoding.";
    Internal = INTERNAL_SERVER_ERROR "internal_error", "Internal error",
        "A stored row cannot be read: it is damaged, or written by a later release.",
        "Report it to the operator with the message_id.";
    Overloaded = SERVICE_UNAVAILABLE "overloaded", "Overloaded",
        "Too many requests are being handled. Nothing was accepted.",
        "Repeat the request after the seconds in Retry-After.";
    Stopping = SERVICE_UNAVAILABLE "stopping", "Stopping",
        "This process is being stopped and accepts nothing new. Nothing was accepted.",
        "Repeat the request after the seconds in Retry-After, here or at another process.";
    LogFull = SERVICE_UNAVAILABLE "log_full", "Log full",
        "There is no room for new messages. This one was not accepted.",
        "Repeat the request with this message_id, or the same Idempotency-Key, after Retry-After.";
    LogUnavailable = SERVICE_UNAVAILABLE "log_unavailable", "Log unavailable",
        "The log did not take the message. It was not accepted.",
        "Repeat the request with this message_id, or the same Idempotency-Key, after Retry-After.";
    OutcomeUnknown = SERVICE_UNAVAILABLE "outcome_unknown", "Outcome unknown",
        "The log did not answer in time: the message may or may not have been accepted.",
        "Repeat the request with this message_id, or the same Idempotency-Key, after Retry-After: \
         it is then accepted once.";
    CommandUnknown = SERVICE_UNAVAILABLE "command_unknown", "Outcome of the command unknown",
        "The log did not acknowledge the command: it may or may not be followed.",
        "Repeat it after the seconds in Retry-After: giving a command twice changes nothing.";
    AccountsUnavailable = SERVICE_UNAVAILABLE "accounts_unavailable", "Accounts unavailable",
        "What the log says of the accounts has not been read yet.",
        "Repeat the request after the seconds in Retry-After.";
    StoreUnavailable = SERVICE_UNAVAILABLE "store_unavailable", "Store unavailable",
        "The store does not answer, or has not caught up with this message yet.",
        "Repeat the request unchanged after the seconds in Retry-After.";
}

impl ErrorCode {
    /// The code with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.word() == word)
    }

    /// The page at `/errors/{code}`, as plain text.
    pub fn page(self) -> String {
        let (word, title, status) = (self.word(), self.title(), self.status().as_u16());
        let (meaning, fix) = (self.meaning(), self.fix());
        format!("{word}: {title}\nHTTP status {status}\n\n{meaning}\n\nWhat to do: {fix}\n")
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl PartialSchema for ErrorCode {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .description(Some("Why a request was refused; /errors/{code} explains it."))
            .enum_values(Some(Self::ALL.iter().map(|code| code.word())))
            .into()
    }
}

impl ToSchema for ErrorCode {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_names_one_code() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_word(code.word()), Some(*code));
            assert!(code.status().is_client_error() || code.status().is_server_error());
        }
    }
}
