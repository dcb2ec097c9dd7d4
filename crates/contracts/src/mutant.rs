//! Deliberate mistakes, which the simulation must find (docs/simulation.md).
//!
//! The place of each asks [`is_on`]. Without the feature `mutants` that is a constant `false`, so a
//! program that is built for use holds none of them. With it a mistake is switched on for one
//! thread, because runs of several seeds share a process.

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// An offset counts before its status is acknowledged (I3).
    CommitsEarly,
    /// While the breaker is open, messages are skipped (I4).
    SkipsWhenOpen,
    /// A probe of a failing platform counts as an attempt of its message (I4).
    CountsProbes,
    /// A half-open breaker admits everyone.
    AdmitsTwoProbes,
    /// A late SENT takes back what was delivered (I5).
    StatusRegresses,
    /// A commit is taken whoever owns the partition, under whichever epoch.
    DropsEpoch,
    /// A message that was routed twice is delivered twice.
    DedupeOff,
    /// A failure of ours stands above the platform's acceptance.
    FailedBeatsSent,
    /// At a meeting place each side looks before it writes.
    LooksBeforeWriting,
    /// Calls start whether or not the partition may have another owner.
    LeaseIgnored,
    /// Calls start after the end of a message's life.
    ExpiryFenceOff,
    /// A commit note is used for whatever offset it stands at.
    NoteBaseUnchecked,
    /// A conversation's next message does not wait for the one before (I2).
    TwoInALane,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::CommitsEarly,
        Self::SkipsWhenOpen,
        Self::CountsProbes,
        Self::AdmitsTwoProbes,
        Self::StatusRegresses,
        Self::DropsEpoch,
        Self::DedupeOff,
        Self::FailedBeatsSent,
        Self::LooksBeforeWriting,
        Self::LeaseIgnored,
        Self::ExpiryFenceOff,
        Self::NoteBaseUnchecked,
        Self::TwoInALane,
    ];

    /// What it does wrong, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::CommitsEarly => "commit before the status is acked",
            Self::SkipsWhenOpen => "skip when the breaker is open",
            Self::CountsProbes => "count attempts while open",
            Self::AdmitsTwoProbes => "admit two probes",
            Self::StatusRegresses => "let a status regress",
            Self::DropsEpoch => "drop the epoch",
            Self::DedupeOff => "dedupe off",
            Self::FailedBeatsSent => "our FAILED beats SENT",
            Self::LooksBeforeWriting => "read before write at the meeting place",
            Self::LeaseIgnored => "lease ignored",
            Self::ExpiryFenceOff => "expiry fence off",
            Self::NoteBaseUnchecked => "note's base unchecked",
            Self::TwoInALane => "two deliveries in one lane",
        }
    }
}

#[cfg(feature = "mutants")]
mod switch {
    use std::cell::Cell;

    use super::Mutant;

    thread_local! {
        static ON: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Whether this thread makes the mistake.
    pub fn is_on(mutant: Mutant) -> bool {
        ON.get() == Some(mutant)
    }

    /// From now on this thread makes the mistake, or none.
    pub fn set(mutant: Option<Mutant>) {
        ON.set(mutant);
    }
}

#[cfg(feature = "mutants")]
pub use switch::{is_on, set};

/// No program makes the mistake.
#[cfg(not(feature = "mutants"))]
pub const fn is_on(_: Mutant) -> bool {
    false
}
