//! What the Graph API's answers mean.
//!
//! Meta, "Graph API: Handle errors" and "Instagram messaging: Error codes": branch on `error.code`
//! and `error.error_subcode`.

use std::time::Duration;

use bytes::Bytes;
use chat4all_connector_kit::answer::{retry_after, without_vendor_code};
use chat4all_connector_kit::platform::{Detail, Outcome, ThrottleScope};
use chat4all_contracts::{ExternalId, Reason};
use http::{Response, StatusCode};
use serde::Deserialize;

#[derive(Deserialize)]
struct Success {
    message_id: String,
}

#[derive(Deserialize)]
struct Failure {
    error: VendorError,
}

#[derive(Deserialize)]
struct VendorError {
    code: i64,
    #[serde(default)]
    error_subcode: i64,
    message: Option<String>,
}

pub(crate) fn answer(answer: &Response<Bytes>) -> Outcome {
    let status = answer.status();
    let after = retry_after(answer);
    if status.is_success() {
        let success = serde_json::from_slice::<Success>(answer.body()).ok();
        return match success.and_then(|success| ExternalId::new(&success.message_id).ok()) {
            Some(external_id) => Outcome::Accepted { external_id },
            None => Outcome::InDoubt { detail: Detail::new("a success without a message id") },
        };
    }
    match serde_json::from_slice::<Failure>(answer.body()) {
        Ok(failure) => vendor_error(&failure.error, status, after),
        Err(_) => without_vendor_code(answer),
    }
}

fn vendor_error(error: &VendorError, status: StatusCode, after: Option<Duration>) -> Outcome {
    let detail = match error.error_subcode {
        0 => error.code.to_string(),
        subcode => format!("{}/{subcode}", error.code),
    };
    let detail = Detail::new(detail).saying(error.message.as_deref());
    let permanent =
        |reason, operator| Outcome::Permanent { reason, operator, detail: detail.clone() };
    match (error.code, error.error_subcode) {
        (2 | 1200 | -1, _) => Outcome::Retryable { after, detail },
        (4 | 17 | 32 | 613 | 80_002, _) => {
            Outcome::Throttled { after, scope: ThrottleScope::Account, detail }
        }
        // Outside the window in which an answer is allowed; a receiver who cannot be written to.
        (10, 2_534_022 | 2_018_278) | (551, _) | (200, 1_545_041) | (100, 2_018_001) => {
            permanent(Reason::RecipientUnreachable, false)
        }
        (2_534_014 | 2_534_001, _) | (_, 2_534_014 | 2_534_001) => {
            permanent(Reason::RecipientUnreachable, false)
        }
        (100, _) => permanent(Reason::Refused, false),
        (10 | 190 | 200 | 368, _) => Outcome::Account { detail },
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

    #[test]
    fn an_accepted_message_has_the_platforms_id() {
        let body = r#"{"recipient_id":"42","message_id":"aWdf"}"#;
        let Outcome::Accepted { external_id } = answer(&response(200, body)) else {
            panic!("not accepted");
        };
        assert_eq!(external_id.as_str(), "aWdf");
        assert_eq!(answer(&response(200, "{}")).word(), "in_doubt");
    }

    #[test]
    fn code_and_subcode_decide() {
        for (status, code, subcode, expected) in [
            (500, 2, 0, "retryable"),
            (400, 1200, 0, "retryable"),
            (400, -1, 0, "retryable"),
            (400, 613, 0, "throttled"),
            (403, 4, 0, "throttled"),
            (400, 80_002, 0, "throttled"),
            (403, 10, 2_534_022, "permanent"),
            (403, 10, 0, "account"),
            (400, 100, 2_018_001, "permanent"),
            (400, 100, 0, "permanent"),
            (403, 200, 1_545_041, "permanent"),
            (403, 200, 0, "account"),
            (400, 551, 0, "permanent"),
            (401, 190, 0, "account"),
            (403, 368, 0, "account"),
            (400, 999_999, 0, "permanent"),
            (500, 999_999, 0, "retryable"),
        ] {
            let body =
                format!(r#"{{"error":{{"message":"m","code":{code},"error_subcode":{subcode}}}}}"#);
            assert_eq!(answer(&response(status, &body)).word(), expected, "{code}/{subcode}");
        }
        assert_eq!(answer(&response(502, "<html>")).word(), "retryable");
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
