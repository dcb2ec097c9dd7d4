//! The status machine: what a set of reports says about a message, whatever their order.
//!
//! A message's status is not a variable that the last report overwrites. Every kind of report has
//! a cell of its own, cells only ever grow, and the shown status is computed from which cells are
//! present. So reports may come early, late, twice or after a crash, and the shown status of one
//! generation never goes back (I5).

use std::cmp::Ordering;
use std::fmt;

use serde::Serialize;

use crate::event::StatusUpdate;
use crate::id::ExternalId;
use crate::mutant::{self, Mutant};
use crate::reason::Reason;
use crate::time::{EpochMs, Generation};

/// What a client sees. See [`Rank`] for the order in which they may appear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Durable; not yet with the platform.
    Accepted,
    /// A call was made and its outcome is not known.
    Unknown,
    /// Ended without delivery; the reason says why.
    Failed,
    /// The platform accepted it.
    Sent,
    /// It reached the receiver's device (or, on a platform without receipts, was accepted).
    Delivered,
    /// The receiver saw it.
    Read,
}

impl Status {
    /// Every status.
    pub const ALL: [Status; 6] = [
        Status::Accepted,
        Status::Unknown,
        Status::Failed,
        Status::Sent,
        Status::Delivered,
        Status::Read,
    ];

    /// The word in events and in the API.
    pub const fn word(self) -> &'static str {
        match self {
            Status::Accepted => "ACCEPTED",
            Status::Unknown => "UNKNOWN",
            Status::Failed => "FAILED",
            Status::Sent => "SENT",
            Status::Delivered => "DELIVERED",
            Status::Read => "READ",
        }
    }

    /// The status with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.word() == word)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The order of what may be shown. FAILED stands twice: a failure of ours is overruled by any
/// proof of acceptance, the platform's own report after acceptance is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// [`Status::Accepted`]
    Accepted,
    /// [`Status::Unknown`]
    Unknown,
    /// [`Status::Failed`], with no call known to be accepted.
    FailedByUs,
    /// [`Status::Sent`]
    Sent,
    /// [`Status::Failed`], as the platform reported after its acceptance.
    RejectedByPlatform,
    /// [`Status::Delivered`]
    Delivered,
    /// [`Status::Read`]
    Read,
}

impl Rank {
    /// What a client sees at this rank.
    pub fn status(self) -> Status {
        match self {
            Rank::Accepted => Status::Accepted,
            Rank::Unknown => Status::Unknown,
            Rank::FailedByUs | Rank::RejectedByPlatform => Status::Failed,
            Rank::Sent => Status::Sent,
            Rank::Delivered => Status::Delivered,
            Rank::Read => Status::Read,
        }
    }
}

/// One report, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The life of the message in which it was reported.
    pub generation: Generation,
    /// When it happened.
    pub at: EpochMs,
    /// Why, for a failure or a doubt; for an acceptance, that it may be the second one.
    pub reason: Option<Reason>,
    /// The platform's id of the message, where the report had one.
    pub external_id: Option<ExternalId>,
}

impl Cell {
    /// The write timestamp: the higher generation wins, then the first report.
    ///
    /// It depends on the report alone, so replays and clock skew cannot change who wins. Fits 63
    /// bits because of the bounds of [`Generation`] and [`EpochMs`].
    pub fn write_timestamp(&self) -> i64 {
        write_timestamp(self.generation, self.at)
    }

    /// The order of two reports: by write timestamp, then by value, so that any two replicas
    /// choose the same one. The value order is the byte order of the encoded tuple (absent is
    /// length -1, so it sorts last), which is how a wide-column store breaks the tie.
    fn precedence(&self, other: &Cell) -> Ordering {
        let bytes = |cell: &Cell| {
            let reason = cell.reason.map(Reason::code);
            let id = cell.external_id.as_ref().map(|id| id.as_str().to_owned());
            let id_length = id.as_ref().map_or(u32::MAX, |id| id.len() as u32);
            (reason.map_or((u32::MAX, 0), |code| (4, code)), id_length, id)
        };
        self.write_timestamp()
            .cmp(&other.write_timestamp())
            .then_with(|| bytes(self).cmp(&bytes(other)))
    }
}

/// See [`Cell::write_timestamp`].
pub fn write_timestamp(generation: Generation, at: EpochMs) -> i64 {
    let first_wins = EpochMs::MAX.as_ms() - at.as_ms();
    // 20 bits of generation above 43 bits of time: at most 2^63 - 1.
    ((u64::from(generation.as_u32()) << 43) | first_wins) as i64
}

/// All that is known about what became of a message.
///
/// A join semilattice: [`StatusState::merge`] is commutative, associative and idempotent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusState {
    /// The highest generation seen.
    pub generation: Generation,
    /// The first report of a delivery, whatever the generation: evidence wins.
    pub delivered_at: Option<EpochMs>,
    /// The first report of a reading, whatever the generation.
    pub read_at: Option<EpochMs>,
    /// The platform accepted the message.
    pub sent: Option<Cell>,
    /// We gave up without any call known to be accepted.
    pub failed: Option<Cell>,
    /// The platform reported a failure after it had accepted the message.
    pub rejected: Option<Cell>,
    /// A call was made and its outcome is not known.
    pub unknown: Option<Cell>,
}

impl StatusState {
    /// A message that was accepted in `generation`, and nothing more.
    pub fn accepted(generation: Generation) -> Self {
        Self { generation, ..Self::default() }
    }

    /// What one event says.
    pub fn of(event: &StatusUpdate) -> Self {
        let mut state = Self::accepted(event.generation);
        let cell = || Cell {
            generation: event.generation,
            at: event.timestamp,
            reason: event.reason,
            external_id: event.external_id.clone(),
        };
        let doubled = event.possible_duplicate.then_some(Reason::PossibleDuplicate);
        let accepted = || Cell { reason: doubled, ..cell() };
        match event.status {
            Status::Accepted => {}
            Status::Unknown => state.unknown = Some(cell()),
            Status::Sent => state.sent = Some(accepted()),
            Status::Failed => {
                let after = event.reason.is_some_and(Reason::is_report_after_acceptance);
                *(if after { &mut state.rejected } else { &mut state.failed }) = Some(cell());
            }
            Status::Delivered | Status::Read => {
                let at = Some(event.timestamp);
                match event.status {
                    Status::Read => state.read_at = at,
                    _ => state.delivered_at = at,
                }
                // On a platform without receipts this event is also the acceptance.
                if event.external_id.is_some() {
                    state.sent = Some(accepted());
                }
            }
        }
        state
    }

    /// Adds what `other` knows. The one truth about conflicting reports, on every store.
    pub fn merge(&mut self, other: &StatusState) {
        fn first(mine: &mut Option<EpochMs>, other: Option<EpochMs>) {
            *mine = match (*mine, other) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        fn stronger(mine: &mut Option<Cell>, other: &Option<Cell>) {
            let Some(theirs) = other else { return };
            match mine {
                Some(cell) if cell.precedence(theirs) != Ordering::Less => {}
                _ => *mine = Some(theirs.clone()),
            }
        }
        self.generation = self.generation.max(other.generation);
        first(&mut self.delivered_at, other.delivered_at);
        first(&mut self.read_at, other.read_at);
        if mutant::is_on(Mutant::StatusRegresses) && other.sent.is_some() {
            (self.delivered_at, self.read_at) = (other.delivered_at, other.read_at);
        }
        stronger(&mut self.sent, &other.sent);
        stronger(&mut self.failed, &other.failed);
        stronger(&mut self.rejected, &other.rejected);
        stronger(&mut self.unknown, &other.unknown);
    }

    /// The cell, if it belongs to the current generation.
    fn current<'a>(&self, cell: &'a Option<Cell>) -> Option<&'a Cell> {
        cell.as_ref().filter(|cell| cell.generation == self.generation)
    }

    /// Where the message stands.
    pub fn rank(&self) -> Rank {
        if self.read_at.is_some() {
            Rank::Read
        } else if self.delivered_at.is_some() {
            Rank::Delivered
        } else if self.current(&self.rejected).is_some() {
            Rank::RejectedByPlatform
        } else if mutant::is_on(Mutant::FailedBeatsSent) && self.current(&self.failed).is_some() {
            Rank::FailedByUs
        } else if self.current(&self.sent).is_some() {
            Rank::Sent
        } else if self.current(&self.failed).is_some() {
            Rank::FailedByUs
        } else if self.current(&self.unknown).is_some() {
            Rank::Unknown
        } else {
            Rank::Accepted
        }
    }

    /// What a client sees.
    pub fn status(&self) -> Status {
        self.rank().status()
    }

    /// Why, if the shown status is FAILED or UNKNOWN.
    pub fn reason(&self) -> Option<Reason> {
        let cell = match self.rank() {
            Rank::RejectedByPlatform => &self.rejected,
            Rank::FailedByUs => &self.failed,
            Rank::Unknown => &self.unknown,
            _ => return None,
        };
        let reason = self.current(cell).and_then(|cell| cell.reason);
        // Who gave it up did not know of the call in doubt that somebody before it had made.
        let is_ignorant = matches!(reason, Some(Reason::Expired | Reason::Exhausted));
        let is_in_doubt = self.rank() == Rank::FailedByUs && self.current(&self.unknown).is_some();
        if is_ignorant && is_in_doubt { Some(Reason::InDoubt) } else { reason }
    }

    /// Whether the receiver may have got the message twice: the call that the platform accepted
    /// repeated one whose outcome is unknown. Who made it may not have known of the other.
    pub fn is_possible_duplicate(&self) -> bool {
        let is_doubled = |cell: &Cell| cell.reason == Some(Reason::PossibleDuplicate);
        let Some(sent) = self.current(&self.sent) else { return false };
        // Without the platform's id it was a receipt that settled the doubt, and no other call.
        let is_repeated =
            sent.external_id.is_some() && self.current(&self.unknown).is_some_and(is_doubled);
        is_doubled(sent) || is_repeated
    }

    /// The platform's id of the message, from the best report that has one.
    pub fn external_id(&self) -> Option<&ExternalId> {
        let cells = [&self.sent, &self.rejected, &self.unknown, &self.failed];
        cells.into_iter().flatten().find_map(|cell| cell.external_id.as_ref())
    }

    /// The statuses reported in the current generation with the time of each, lowest first.
    pub fn history(&self) -> Vec<(Status, EpochMs)> {
        let cell = |status, cell| self.current(cell).map(|cell| (status, cell.at));
        [
            cell(Status::Unknown, &self.unknown),
            cell(Status::Failed, &self.failed),
            cell(Status::Sent, &self.sent),
            cell(Status::Failed, &self.rejected),
            self.delivered_at.map(|at| (Status::Delivered, at)),
            self.read_at.map(|at| (Status::Read, at)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
