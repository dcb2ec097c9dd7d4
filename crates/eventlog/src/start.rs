//! Where an owner begins to read a partition: at the last commit, or not at all. Never a silent
//! reset: that would skip records without a word.

use std::fmt;

use crate::Bounds;

/// Why a partition cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The group has committed nothing, and the log has lost its first records.
    NoOffset { start: u64 },
    /// The next record to read is gone.
    Gone { position: u64, start: u64 },
    /// The group has committed more than there is.
    BeyondEnd { committed: u64, end: u64 },
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoOffset { start } => write!(
                f,
                "the group has committed no offset and the log begins at {start}, not at 0"
            ),
            Self::Gone { position, start } => {
                write!(f, "the records from {position} to {start} are gone (retention)")
            }
            Self::BeyondEnd { committed, end } => write!(
                f,
                "the committed offset {committed} lies beyond the log's end {end}: the log was \
                 replaced"
            ),
        }
    }
}

/// The offset of the first record to read.
pub(crate) fn position(committed: Option<u64>, bounds: Bounds) -> Result<u64, Missing> {
    let Bounds { start, end } = bounds;
    match committed {
        None if start == 0 => Ok(0),
        None => Err(Missing::NoOffset { start }),
        Some(committed) if committed < start => Err(Missing::Gone { position: committed, start }),
        Some(committed) if committed > end => Err(Missing::BeyondEnd { committed, end }),
        Some(committed) => Ok(committed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fresh_log_or_a_commit_within_it_is_read() {
        let whole = Bounds { start: 0, end: 9 };
        let shortened = Bounds { start: 3, end: 9 };
        assert_eq!(position(None, whole), Ok(0));
        assert_eq!(position(None, shortened), Err(Missing::NoOffset { start: 3 }));
        assert_eq!(position(Some(2), shortened), Err(Missing::Gone { position: 2, start: 3 }));
        assert_eq!((position(Some(3), shortened), position(Some(9), whole)), (Ok(3), Ok(9)));
        assert_eq!(position(Some(10), whole), Err(Missing::BeyondEnd { committed: 10, end: 9 }));
    }
}
