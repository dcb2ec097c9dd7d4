//! Webhook conventions that several platforms share: the `hub.*` handshake and the signature.

use axum::http::HeaderMap;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// Checks `X-Hub-Signature-256: sha256=hex(HMAC-SHA256(app secret, raw body))`, in constant time.
///
/// Meta, "Webhooks: Getting started, Validating payloads".
pub fn is_signed_by_app(headers: &HeaderMap, body: &[u8], app_secret: &SecretString) -> bool {
    let Some(hex) = headers
        .get("x-hub-signature-256")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("sha256="))
    else {
        return false;
    };
    let Some(signature) = decode_hex(hex) else { return false };
    match Hmac::<Sha256>::new_from_slice(app_secret.expose_secret().as_bytes()) {
        Ok(mut mac) => {
            mac.update(body);
            mac.verify_slice(&signature).is_ok()
        }
        Err(_) => false,
    }
}

/// Answers `hub.mode=subscribe` with `hub.challenge` if `hub.verify_token` is ours.
pub fn confirm(query: &[(String, String)], verify_token: &SecretString) -> Option<String> {
    let value = |name| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let token = value("hub.verify_token")?;
    let is_ours: bool =
        subtle::ConstantTimeEq::ct_eq(token.as_bytes(), verify_token.expose_secret().as_bytes())
            .into();
    let challenge = value("hub.challenge")?;
    (is_ours && value("hub.mode") == Some("subscribe")).then(|| challenge.to_owned())
}

/// The signature of a body, as the platform sends it.
#[cfg(feature = "suite")]
pub(crate) fn signature(body: &[u8], app_secret: &SecretString) -> String {
    // A key of any length makes a MAC.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(app_secret.expose_secret().as_bytes()) else {
        return String::new();
    };
    mac.update(body);
    let bytes = mac.finalize().into_bytes();
    bytes.iter().fold("sha256=".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

fn decode_hex(hex: &str) -> Option<Vec<u8>> {
    if !hex.is_ascii() || !hex.len().is_multiple_of(2) {
        return None;
    }
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: Option<&str>, body: &str) -> bool {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert("x-hub-signature-256", header.parse().unwrap());
        }
        is_signed_by_app(&headers, body.as_bytes(), &SecretString::from("key"))
    }

    #[test]
    fn the_challenge_is_answered_only_with_the_right_token() {
        let query = |token: &str| {
            [("hub.mode", "subscribe"), ("hub.verify_token", token), ("hub.challenge", "42")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
        };
        let token = SecretString::from("ours");
        assert_eq!(confirm(&query("ours"), &token).as_deref(), Some("42"));
        assert_eq!(confirm(&query("other"), &token), None);
        assert_eq!(confirm(&query("ours")[1..], &token), None);
    }

    /// The value is a widely published HMAC-SHA256 test vector.
    #[test]
    fn only_the_right_signature_of_this_body_is_taken() {
        let body = "The quick brown fox jumps over the lazy dog";
        let right = "sha256=f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8";
        assert!(check(Some(right), body));
        assert!(!check(Some(right), "The quick brown fox"));
        assert!(!check(None, body));
        for wrong in ["sha256=", "sha256=zz", "sha1=f7bc", "sha256=f7b", &right.replace("f7", "f8")]
        {
            assert!(!check(Some(wrong), body), "{wrong}");
        }
    }
}
