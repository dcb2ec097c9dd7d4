//! A state as what is written of it: one value a cell, each with the write timestamp that makes
//! the database merge it as [`StatusState::merge`] does.
//!
//! Nothing absent is written: an absent value would be a tombstone that shadows evidence.

use chat4all_contracts::status::{Cell, write_timestamp};
use chat4all_contracts::{EpochMs, ExternalId, Generation, Reason, StatusState};

/// A cell as the database holds it: generation, at, reason, external id.
///
/// Of two with one write timestamp the database keeps the one whose bytes are greater, each element
/// behind its length in four bytes and an absent one as the length -1: the order in which
/// [`StatusState::merge`] breaks the tie.
pub(super) type CellTuple<'a> = (i32, i64, Option<i32>, Option<&'a str>);

/// A column of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Column {
    Generation,
    DeliveredAt,
    ReadAt,
    Sent,
    Failed,
    Rejected,
    Unknown,
}

impl Column {
    pub(super) const ALL: [Column; 7] = [
        Column::Generation,
        Column::DeliveredAt,
        Column::ReadAt,
        Column::Sent,
        Column::Failed,
        Column::Rejected,
        Column::Unknown,
    ];

    /// Its name in the table of messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Column::Generation => "generation",
            Column::DeliveredAt => "delivered_at",
            Column::ReadAt => "read_at",
            Column::Sent => "sent",
            Column::Failed => "failed",
            Column::Rejected => "rejected",
            Column::Unknown => "unknown",
        }
    }

    /// Its number in the key of a waiting report. Never changes meaning.
    pub(super) fn number(self) -> i32 {
        self as i32
    }

    fn of_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.number() == number)
    }
}

/// What one column of a state says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Said<'a> {
    Generation(Generation),
    At(EpochMs),
    Cell(&'a Cell),
}

/// What a state says, column by column. The generation is left out where a cell carries it.
pub(super) fn parts(state: &StatusState) -> Vec<(Column, Said<'_>)> {
    let cells = [
        (Column::Sent, &state.sent),
        (Column::Failed, &state.failed),
        (Column::Rejected, &state.rejected),
        (Column::Unknown, &state.unknown),
    ];
    let cells = cells.into_iter().filter_map(|(column, cell)| Some((column, cell.as_ref()?)));
    let carried = cells.clone().map(|(_, cell)| cell.generation).max();
    let times = [(Column::DeliveredAt, state.delivered_at), (Column::ReadAt, state.read_at)];
    let mut parts: Vec<_> =
        times.into_iter().filter_map(|(column, at)| Some((column, Said::At(at?)))).collect();
    parts.extend(cells.map(|(column, cell)| (column, Said::Cell(cell))));
    let is_carried = carried >= Some(state.generation);
    let is_first = state.generation == Generation::FIRST;
    // Absent means the first one; but something has to say that a report was there at all.
    if !is_carried && (!is_first || parts.is_empty()) {
        parts.push((Column::Generation, Said::Generation(state.generation)));
    }
    parts
}

impl<'a> Said<'a> {
    /// The write timestamp in the table of messages.
    pub(super) fn timestamp(self) -> i64 {
        match self {
            Said::Generation(generation) => i64::from(generation.as_u32()),
            // Evidence counts whatever the generation.
            Said::At(at) => write_timestamp(Generation::FIRST, at),
            Said::Cell(cell) => cell.write_timestamp(),
        }
    }

    /// All of it as one cell: what a waiting report's key holds beside the column's number.
    pub(super) fn tuple(self) -> CellTuple<'a> {
        match self {
            Said::Generation(generation) => (generation.as_u32() as i32, 0, None, None),
            Said::At(at) => (0, ms(at), None, None),
            Said::Cell(cell) => cell_tuple(cell),
        }
    }
}

/// The inverse of [`Said::tuple`]; `None` for what nobody writes.
pub(super) fn said(number: i32, tuple: CellTuple<'_>) -> Option<StatusState> {
    let column = Column::of_number(number)?;
    let mut state = StatusState::default();
    match column {
        Column::Generation => state.generation = generation(tuple.0)?,
        Column::DeliveredAt => state.delivered_at = Some(time(tuple.1)?),
        Column::ReadAt => state.read_at = Some(time(tuple.1)?),
        Column::Sent | Column::Failed | Column::Rejected | Column::Unknown => {
            let cell = cell(tuple)?;
            state.generation = cell.generation;
            let place = match column {
                Column::Sent => &mut state.sent,
                Column::Failed => &mut state.failed,
                Column::Rejected => &mut state.rejected,
                _ => &mut state.unknown,
            };
            *place = Some(cell);
        }
    }
    Some(state)
}

fn cell_tuple(cell: &Cell) -> CellTuple<'_> {
    let reason = cell.reason.map(|reason| reason.code() as i32);
    let external_id = cell.external_id.as_ref().map(ExternalId::as_str);
    (cell.generation.as_u32() as i32, ms(cell.at), reason, external_id)
}

/// Reads a cell; `None` for what nobody writes.
pub(super) fn cell(tuple: CellTuple<'_>) -> Option<Cell> {
    let (number, at, reason, external_id) = tuple;
    let reason = reason.map(|code| u32::try_from(code).map(Reason::from_code)).transpose().ok()?;
    let external_id = external_id.map(ExternalId::new).transpose().ok()?;
    Some(Cell { generation: generation(number)?, at: time(at)?, reason, external_id })
}

/// Writes a time. Fits, by the bound of [`EpochMs`].
pub(super) fn ms(time: EpochMs) -> i64 {
    time.as_ms() as i64
}

/// Reads a time.
pub(super) fn time(ms: i64) -> Option<EpochMs> {
    EpochMs::new(u64::try_from(ms).ok()?).ok()
}

/// Reads a generation.
pub(super) fn generation(number: i32) -> Option<Generation> {
    Generation::new(u64::try_from(number).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_cell() -> impl Strategy<Value = Cell> {
        let reason = prop::option::of(prop::sample::select(Reason::ALL.to_vec()));
        let id = prop::option::of(prop::sample::select(vec!["a", "b", "aa", "é"]));
        (0_u64..3, 0_u64..3, reason, id).prop_map(|(generation, at, reason, id)| Cell {
            generation: Generation::new(generation).unwrap(),
            at: EpochMs::saturating(at),
            reason,
            external_id: id.map(|id| ExternalId::new(id).unwrap()),
        })
    }

    fn any_state() -> impl Strategy<Value = StatusState> {
        let at = || prop::option::of((0_u64..3).prop_map(EpochMs::saturating));
        let cell = || prop::option::of(any_cell());
        (0_u64..4, at(), at(), (cell(), cell(), cell(), cell())).prop_map(
            |(generation, delivered_at, read_at, (sent, failed, rejected, unknown))| {
                let mut state = StatusState {
                    generation: Generation::new(generation).unwrap(),
                    delivered_at,
                    read_at,
                    sent,
                    failed,
                    rejected,
                    unknown,
                };
                let cells = [&state.sent, &state.failed, &state.rejected, &state.unknown];
                let highest = cells.into_iter().flatten().map(|cell| cell.generation).max();
                state.generation = state.generation.max(highest.unwrap_or_default());
                state
            },
        )
    }

    /// The encoding of the native protocol, for the order of bytes.
    fn bytes((generation, at, reason, id): CellTuple<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut put = |element: Option<&[u8]>| {
            let length = element.map_or(-1, |element| element.len() as i32);
            bytes.extend(length.to_be_bytes());
            bytes.extend(element.unwrap_or_default());
        };
        put(Some(&generation.to_be_bytes()));
        put(Some(&at.to_be_bytes()));
        put(reason.map(i32::to_be_bytes).as_ref().map(|reason| &reason[..]));
        put(id.map(str::as_bytes));
        bytes
    }

    proptest! {
        #[test]
        fn the_parts_of_a_state_merge_to_the_state(state in any_state()) {
            let mut merged = StatusState::default();
            let mut shuffled = parts(&state);
            shuffled.reverse();
            for (column, part) in shuffled {
                merged.merge(&said(column.number(), part.tuple()).unwrap());
            }
            prop_assert_eq!(merged, state);
        }

        #[test]
        fn the_database_keeps_the_cell_that_merge_keeps(a in any_cell(), b in any_cell()) {
            let order = |cell: &Cell| (cell.write_timestamp(), bytes(cell_tuple(cell)));
            let kept = if order(&a) >= order(&b) { &a } else { &b };
            let state = |cell: &Cell| StatusState { sent: Some(cell.clone()), ..Default::default() };
            let mut merged = state(&a);
            merged.merge(&state(&b));
            prop_assert_eq!(merged.sent.as_ref(), Some(kept));
        }
    }

    #[test]
    fn the_first_report_of_a_delivery_and_the_highest_generation_stay() {
        let at = |ms| Said::At(EpochMs::saturating(ms)).timestamp();
        assert!(at(1_000) > at(1_001));
        assert!(at(EpochMs::MAX.as_ms()) >= 0);
        let life = |number| Said::Generation(Generation::new(number).unwrap()).timestamp();
        assert!(life(2) > life(1));
    }

    #[test]
    fn an_empty_report_says_that_it_was_there() {
        let first = [(Column::Generation, Said::Generation(Generation::FIRST))];
        assert_eq!(parts(&StatusState::default()), first);
        let delivered =
            StatusState { delivered_at: Some(EpochMs::saturating(5)), ..Default::default() };
        assert_eq!(parts(&delivered).len(), 1);
    }

    #[test]
    fn what_nobody_writes_is_refused() {
        assert_eq!(said(7, (0, 0, None, None)), None);
        assert_eq!(said(-1, (0, 0, None, None)), None);
        for tuple in [(-1, 0, None, None), (1 << 20, 0, None, None), (0, -1, None, None)] {
            assert_eq!(said(Column::Sent.number(), tuple), None, "{tuple:?}");
        }
        assert_eq!(cell((0, 0, Some(-1), None)), None);
        assert_eq!(cell((0, 0, None, Some(""))), None);
    }
}
