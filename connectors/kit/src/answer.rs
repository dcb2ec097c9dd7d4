//! What every HTTP API's answers have in common, for platforms to build on.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode, header};

use crate::platform::{Detail, Outcome, ThrottleScope};

/// The longest pause that an answer can impose: bounds what a broken one does to an account.
const LONGEST_PAUSE: Duration = Duration::from_secs(86_400);

/// `Retry-After` in seconds (RFC 9110, section 10.2.3), at most a day; its date form is not used
/// by platforms and not read.
pub fn retry_after(answer: &Response<Bytes>) -> Option<Duration> {
    let seconds = answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

/// The outcome of an answer without success that does not come from the platform itself: of a
/// proxy, a load balancer, something broken.
pub fn without_vendor_code(answer: &Response<Bytes>) -> Outcome {
    let status = answer.status();
    let detail = Detail::new(format!("HTTP {}", status.as_u16()));
    match status {
        StatusCode::TOO_MANY_REQUESTS => {
            let after = retry_after(answer);
            Outcome::Throttled { after, scope: ThrottleScope::Account, detail }
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Outcome::Account { detail },
        _ => Outcome::Retryable { after: retry_after(answer), detail },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, retry_after: &str) -> Response<Bytes> {
        let builder = Response::builder().status(status).header(header::RETRY_AFTER, retry_after);
        builder.body(Bytes::new()).unwrap()
    }

    #[test]
    fn a_status_alone_says_little() {
        for (status, word) in
            [(502, "retryable"), (404, "retryable"), (429, "throttled"), (401, "account")]
        {
            assert_eq!(without_vendor_code(&response(status, "")).word(), word, "{status}");
        }
    }

    #[test]
    fn retry_after_is_honoured_and_bounded() {
        let seconds = |value| retry_after(&response(429, value)).map(|after| after.as_secs());
        assert_eq!(seconds("7"), Some(7));
        assert_eq!(seconds("99999999999"), Some(86_400));
        assert_eq!(seconds("Wed, 21 Oct 2026 07:28:00 GMT"), None);
    }
}
