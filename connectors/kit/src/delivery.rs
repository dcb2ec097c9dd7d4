//! One call: encode, send, classify. A panic in the platform's code is an outcome of the message.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chat4all_contracts::{AccountName, Message, Reason};
use chat4all_process::http_client::{CallError, HttpPort};
use http::header::HeaderValue;
use http::{HeaderName, Request};

use crate::platform::{Detail, Outcome, Platform};

/// Carries the message's id to the platform's side, for tracing. Platforms ignore it.
const CORRELATION_HEADER: HeaderName = HeaderName::from_static("x-correlation-id");

/// Makes calls for one platform.
#[derive(Clone)]
pub struct Caller {
    platform: Arc<dyn Platform>,
    http: Arc<dyn HttpPort>,
    timeout: Duration,
}

impl Caller {
    /// `timeout` bounds a whole call.
    pub fn new(platform: Arc<dyn Platform>, http: Arc<dyn HttpPort>, timeout: Duration) -> Self {
        Self { platform, http, timeout }
    }

    /// Delivers one message, once.
    pub async fn call(&self, account: &AccountName, message: &Message) -> Outcome {
        let mut request = match self.encode(account, message) {
            Ok(request) => request,
            Err(outcome) => return outcome,
        };
        // An id with characters that a header cannot carry goes without it.
        if let Ok(id) = HeaderValue::from_str(message.message_id.as_str()) {
            request.headers_mut().insert(CORRELATION_HEADER, id);
        }
        match self.http.call(request, self.timeout).await {
            Ok(answer) => {
                let platform = &self.platform;
                catch_unwind(AssertUnwindSafe(|| platform.classify(&answer))).unwrap_or_else(
                    // The platform answered, so it may have taken the message.
                    |panic| Outcome::InDoubt { detail: describe(&*panic) },
                )
            }
            Err(error @ CallError::NotSent) => {
                Outcome::Retryable { after: None, detail: Detail::new(error.to_string()) }
            }
            Err(error @ CallError::InDoubt(_)) => {
                Outcome::InDoubt { detail: Detail::new(error.to_string()) }
            }
        }
    }

    fn encode(&self, account: &AccountName, message: &Message) -> Result<Request<Bytes>, Outcome> {
        let encode = || self.platform.encode(account, message);
        match catch_unwind(AssertUnwindSafe(encode)) {
            Ok(Ok(request)) => Ok(request),
            Ok(Err(refusal)) => Err(Outcome::Permanent {
                reason: refusal.reason,
                operator: false,
                detail: Detail::new(refusal.detail),
            }),
            Err(panic) => Err(Outcome::Permanent {
                reason: Reason::ConnectorBug,
                operator: true,
                detail: describe(&*panic),
            }),
        }
    }
}

/// A panic's text may quote what it failed on, so only its kind is told.
fn describe(panic: &(dyn Any + Send)) -> Detail {
    let kind = if panic.is::<&'static str>() { "a fixed text" } else { "a computed text" };
    Detail::new(format!("the connector's code panicked with {kind}"))
}

#[cfg(test)]
mod tests {
    use chat4all_contracts::{EpochMs, PlatformName};
    use futures::future::BoxFuture;
    use http::Response;

    use super::*;
    use crate::platform::{Refusal, Webhook, WebhookRefusal};

    struct Panics(PlatformName);

    impl Platform for Panics {
        fn name(&self) -> &PlatformName {
            &self.0
        }
        fn encode(&self, _: &AccountName, message: &Message) -> Result<Request<Bytes>, Refusal> {
            match message.content.as_str() {
                "encode" => panic!("secret {}", message.content),
                "refuse" => Err(Refusal {
                    reason: Reason::UnsupportedContent,
                    detail: "at most 1 byte".to_owned(),
                }),
                _ => Ok(Request::new(Bytes::new())),
            }
        }
        fn classify(&self, _: &Response<Bytes>) -> Outcome {
            panic!("classify")
        }
        fn confirm_webhook(&self, _: &[(String, String)]) -> Option<String> {
            None
        }
        fn read_webhook(
            &self,
            _: &axum::http::HeaderMap,
            _: &[u8],
        ) -> Result<Webhook, WebhookRefusal> {
            Err(WebhookRefusal::Body)
        }
    }

    struct Answers(Result<(), CallError>);

    impl HttpPort for Answers {
        fn call(
            &self,
            _: Request<Bytes>,
            _: Duration,
        ) -> BoxFuture<'_, Result<Response<Bytes>, CallError>> {
            let answer = self.0.map(|()| Response::new(Bytes::new()));
            Box::pin(async move { answer })
        }
    }

    async fn outcome(content: &str, answer: Result<(), CallError>) -> Outcome {
        let text = format!(
            r#"{{"message_id":"m","conversation_id":"c","sender_id":"s","receiver_id":"p:r",
                "content":"{content}"}}"#
        );
        let message = Message::parse(text.as_bytes(), EpochMs::saturating(0)).unwrap();
        let platform = Arc::new(Panics(PlatformName::new("p").unwrap()));
        let caller = Caller::new(platform, Arc::new(Answers(answer)), Duration::from_secs(9));
        caller.call(&AccountName::new("main").unwrap(), &message).await
    }

    #[tokio::test]
    async fn a_panic_in_platform_code_is_an_outcome_of_the_message() {
        let bug = outcome("encode", Ok(())).await;
        assert!(matches!(&bug, Outcome::Permanent { reason: Reason::ConnectorBug, .. }));
        assert!(!format!("{bug:?}").contains("secret"));
        assert_eq!(outcome("x", Ok(())).await.word(), "in_doubt");
    }

    #[tokio::test]
    async fn only_a_call_that_cannot_have_been_read_is_retried_without_doubt() {
        assert_eq!(outcome("x", Err(CallError::NotSent)).await.word(), "retryable");
        assert_eq!(outcome("x", Err(CallError::InDoubt("timeout"))).await.word(), "in_doubt");
        assert_eq!(outcome("refuse", Ok(())).await.word(), "permanent");
    }
}
