//! The page cursor as clients see it: opaque text, good for one conversation or list. A cursor that
//! we did not make for it is refused.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chat4all_contracts::{ConversationId, EpochMs, MessageId};
use chat4all_store::Cursor;
use sha2::{Digest, Sha256};

/// Enough to notice a slip; whoever forges a cursor only chooses where a page begins.
const CHECK_BYTES: usize = 6;

/// The cursor of a place in a conversation.
pub(crate) fn encode(conversation: &ConversationId, cursor: &Cursor) -> String {
    seal(conversation.as_str(), cursor.accepted_at, cursor.message_id.as_str())
}

/// Reads a cursor back; `None` if it is none of ours for this conversation.
pub(crate) fn decode(conversation: &ConversationId, text: &str) -> Option<Cursor> {
    let (accepted_at, id) = open(conversation.as_str(), text)?;
    Some(Cursor { accepted_at, message_id: MessageId::new(&id).ok()? })
}

/// A place in the list called `scope`: base64url of a checksum, the time (8 bytes, big endian) and
/// the id.
pub(crate) fn seal(scope: &str, at: EpochMs, id: &str) -> String {
    let mut place = at.as_ms().to_be_bytes().to_vec();
    place.extend_from_slice(id.as_bytes());
    let mut bytes = check(scope, &place).to_vec();
    bytes.extend(place);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a place back; `None` if it is none of ours for this list.
pub(crate) fn open(scope: &str, text: &str) -> Option<(EpochMs, String)> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (sum, place) = bytes.split_first_chunk::<CHECK_BYTES>()?;
    if *sum != check(scope, place) {
        return None;
    }
    let (time, id) = place.split_first_chunk::<8>()?;
    let at = EpochMs::new(u64::from_be_bytes(*time)).ok()?;
    Some((at, std::str::from_utf8(id).ok()?.to_owned()))
}

fn check(scope: &str, place: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hasher = Sha256::new();
    hasher.update(scope.as_bytes());
    hasher.update([0]);
    hasher.update(place);
    let digest: [u8; 32] = hasher.finalize().into();
    std::array::from_fn(|at| digest[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation(name: &str) -> ConversationId {
        ConversationId::new(name).unwrap()
    }

    fn cursor(id: &str) -> Cursor {
        Cursor {
            accepted_at: EpochMs::saturating(1_700_000_000_000),
            message_id: MessageId::new(id).unwrap(),
        }
    }

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        let c = conversation("c");
        for id in ["a", "order-42/é", &"x".repeat(128)] {
            assert_eq!(decode(&c, &encode(&c, &cursor(id))), Some(cursor(id)));
        }
    }

    #[test]
    fn a_cursor_that_is_not_ours_is_refused() {
        let c = conversation("c");
        for bad in ["", "abc", "!!!!", "_____________", "AAAAAAAAAAA", "AAAAAAAAAAAA=="] {
            assert_eq!(decode(&c, bad), None, "{bad}");
        }
        let good = encode(&c, &cursor("order-42"));
        assert_eq!(decode(&conversation("d"), &good), None);
        for cut in 1..good.len() {
            assert_eq!(decode(&c, &good[..cut]), None, "cut at {cut}");
        }
    }
}
