//! A run that hurts everything at once, for minutes, under load, and judges what became of the
//! messages: `cargo xtask torture`.
//!
//! What cannot go on panics, as the harness does. A run catches that, makes it a finding, and has a
//! report all the same.

#![allow(clippy::expect_used)] // see above

mod act;
mod board;
mod causes;
mod deck;
mod evidence;
mod fleet;
mod lanes;
mod load;
mod platforms;
mod progress;
mod recovery;
mod reported;
mod run;
mod schedule;
mod settle;
mod setup;
mod shared;
mod table;
mod verdict;
mod wires;

pub use self::run::{NotRun, Options, run};
pub use self::table::Report;
