//! A service as a process of its own: its configuration, its log, its start and its stop.
//!
//! Without features: the settings and checks that the services share, also with the one process
//! that runs them all. With `kafka`: everything around a service's own code, so that its `main` says
//! only what it reads and what it is made of. [`Prepared`] is what was configured; [`main()`] starts
//! it in one order, whatever the service. Knows no platform by name, and no store.

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod platforms;
pub mod settings;

#[cfg(feature = "kafka")]
mod drain;
#[cfg(feature = "kafka")]
mod front;
#[cfg(feature = "kafka")]
mod prepared;
#[cfg(feature = "kafka")]
mod program;
#[cfg(feature = "kafka")]
mod run;
#[cfg(feature = "kafka")]
mod say;
#[cfg(feature = "kafka")]
pub mod topics;
#[cfg(feature = "kafka")]
mod waiting;

#[cfg(feature = "kafka")]
pub use self::{
    prepared::{Assembled, Context, Prepared},
    program::{Program, Sources, main},
    waiting::Trouble,
};
