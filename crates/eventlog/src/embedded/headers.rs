//! Headers as one blob: for each, the name's length, the name, the value's length, the value.
//! Lengths are LEB128. No headers are an empty blob.

use bytes::Bytes;

use crate::record::Header;

pub(super) fn encode(headers: &[Header]) -> Vec<u8> {
    let mut blob = Vec::new();
    for (name, value) in headers {
        put(&mut blob, name.as_bytes());
        put(&mut blob, value);
    }
    blob
}

/// `None` if the blob is none of ours.
pub(super) fn decode(mut blob: &[u8]) -> Option<Vec<Header>> {
    let mut headers = Vec::new();
    while !blob.is_empty() {
        let name = std::str::from_utf8(take(&mut blob)?).ok()?.to_owned();
        headers.push((name, Bytes::copy_from_slice(take(&mut blob)?)));
    }
    Some(headers)
}

fn put(blob: &mut Vec<u8>, bytes: &[u8]) {
    let mut length = bytes.len();
    while length >= 0x80 {
        blob.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    blob.push(length as u8);
    blob.extend_from_slice(bytes);
}

fn take<'a>(blob: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut length = 0usize;
    for shift in (0..usize::BITS).step_by(7) {
        let (byte, rest) = blob.split_first()?;
        *blob = rest;
        length |= usize::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            let (bytes, rest) = blob.split_at_checked(length)?;
            *blob = rest;
            return Some(bytes);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_small_header_costs_two_bytes_more_than_its_content() {
        assert_eq!(encode(&[("v".to_owned(), Bytes::from_static(b"1"))]), b"\x01v\x011");
        assert_eq!(decode(b""), Some(Vec::new()));
    }

    proptest! {
        #[test]
        fn headers_come_back(
            headers in prop::collection::vec(
                (".{0,20}", prop::collection::vec(any::<u8>(), 0..300)),
                0..5,
            ),
        ) {
            let headers: Vec<Header> =
                headers.into_iter().map(|(name, value)| (name, Bytes::from(value))).collect();
            prop_assert_eq!(decode(&encode(&headers)), Some(headers));
        }

        #[test]
        fn foreign_bytes_do_not_panic(blob in prop::collection::vec(any::<u8>(), 0..50)) {
            let _ = decode(&blob);
        }
    }
}
