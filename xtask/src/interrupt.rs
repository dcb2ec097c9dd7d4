//! Ctrl-C and an order to stop, as a flag: what was started must be stopped in order first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use crate::failure::{Failure, Outcome};

/// Whether somebody wants this program to stop.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on such a signal sets the flag and ends nothing.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn watch() -> Outcome<Self> {
        let is_raised = Arc::new(AtomicBool::new(false));
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            flag::register(signal, Arc::clone(&is_raised)).map_err(|error| {
                Failure::unavailable(format!("signals cannot be watched: {error}"))
            })?;
        }
        Ok(Self(is_raised))
    }

    /// Whether a signal has come since the last time this was asked.
    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }

    /// Whether a signal has come that nobody has taken.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
