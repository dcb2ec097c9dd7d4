//! One SQLite database as the embedded log, the embedded store and the simulator use it.
//!
//! * One writer. Jobs that are queued when it is free share one transaction and one flush to disk
//!   (group commit); every caller hears of its own job only after that commit.
//! * Readers have connections of their own and never wait for the writer (WAL).
//! * A database in memory runs every job on the caller's own thread, so a simulation has no thread
//!   and no timing of its own.
//! * A full disk is [`DbError::Full`], for every job of the batch that met it.

mod database;
mod error;
mod free_space;
mod threads;

pub use database::{Busy, Database, Options, Synchronous};
pub use error::DbError;
pub use free_space::free_bytes;
pub use rusqlite;
