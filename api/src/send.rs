//! `POST /v1/messages`: identify, append, project, answer.
//!
//! The log comes first (I1): once the append is acknowledged the answer is 202, whatever the store
//! says, because a second "no" must not make a client send twice.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chat4all_contracts::event::{SCHEMA_HEADER, SCHEMA_VERSION, encode};
use chat4all_contracts::{ConversationId, EpochMs, Message, MessageId, Status, partition, topic};
use chat4all_eventlog::{AppendError, NewRecord, TopicPartition, append};
use chat4all_process::metric::Metric;
use chat4all_store::StoreError;
use chat4all_store::projection::project_message;
use serde::Serialize;
use utoipa::ToSchema;

use crate::body::read_json;
use crate::deadline::Deadline;
use crate::error_code::ErrorCode;
use crate::idempotency::{Standing, id_conflict, key_of};
use crate::problem::Problem;
use crate::send_request::{SendMessage, SendRequest, same_message};
use crate::shared::{SERVICE, Shared};
use crate::traceparent::{self, TRACEPARENT};
use crate::uri::percent_encoded;

/// The answer to an accepted message.
#[derive(Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// The message's id: for queries, statuses and retries.
    message_id: String,
    /// The conversation.
    conversation_id: String,
    /// Where the message stands: ACCEPTED, or further for a retry.
    #[schema(example = "ACCEPTED")]
    status: &'static str,
    /// When the message was accepted, RFC 3339.
    #[schema(format = DateTime)]
    timestamp: String,
}

impl Accepted {
    fn response(
        id: &MessageId,
        conversation: &ConversationId,
        status: Status,
        accepted_at: EpochMs,
    ) -> Response {
        let body = Self {
            message_id: id.as_str().to_owned(),
            conversation_id: conversation.as_str().to_owned(),
            status: status.word(),
            timestamp: accepted_at.to_rfc3339(),
        };
        let mut response = (StatusCode::ACCEPTED, Json(body)).into_response();
        let location = format!("/v1/messages/{}", percent_encoded(id.as_str()));
        // Percent-encoded text is always a valid header; without it the answer would still do.
        if let Ok(location) = HeaderValue::from_str(&location) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

/// Send a message
///
/// 202 means that the message is durable: it ends as SENT, DELIVERED, READ, or FAILED with a
/// reason. A request may be repeated safely with the same message_id or the same Idempotency-Key:
/// the message is accepted once and every answer tells its current status. After a 503 without an
/// id or key of your own, repeat the request with the message_id of the problem.
#[utoipa::path(
    post,
    path = "/v1/messages",
    operation_id = "send_message",
    tag = "messages",
    params(
        ("Idempotency-Key" = Option<String>, Header, description =
            "This request, once: 1 to 128 bytes of printable characters, remembered for 7 days.",
            min_length = 1, max_length = 128),
        ("traceparent" = Option<String>, Header, description =
            "The trace that the message belongs to (W3C Trace Context)."),
    ),
    request_body = SendMessage,
    responses((status = 202, description = "The message is durable.", body = Accepted,
        headers(("Location" = String, description = "Where the message can be queried."))))
)]
pub(crate) async fn send_message(
    State(api): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    if api.stopping.is_triggered() {
        return Err(Problem::of(ErrorCode::Stopping));
    }
    let key = key_of(&headers)?;
    let body = read_json(&headers, body, api.settings.body_timeout_ms.ms()).await?;
    let deadline = Deadline::after(api.settings.answer_timeout_ms.ms());
    let lifetime = std::time::Duration::from_secs(api.settings.default_lifetime_s.get());
    let request = SendRequest::parse(&body, key, &api.platforms, lifetime)?;
    let (identity, standing) = api.identify(&request, deadline).await?;
    let message = request.message(&identity)?;
    if standing != Standing::New
        && let Some(answer) = api.answer_if_stored(&message, standing, deadline).await?
    {
        return Ok(answer);
    }
    api.append_message(&message, traceparent::of(&headers), deadline).await?;
    Metric::MessagesAccepted.count(SERVICE, &[request.platform.as_str()]);
    api.project(&message, deadline).await;
    let (id, at) = (&message.message_id, message.accepted_at);
    Ok(Accepted::response(id, &message.conversation_id, Status::Accepted, at))
}

impl Shared {
    /// The answer to a repeated request whose message is in the store: its status, no append.
    async fn answer_if_stored(
        &self,
        message: &Message,
        standing: Standing,
        deadline: Deadline,
    ) -> Result<Option<Response>, Problem> {
        let id = &message.message_id;
        let question = self.store.message(&self.tenant, id);
        match deadline.ask(self.settings.store_timeout_ms.ms(), question).await {
            Ok(None) => Ok(None),
            Ok(Some(stored)) => {
                self.unprojected.forget(id);
                let (kept, status) = (&stored.message, stored.state.status());
                // A claim has compared the bodies already.
                if standing == Standing::Named && !same_message(kept, message) {
                    return Err(id_conflict(id));
                }
                let (conversation, at) = (&kept.conversation_id, kept.accepted_at);
                Ok(Some(Accepted::response(id, conversation, status, at)))
            }
            // Nobody knows that it was sent before, and the connector recognizes a recent repeat:
            // the store's absence is no reason to refuse a message.
            Err(StoreError::Unavailable(_)) if standing == Standing::Named => Ok(None),
            Err(error) => Err(self.store_problem(&error, Some(id))),
        }
    }

    /// Appends to `messages` and waits until the record is durable.
    pub async fn append_message(
        &self,
        message: &Message,
        traceparent: Option<String>,
        deadline: Deadline,
    ) -> Result<(), Problem> {
        let key = Bytes::copy_from_slice(message.conversation_id.as_str().as_bytes());
        let partition = partition::for_key(&key, self.messages_partitions);
        let mut headers =
            vec![(SCHEMA_HEADER.to_owned(), Bytes::from_static(SCHEMA_VERSION.as_bytes()))];
        headers.extend(traceparent.map(|text| (TRACEPARENT.to_owned(), Bytes::from(text))));
        let record = NewRecord {
            to: TopicPartition::new(topic::MESSAGES, partition),
            key,
            value: encode(message).into(),
            headers,
            timestamp: self.clock.now(),
        };
        let end = deadline.end_of(self.settings.append_timeout_ms.ms());
        let appended = append(&*self.producer, record);
        let late = || Err(AppendError::Unavailable("no acknowledgement in time".to_owned()));
        let outcome = tokio::time::timeout_at(end, appended).await.unwrap_or_else(|_| late());
        outcome.map(|_position| ()).map_err(|error| {
            tracing::warn!(message_id = %message.message_id, %error, "a message was not appended");
            append_problem(&error).about(&message.message_id)
        })
    }

    /// Makes the message visible before its client can ask for it. The status-consumer does the
    /// same from the log, so a failure here heals and is not the client's concern.
    pub async fn project(&self, message: &Message, deadline: Deadline) {
        let write = project_message(&*self.store, &self.tenant, message, self.clock.now());
        match deadline.ask(self.settings.store_timeout_ms.ms(), write).await {
            Ok(_) => self.unprojected.forget(&message.message_id),
            Err(error) => {
                self.unprojected.remember(&message.message_id);
                tracing::warn!(message_id = %message.message_id, %error, "accepted, not yet stored");
            }
        }
    }
}

fn append_problem(error: &AppendError) -> Problem {
    match error {
        AppendError::Full => Problem::of(ErrorCode::LogFull),
        AppendError::TooLarge { max, .. } => {
            let rule = format!("must make a record of at most {max} bytes");
            Problem::field(ErrorCode::BodyTooLarge, "body", rule)
        }
        AppendError::UnknownPartition => Problem::of(ErrorCode::LogUnavailable),
        AppendError::Unavailable(_) | AppendError::Closed => Problem::of(ErrorCode::OutcomeUnknown),
    }
}
