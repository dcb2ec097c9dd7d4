//! What the Cloud API's answers mean.
//!
//! Meta, "Cloud API: Error codes" and "Throughput": branch on `error.code`, not on the HTTP status;
//! throttles often come with 400.

use std::time::Duration;

use bytes::Bytes;
use chat4all_connector_kit::answer::{retry_after, without_vendor_code};
use chat4all_connector_kit::platform::{Detail, Outcome, ThrottleScope};
use chat4all_contracts::{ExternalId, Reason};
use http::{Response, StatusCode};
use serde::Deserialize;

#[derive(Deserialize)]
struct Success {
    messages: Vec<Accepted>,
}

#[derive(Deserialize)]
struct Accepted {
    id: String,
}

#[derive(Deserialize)]
struct Failure {
    error: VendorError,
}

#[derive(Deserialize)]
struct VendorError {
    code: i64,
    message: Option<String>,
    error_data: Option<ErrorData>,
}

#[derive(Deserialize)]
struct ErrorData {
    details: Option<String>,
}

impl VendorError {
    /// The details say more than the message, where there are any.
    fn detail(&self) -> Detail {
        let details = self.error_data.as_ref().and_then(|data| data.details.as_deref());
        Detail::new(self.code.to_string()).saying(details.or(self.message.as_deref()))
    }
}

pub(crate) fn answer(answer: &Response<Bytes>) -> Outcome {
    let status = answer.status();
    if status.is_success() {
        return accepted(answer.body());
    }
    match serde_json::from_slice::<Failure>(answer.body()) {
        Ok(failure) => vendor_error(&failure.error, status, retry_after(answer)),
        Err(_) => without_vendor_code(answer),
    }
}

fn accepted(body: &[u8]) -> Outcome {
    let id = serde_json::from_slice::<Success>(body).ok().and_then(|success| {
        let id = success.messages.into_iter().next()?.id;
        ExternalId::new(&id).ok()
    });
    match id {
        Some(external_id) => Outcome::Accepted { external_id },
        None => Outcome::InDoubt { detail: Detail::new("a success without a message id") },
    }
}

fn vendor_error(error: &VendorError, status: StatusCode, after: Option<Duration>) -> Outcome {
    let detail = error.detail();
    let permanent =
        |reason, operator| Outcome::Permanent { reason, operator, detail: detail.clone() };
    match error.code {
        2 | 131_000 | 131_016 | 131_057 | 133_004 => Outcome::Retryable { after, detail },
        1 if status.is_server_error() => Outcome::Retryable { after, detail },
        4 | 80_007 | 130_429 | 133_016 => {
            Outcome::Throttled { after, scope: ThrottleScope::Account, detail }
        }
        // One message per 6 s and receiver; the vendor advises to wait 4^X s, as the kit does.
        131_056 => Outcome::Throttled { after, scope: ThrottleScope::Recipient, detail },
        0
        | 3
        | 10
        | 33
        | 190
        | 200..=299
        | 368
        | 131_005
        | 131_031
        | 131_037
        | 131_042
        | 131_045
        | 131_048
        | 133_010 => Outcome::Account { detail },
        131_026 | 131_047 | 131_021 | 131_030 | 131_050 => {
            permanent(Reason::RecipientUnreachable, false)
        }
        131_051 | 131_053 => permanent(Reason::UnsupportedContent, false),
        130_497 | 132_001 | 132_015 | 132_016 => permanent(Reason::Refused, true),
        100 | 130_403 | 130_472 | 131_008 | 131_009 | 131_049 | 132_000 | 132_005 | 132_007
        | 132_012 => permanent(Reason::Refused, false),
        _ if status.is_server_error() => Outcome::Retryable { after, detail },
        _ if status == StatusCode::TOO_MANY_REQUESTS => {
            Outcome::Throttled { after, scope: ThrottleScope::Account, detail }
        }
        // A code of a later API: not worth repeating, and kept in the dead letters.
        _ => permanent(Reason::Refused, true),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn response(status: u16, body: &str) -> Response<Bytes> {
        Response::builder().status(status).body(Bytes::from(body.to_owned())).unwrap()
    }

    fn word(status: u16, code: i64) -> &'static str {
        let body = format!(
            r#"{{"error":{{"message":"m","type":"OAuthException","code":{code},
                "error_data":{{"messaging_product":"whatsapp","details":"d"}},"fbtrace_id":"A"}}}}"#
        );
        answer(&response(status, &body)).word()
    }

    #[test]
    fn an_accepted_message_has_the_platforms_id() {
        let body = r#"{"messaging_product":"whatsapp","contacts":[{"input":"+55","wa_id":"55"}],
            "messages":[{"id":"wamid.HB","message_status":"accepted"}]}"#;
        let Outcome::Accepted { external_id } = answer(&response(200, body)) else {
            panic!("not accepted");
        };
        assert_eq!(external_id.as_str(), "wamid.HB");
    }

    #[test]
    fn a_success_that_cannot_be_read_is_in_doubt() {
        for body in ["", "{}", r#"{"messages":[]}"#, r#"{"messages":[{"id":""}]}"#, "<html>"] {
            assert_eq!(answer(&response(200, body)).word(), "in_doubt", "{body}");
        }
    }

    #[test]
    fn codes_decide_whatever_the_status() {
        for (status, code, expected) in [
            (500, 131_000, "retryable"),
            (500, 1, "retryable"),
            (400, 1, "permanent"),
            (503, 2, "retryable"),
            (400, 130_429, "throttled"),
            (429, 131_056, "throttled"),
            (400, 80_007, "throttled"),
            (400, 4, "throttled"),
            (400, 131_026, "permanent"),
            (400, 131_047, "permanent"),
            (404, 132_001, "permanent"),
            (400, 100, "permanent"),
            (401, 190, "account"),
            (403, 10, "account"),
            (403, 250, "account"),
            (403, 131_031, "account"),
            (400, 999_999, "permanent"),
            (500, 999_999, "retryable"),
        ] {
            assert_eq!(word(status, code), expected, "{status} {code}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_answer_has_an_outcome(status in 100_u16..600, body in ".{0,200}") {
            let is_success = (200..300).contains(&status);
            let word = answer(&response(status, &body)).word();
            prop_assert!(!is_success || word == "in_doubt");
        }
    }
}
