//! Writes an id into a path: everything but RFC 3986's unreserved characters is percent-encoded.

use std::fmt::Write as _;

/// `text` as one segment of a path.
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a string has no failing case.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_becomes_one_segment() {
        assert_eq!(percent_encoded("order-42/é?#%"), "order-42%2F%C3%A9%3F%23%25");
    }
}
