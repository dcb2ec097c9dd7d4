//! Dead letters: what was given up, for an operator to look at, to deliver after all, or to
//! discard; and the record of every such command.
//!
//! A redrive is one append to `messages`, of the same message in its next life. Which life that is
//! follows from the letter's id, not from a counter, so a command may be repeated: two appends of
//! one life are one message for the connector and for the store.

pub(crate) mod age;
mod audit;
mod command;
mod command_view;
mod discard;
mod filter;
mod list;
mod redrive;
mod selection;
mod view;

pub(crate) use audit::*;
pub(crate) use discard::*;
pub(crate) use list::*;
pub(crate) use redrive::*;
