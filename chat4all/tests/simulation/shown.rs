//! What a set of reports comes to, written down a second time: the code's own rule is what is
//! tested.

use chat4all_contracts::{Status, StatusState};

/// In the order in which they may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shown {
    Accepted,
    Unknown,
    FailedByUs,
    Sent,
    Rejected,
    Delivered,
    Read,
}

impl Shown {
    pub fn status(self) -> Status {
        match self {
            Self::Accepted => Status::Accepted,
            Self::Unknown => Status::Unknown,
            Self::FailedByUs | Self::Rejected => Status::Failed,
            Self::Sent => Status::Sent,
            Self::Delivered => Status::Delivered,
            Self::Read => Status::Read,
        }
    }
}

/// Of a message's cells, the highest that is there and counts.
pub fn shown(state: &StatusState) -> Shown {
    let counts = |cell: &Option<chat4all_contracts::status::Cell>| {
        cell.as_ref().is_some_and(|cell| cell.generation == state.generation)
    };
    let all = [
        (state.read_at.is_some(), Shown::Read),
        (state.delivered_at.is_some(), Shown::Delivered),
        (counts(&state.rejected), Shown::Rejected),
        (counts(&state.sent), Shown::Sent),
        (counts(&state.failed), Shown::FailedByUs),
        (counts(&state.unknown), Shown::Unknown),
    ];
    all.into_iter().find(|(there, _)| *there).map_or(Shown::Accepted, |(_, shown)| shown)
}
