//! Every role of Chat4All in one process.
//!
//! [`settings`] reads the configuration, [`installation`] checks it and builds the platforms of the
//! [`registry`], [`system`] puts the services together on any log and store. The executable adds
//! the embedded log and store, the ports and the simulator; a simulation adds its own.

pub mod installation;
pub mod registry;
pub mod settings;
pub mod system;
