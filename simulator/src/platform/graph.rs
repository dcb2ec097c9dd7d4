//! What the vendor's APIs have in common: paths, tokens, errors.

use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{Incoming, VendorError};

/// The account of `{version}/{account}/messages`.
pub(super) fn account_of<'a>(call: &Incoming<'a>) -> Result<&'a str, VendorError> {
    let segments: Vec<&str> = call.path.trim_end_matches('/').split('/').collect();
    let [version, account, "messages"] = segments[..] else {
        return Err(VendorError::new(2500, "Unknown path components"));
    };
    if !is_version(version) || call.method != axum::http::Method::POST {
        return Err(VendorError::new(2500, "Unknown path components"));
    }
    Ok(account)
}

/// `v21.0` or `v21`.
fn is_version(segment: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    segment.strip_prefix('v').is_some_and(|version| match version.split_once('.') {
        Some((major, minor)) => number(major) && number(minor),
        None => number(version),
    })
}

/// The token of `Authorization: Bearer`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The refusal of a call without a token.
pub(super) fn no_token() -> VendorError {
    VendorError::new(190, "Invalid OAuth access token - Cannot parse access token")
}

/// An account that is not an id.
pub(super) fn no_such_object() -> VendorError {
    let details = "Unsupported post request. Object does not exist, cannot be loaded due to \
                   missing permissions, or does not support this operation";
    VendorError { subcode: Some(33), ..VendorError::new(100, details) }
}

/// A refused parameter.
pub(super) fn invalid(details: &str) -> VendorError {
    VendorError::new(100, details)
}

/// The body as a JSON object.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, VendorError> {
    serde_json::from_slice(body).map_err(|_| invalid("The body is not a JSON object"))
}

/// Whether this is an id of the vendor's: digits.
pub(super) fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 32 && text.bytes().all(|b| b.is_ascii_digit())
}

/// Base64 of bytes that make an id unique and a few that make it look like one.
pub(super) fn opaque_id(prefix: &[u8], number: u64, random: u64) -> String {
    let mut bytes = prefix.to_vec();
    bytes.extend(random.to_be_bytes());
    bytes.extend(number.to_be_bytes());
    STANDARD.encode(bytes)
}

/// The envelope of every error.
pub(super) fn envelope(
    error: &VendorError,
    title: &str,
    kind: &str,
    trace_id: &str,
) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("message".to_owned(), json!(format!("(#{}) {title}", error.code)));
    body.insert("type".to_owned(), json!(kind));
    body.insert("code".to_owned(), json!(error.code));
    if let Some(subcode) = error.subcode {
        body.insert("error_subcode".to_owned(), json!(subcode));
    }
    body.insert("fbtrace_id".to_owned(), json!(trace_id));
    body
}

/// The status asked for, or the documented one.
pub(super) fn status(error: &VendorError, documented: u16) -> StatusCode {
    StatusCode::from_u16(error.http_status.unwrap_or(documented)).unwrap_or(StatusCode::BAD_REQUEST)
}
