//! Reads a request's body: of the right media type, bounded in size and time (I7).

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::error_code::ErrorCode;
use crate::problem::Problem;

/// The longest body, in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// Reads a whole JSON body; it is not parsed yet.
pub(crate) async fn read_json(
    headers: &HeaderMap,
    body: Body,
    timeout: Duration,
) -> Result<Bytes, Problem> {
    check_media_type(headers)?;
    // A body that says how long it is need not be read to be refused.
    if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Err(too_large());
    }
    let collected = Limited::new(body, MAX_BODY_BYTES).collect();
    match tokio::time::timeout(timeout, collected).await {
        Err(_) => Err(Problem::of(ErrorCode::RequestTimeout)),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        // The client broke off, or framed the body wrongly.
        Ok(Err(_)) => Err(Problem::of(ErrorCode::MalformedJson)),
    }
}

fn too_large() -> Problem {
    Problem::field(ErrorCode::BodyTooLarge, "body", "must be at most 65536 bytes")
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let refuse = |field, rule: &str| Problem::field(ErrorCode::UnsupportedMediaType, field, rule);
    let encoded = headers.get_all(header::CONTENT_ENCODING).iter();
    if encoded.into_iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(refuse("Content-Encoding", "must be absent or identity"));
    }
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    match (types.next().map(|value| value.to_str()), types.next()) {
        (Some(Ok(text)), None) if is_json_in_utf8(text) => Ok(()),
        _ => {
            let rule = "must be application/json, with charset=utf-8 or without parameters";
            Err(refuse("Content-Type", rule))
        }
    }
}

fn is_json_in_utf8(media_type: &str) -> bool {
    let mut parts = media_type.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let is_utf8 = |parameter: &str| {
        parameter.split_once('=').is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("charset")
                && value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
    };
    is_json && parts.next().is_none_or(is_utf8) && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_in_utf_8_is_taken() {
        for good in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
        ] {
            assert!(is_json_in_utf8(good), "{good}");
        }
        for bad in [
            "",
            "text/plain",
            "application/jsonp",
            "application/problem+json",
            "application/json; charset=latin1",
            "application/json; version=1",
            "application/json; charset=utf-8; version=1",
            "application/json;",
        ] {
            assert!(!is_json_in_utf8(bad), "{bad}");
        }
    }
}
