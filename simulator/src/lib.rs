//! A faithful, faultable stand-in for the platforms' public APIs.
//!
//! It answers like a vendor, sends signed receipts until they are answered, fails on request, and
//! keeps a ledger of every call, which says what was accepted, in which order, how often, and
//! whether two calls of one conversation ever overlapped.
//!
//! It shares no type with the connectors: the wire formats are written down here a second time, so
//! that a mistake of theirs is not repeated here unnoticed. It never stores or shows the text of a
//! message or a plain phone number. A call is in the ledger, with the receipts it will cause,
//! before it is answered; a killed process goes on with them when it is started again.
//!
//! Under a paused clock, with a database in memory and a seeded [`chat4all_process::Random`], the
//! same calls give the same ledger: nothing here is spawned, and nothing reads another clock.

mod answer;
mod call;
mod control;
mod fault;
mod fault_request;
mod hash;
mod identity;
mod in_flight;
mod ledger;
mod ledger_view;
mod pending;
mod plan;
mod platform;
mod process;
mod receipts;
mod section;
mod sender;
mod settings;
mod signature;
mod simulator;

pub use fault::{Fault, FaultKind, FieldError};
pub use process::serve_process;
pub use section::SimulationSettings;
pub use settings::{AccountWebhook, Delay, PerMille, Settings, Webhook};
pub use simulator::{OpenError, Simulator};

/// The names of the platforms that are simulated.
pub fn platforms() -> Vec<&'static str> {
    platform::REGISTRY.iter().map(|platform| platform.name()).collect()
}
