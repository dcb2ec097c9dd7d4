//! A switch to wait for. Whoever waits goes on in the order of waiting: a `watch` channel wakes its
//! waiters in random order, and a simulated run must repeat exactly.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// See the module.
#[derive(Debug)]
pub struct Gate {
    open: AtomicBool,
    changed: Notify,
}

impl Gate {
    /// Open or not.
    pub fn new(open: bool) -> Self {
        Self { open: AtomicBool::new(open), changed: Notify::new() }
    }

    /// Opens or closes it.
    pub fn set(&self, open: bool) {
        self.open.store(open, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst)
    }

    /// Waits until it is open, or closed.
    pub async fn until(&self, open: bool) {
        loop {
            // Made before looking: it hears of every change from here on.
            let changed = self.changed.notified();
            if self.is_open() == open {
                return;
            }
            changed.await;
        }
    }
}
