//! The note that goes with a commit: which records beyond the committed offset are finished.
//!
//! ASCII base64 of: magic, version, crc32, base, length of the span, then either ranges or a
//! bitmap, whichever is shorter. Offsets in it are relative to `base`, which is absolute: a note
//! that was written for another commit is recognised and not used. A note is only ever a saving of
//! repetitions: whoever cannot read one ignores it.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chat4all_contracts::mutant::{self, Mutant};
use thiserror::Error;

use crate::consumer::MAX_NOTE_CHARS;

/// How many offsets from the committed one on a note can always describe: a bitmap of this many
/// bits, with the header, fits [`MAX_NOTE_CHARS`] characters of base64.
pub const MAX_SPAN: u64 = 24_000;

const MAGIC: [u8; 2] = *b"C4";
const VERSION: u8 = 1;
const RANGES: u8 = 0;
const BITMAP: u8 = 1;
/// magic, version, kind, crc, base, span.
const HEADER: usize = 2 + 1 + 1 + 4 + 8 + 4;

const _: () = assert!((HEADER + MAX_SPAN as usize / 8 + 1) * 4 / 3 + 4 <= MAX_NOTE_CHARS);

/// Why a note is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unusable {
    /// Not one of ours, cut off, or changed.
    #[error("not a note, or damaged")]
    Damaged,
    /// Written by a release that this one does not know.
    #[error("of an unknown version")]
    Version,
    /// Written for another committed offset.
    #[error("written for another offset")]
    OtherBase,
    /// Speaks of offsets that the log does not have.
    #[error("beyond the end of the log")]
    BeyondEnd,
}

/// Offsets that are finished, as rising ranges that do not touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finished(Vec<Range<u64>>);

impl Finished {
    /// Whether `offset` is finished.
    pub fn contains(&self, offset: u64) -> bool {
        let after = self.0.partition_point(|range| range.start <= offset);
        after > 0 && self.0[after - 1].contains(&offset)
    }

    /// The offsets, rising.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().cloned().flatten()
    }

    fn from_rising(offsets: impl Iterator<Item = u64>) -> Self {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for offset in offsets {
            match ranges.last_mut() {
                Some(last) if last.end == offset => last.end += 1,
                _ => ranges.push(offset..offset + 1),
            }
        }
        Self(ranges)
    }
}

/// Encodes the rising `offsets`, all in `base..base + MAX_SPAN`, for a commit at `base`. Empty if
/// there are none.
pub fn encode(base: u64, offsets: impl Iterator<Item = u64>) -> String {
    let finished = Finished::from_rising(offsets);
    let Some(last) = finished.0.last() else { return String::new() };
    let span = last.end - base;
    debug_assert!(span <= MAX_SPAN && finished.0[0].start >= base, "outside a note's span");
    let ranges = encode_ranges(base, &finished);
    let bitmap_bytes = span.div_ceil(8) as usize;
    let (kind, payload) = if ranges.len() <= bitmap_bytes {
        (RANGES, ranges)
    } else {
        (BITMAP, encode_bitmap(base, bitmap_bytes, &finished))
    };
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.extend(MAGIC);
    bytes.extend([VERSION, kind]);
    bytes.extend([0; 4]);
    bytes.extend(base.to_be_bytes());
    bytes.extend((span as u32).to_be_bytes());
    bytes.extend(payload);
    let crc = checksum(&bytes);
    bytes[4..8].copy_from_slice(&crc.to_be_bytes());
    STANDARD_NO_PAD.encode(bytes)
}

/// Over everything but the checksum's own place.
fn checksum(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..4]);
    hasher.update(&bytes[8..]);
    hasher.finalize()
}

/// Pairs of (offsets skipped, offsets finished) as 7-bit groups, least significant first.
fn encode_ranges(base: u64, finished: &Finished) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut from = base;
    for range in &finished.0 {
        for mut n in [range.start - from, range.end - range.start] {
            while n >= 0x80 {
                bytes.push(n as u8 | 0x80);
                n >>= 7;
            }
            bytes.push(n as u8);
        }
        from = range.end;
    }
    bytes
}

fn encode_bitmap(base: u64, length: usize, finished: &Finished) -> Vec<u8> {
    let mut bytes = vec![0; length];
    for offset in finished.iter() {
        let bit = (offset - base) as usize;
        bytes[bit / 8] |= 1 << (bit % 8);
    }
    bytes
}

/// Reads the note of a commit at `committed` on a log that ends at `log_end`.
///
/// # Errors
/// Why it must be ignored.
pub fn decode(note: &str, committed: u64, log_end: u64) -> Result<Finished, Unusable> {
    if note.len() > MAX_NOTE_CHARS {
        return Err(Unusable::Damaged);
    }
    let bytes = STANDARD_NO_PAD.decode(note).map_err(|_| Unusable::Damaged)?;
    if bytes.len() < HEADER || bytes[..2] != MAGIC {
        return Err(Unusable::Damaged);
    }
    if bytes[2] != VERSION {
        return Err(Unusable::Version);
    }
    let (crc, base, span) = (number(&bytes[4..8]), number(&bytes[8..16]), number(&bytes[16..20]));
    if crc != u64::from(checksum(&bytes)) {
        return Err(Unusable::Damaged);
    }
    if base != committed && !mutant::is_on(Mutant::NoteBaseUnchecked) {
        return Err(Unusable::OtherBase);
    }
    if span > MAX_SPAN || base.checked_add(span).is_none_or(|end| end > log_end) {
        return Err(Unusable::BeyondEnd);
    }
    let payload = &bytes[HEADER..];
    match bytes[3] {
        RANGES => decode_ranges(payload, base, span),
        BITMAP => decode_bitmap(payload, base, span),
        _ => Err(Unusable::Version),
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte))
}

fn decode_ranges(payload: &[u8], base: u64, span: u64) -> Result<Finished, Unusable> {
    let mut ranges = Vec::new();
    let mut rest = payload.iter();
    let mut from = 0;
    while !rest.as_slice().is_empty() {
        let skipped = varint(&mut rest)?;
        let length = varint(&mut rest)?;
        let start = from + skipped;
        from = start + length;
        if length == 0 || from > span {
            return Err(Unusable::Damaged);
        }
        ranges.push(base + start..base + from);
    }
    Ok(Finished(ranges))
}

/// At most three groups: enough for [`MAX_SPAN`].
fn varint(bytes: &mut std::slice::Iter<'_, u8>) -> Result<u64, Unusable> {
    let mut n = 0;
    for shift in [0, 7, 14] {
        let byte = bytes.next().ok_or(Unusable::Damaged)?;
        n |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(n);
        }
    }
    Err(Unusable::Damaged)
}

fn decode_bitmap(payload: &[u8], base: u64, span: u64) -> Result<Finished, Unusable> {
    if payload.len() as u64 != span.div_ceil(8) {
        return Err(Unusable::Damaged);
    }
    let is_set = |bit: &u64| payload[(*bit / 8) as usize] & (1 << (bit % 8)) != 0;
    if (span..payload.len() as u64 * 8).any(|bit| is_set(&bit)) {
        return Err(Unusable::Damaged);
    }
    Ok(Finished::from_rising((0..span).filter(is_set).map(|bit| base + bit)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn finished(base: u64) -> impl Strategy<Value = BTreeSet<u64>> {
        let sparse = prop::collection::btree_set(0..MAX_SPAN, 1..200);
        let dense = prop::collection::btree_set(0..400_u64, 1..400);
        prop_oneof![sparse, dense]
            .prop_map(move |set| set.into_iter().map(|offset| base + offset).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_was_finished_is_read_back(set in finished(1 << 40)) {
            let base = 1 << 40;
            let note = encode(base, set.iter().copied());
            prop_assert!(note.is_ascii() && note.len() <= MAX_NOTE_CHARS);
            let read = decode(&note, base, u64::MAX).unwrap();
            prop_assert!(set.iter().all(|offset| read.contains(*offset)));
            prop_assert!(!read.contains(base + MAX_SPAN));
            prop_assert_eq!(read.iter().collect::<BTreeSet<_>>(), set);
        }

        #[test]
        fn a_changed_or_truncated_note_is_never_used(
            set in finished(5), at in any::<prop::sample::Index>(), to in any::<u8>(), cut in any::<bool>(),
        ) {
            let note = encode(5, set.iter().copied());
            let mut bytes = note.clone().into_bytes();
            let at = at.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] = to }
            if let Ok(changed) = String::from_utf8(bytes) && changed != note {
                prop_assert!(decode(&changed, 5, u64::MAX).is_err());
            }
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,200}") {
            prop_assert!(decode(&text, 0, u64::MAX).is_err());
        }
    }

    #[test]
    fn the_fullest_note_fits() {
        let alternating = (0..MAX_SPAN).filter(|offset| offset % 2 == 1);
        assert!(encode(0, alternating).len() <= MAX_NOTE_CHARS);
    }

    #[test]
    fn a_note_for_another_commit_or_log_is_not_used() {
        let note = encode(10, [12, 13].into_iter());
        assert_eq!(decode(&note, 11, 100), Err(Unusable::OtherBase));
        assert_eq!(decode(&note, 10, 13), Err(Unusable::BeyondEnd));
        assert!(decode(&note, 10, 14).is_ok());
        assert_eq!(decode("Zm9yZWlnbg", 10, 14), Err(Unusable::Damaged));
    }

    #[test]
    fn ten_thousand_notes_changed_at_random_are_never_used() {
        let random = chat4all_process::Random::seeded(1);
        for round in 0..10_000 {
            let count = random.between(1, 200);
            let offsets: BTreeSet<u64> =
                (0..count).map(|_| 1_000 + random.between(0, MAX_SPAN - 1)).collect();
            let note = encode(1_000, offsets.into_iter());
            let mut bytes = note.clone().into_bytes();
            for _ in 0..random.between(1, 3) {
                let at = random.between(0, bytes.len() as u64 - 1) as usize;
                match random.between(0, 3) {
                    0 => bytes[at] ^= 1 << random.between(0, 6),
                    1 => bytes.truncate(at.max(1)),
                    2 => bytes.insert(at, b'A'),
                    _ => bytes.extend_from_within(at..),
                }
            }
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            let used = decode(&changed, 1_000, u64::MAX).is_ok();
            assert!(!used || changed == note, "round {round}");
        }
    }

    #[test]
    fn a_note_of_a_later_release_is_not_used() {
        let mut bytes = STANDARD_NO_PAD.decode(encode(10, [12].into_iter())).unwrap();
        bytes[2] = VERSION + 1;
        let crc = checksum(&bytes);
        bytes[4..8].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(decode(&STANDARD_NO_PAD.encode(bytes), 10, 100), Err(Unusable::Version));
    }

    #[test]
    fn nothing_finished_is_an_empty_note() {
        assert_eq!(encode(10, [].into_iter()), "");
    }
}
