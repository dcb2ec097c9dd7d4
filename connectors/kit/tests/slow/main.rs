//! A connector whose platform or log takes its time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

mod early_commits;
mod outlasting;
mod unacknowledged;
mod world;
