//! What is kept in place of what must not be kept.

use sha2::{Digest, Sha256};

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// The SHA-256 of the parts; no two lists of parts run together to the same bytes.
pub(crate) fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

/// A recipient as the ledger knows it: the first 16 hexadecimal digits of its SHA-256.
pub(crate) fn recipient(plain: &str) -> String {
    hex(&Sha256::digest(canonical(plain).as_bytes())[..8])
}

/// A phone number in any spelling as its digits; any other recipient as it is.
pub(crate) fn canonical(plain: &str) -> String {
    let spelling = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | ' ' | '(' | ')' | '.');
    if plain.chars().all(spelling) {
        plain.chars().filter(char::is_ascii_digit).collect()
    } else {
        plain.to_owned()
    }
}

/// `count` decimal digits (at most 20) that follow from the text; the first is not 0.
pub(crate) fn digits(of: &str, count: usize) -> String {
    let bytes = digest(&[of]);
    let digit =
        |(n, byte): (usize, &u8)| char::from(b'0' + if n == 0 { byte % 9 + 1 } else { byte % 10 });
    bytes.iter().take(count.min(20)).enumerate().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_number_has_one_hash_in_every_spelling() {
        // printf 5511999990001 | sha256sum
        assert_eq!(recipient("+55 (11) 99999-0001"), recipient("5511999990001"));
        assert_eq!(recipient("abc"), "ba7816bf8f01cfea");
        assert_ne!(recipient("US.123"), recipient("123"));
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
    }
}
