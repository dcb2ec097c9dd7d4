//! The page cursor as clients see it: opaque text. A cursor that we did not make is refused.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chat4all_contracts::{EpochMs, MessageId};
use chat4all_store::Cursor;

/// Base64url of the time (8 bytes, big endian) and the message id.
pub(crate) fn encode(cursor: &Cursor) -> String {
    let mut bytes = cursor.accepted_at.as_ms().to_be_bytes().to_vec();
    bytes.extend_from_slice(cursor.message_id.as_str().as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a cursor back; `None` if it is none of ours.
pub(crate) fn decode(text: &str) -> Option<Cursor> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (time, id) = bytes.split_first_chunk::<8>()?;
    Some(Cursor {
        accepted_at: EpochMs::new(u64::from_be_bytes(*time)).ok()?,
        message_id: MessageId::new(std::str::from_utf8(id).ok()?).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        for id in ["a", "order-42/é", &"x".repeat(128)] {
            let cursor = Cursor {
                accepted_at: EpochMs::saturating(1_700_000_000_000),
                message_id: MessageId::new(id).unwrap(),
            };
            assert_eq!(decode(&encode(&cursor)), Some(cursor));
        }
    }

    #[test]
    fn a_cursor_that_is_not_ours_is_refused() {
        for bad in ["", "abc", "!!!!", "_____________", "AAAAAAAAAAA", "AAAAAAAAAAAA=="] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
