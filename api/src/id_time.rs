//! The time inside a message id, if it is a version 7 UUID (RFC 9562).

use chat4all_contracts::MessageId;

/// Milliseconds since 1970 that a version 7 UUID in its canonical text carries, 0 to 2^48 - 1;
/// `None` for any other id.
pub(crate) fn uuid_v7_ms(id: &MessageId) -> Option<u64> {
    let text = id.as_str().as_bytes();
    let hyphens = [8, 13, 18, 23];
    let canonical = text.len() == 36
        && text.iter().enumerate().all(|(i, byte)| match hyphens.contains(&i) {
            true => *byte == b'-',
            false => byte.is_ascii_hexdigit(),
        });
    let version_7 = canonical && text[14] == b'7';
    if !version_7 || !matches!(text[19], b'8' | b'9' | b'a' | b'b' | b'A' | b'B') {
        return None;
    }
    let time = format!("{}{}", &id.as_str()[..8], &id.as_str()[9..13]);
    u64::from_str_radix(&time, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_version_7_uuid_carries_a_time() {
        let ms = |text: &str| uuid_v7_ms(&MessageId::new(text).unwrap());
        // The example of RFC 9562, appendix A.6.
        assert_eq!(ms("017F22E2-79B0-7CC3-98C4-DC0C0C07398F"), Some(0x017F_22E2_79B0));
        assert_eq!(ms("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"), Some(0x017F_22E2_79B0));
        for other in [
            "017f22e2-79b0-4cc3-98c4-dc0c0c07398f",
            "017f22e2-79b0-7cc3-c8c4-dc0c0c07398f",
            "017f22e279b07cc398c4dc0c0c07398f",
            "{017f22e2-79b0-7cc3-98c4-dc0c0c07398f}",
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
            "order-42",
            "éééééééééééééééééé",
        ] {
            assert_eq!(ms(other), None, "{other}");
        }
    }
}
