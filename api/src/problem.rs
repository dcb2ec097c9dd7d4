//! A refusal as RFC 9457 "problem details": names field, rule and fix.
//!
//! Must never repeat a value of the request: it may be personal data (I10). The one exception is
//! the message_id, the correlation id that a client needs to retry.

use std::borrow::Cow;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chat4all_contracts::fields::Rule;
use chat4all_contracts::{FieldError, MessageId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error_code::ErrorCode;

/// The media type of a problem.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// After how many seconds a client may repeat what was answered 503.
const RETRY_AFTER_S: u16 = 2;

/// A refusal on its way to the client.
#[derive(Debug)]
pub(crate) struct Problem(Box<ProblemBody>);

/// A refusal, as RFC 9457 describes it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// Where the code is explained: `/errors/{code}`.
    #[serde(rename = "type")]
    kind: String,
    /// The code in a few words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// The stable code, for programs.
    code: ErrorCode,
    /// What happened, for people.
    detail: String,
    /// What to do about it.
    fix: &'static str,
    /// The field, header or parameter that was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<Cow<'static, str>>,
    /// What the field must satisfy.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    /// The message that this is about: repeat the request with this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
}

impl Problem {
    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// A refusal that the code alone explains.
    pub fn of(code: ErrorCode) -> Self {
        Self(Box::new(ProblemBody {
            kind: format!("/errors/{}", code.word()),
            title: code.title(),
            status: code.status().as_u16(),
            code,
            detail: code.meaning().to_owned(),
            fix: code.fix(),
            field: None,
            rule: None,
            message_id: None,
        }))
    }

    /// A refusal of one field. `rule` must not contain the refused value.
    pub fn field(
        code: ErrorCode,
        field: impl Into<Cow<'static, str>>,
        rule: impl ToString,
    ) -> Self {
        let mut problem = Self::of(code);
        let (field, rule) = (field.into(), rule.to_string());
        problem.0.detail = format!("{field} {rule}");
        problem.0.field = Some(field);
        problem.0.rule = Some(rule);
        problem
    }

    /// A field that breaks its grammar.
    pub fn invalid(field: &'static str, rule: Rule) -> Self {
        Self::field(ErrorCode::InvalidField, field, rule)
    }

    /// Names the message that this is about.
    #[must_use]
    pub fn about(mut self, id: &MessageId) -> Self {
        self.0.message_id = Some(id.as_str().to_owned());
        self
    }
}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        let code = match error.field {
            "" => return Self::of(ErrorCode::MalformedJson),
            _ if error.missing => ErrorCode::MissingField,
            _ => ErrorCode::InvalidField,
        };
        Self::field(code, error.field, error.rule)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.0.code.status();
        let mut response = (status, Json(*self.0)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
        }
        if status == StatusCode::REQUEST_TIMEOUT {
            // The rest of the body may still come: this connection is of no further use.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
