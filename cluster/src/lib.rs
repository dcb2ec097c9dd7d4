//! Kafka, Cassandra and the services as processes of their own: what starts, hurts and watches them,
//! for the tests of this package and for `cargo xtask torture`.
//!
//! Without the feature `stack` there is nothing in it.

#[cfg(feature = "stack")]
pub mod harness;
#[cfg(feature = "stack")]
pub mod torture;
