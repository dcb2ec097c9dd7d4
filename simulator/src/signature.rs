//! Signs webhooks as the vendors do, and writes their bodies as they do.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::hash::hex;

/// The value of `X-Hub-Signature-256`: HMAC-SHA256 of the raw body with the app's secret.
pub(crate) fn sign(app_secret: &str, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(app_secret.as_bytes()) else {
        unreachable!("HMAC takes keys of any length");
    };
    mac.update(body);
    format!("sha256={}", hex(&mac.finalize().into_bytes()))
}

/// JSON in the vendors' spelling: `/` escaped, and everything beyond ASCII as `\uXXXX`. Who signs
/// or reads a re-encoded body instead of the raw one notices here.
pub(crate) fn vendor_json(value: &Value) -> String {
    let plain = value.to_string();
    let mut escaped = String::with_capacity(plain.len() + 16);
    for c in plain.chars() {
        match c {
            '/' => escaped.push_str("\\/"),
            c if c.is_ascii() => escaped.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    escaped.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_signature_is_that_of_rfc_4231() {
        // RFC 4231, test case 2.
        assert_eq!(
            sign("Jefe", b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn a_body_is_ascii_and_reads_back_the_same() {
        let value = json!({"name": "Zoë \u{1f600}", "url": "a/b"});
        let text = vendor_json(&value);
        assert_eq!(text, r#"{"name":"Zo\u00eb \ud83d\ude00","url":"a\/b"}"#);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
