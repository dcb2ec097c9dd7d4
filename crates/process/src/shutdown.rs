//! The order to stop, seen by every task.

use std::future::Future;

use tokio_util::sync::CancellationToken;

/// Cheap to clone; once triggered it stays triggered.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// Not triggered.
    pub fn new() -> Self {
        Self::default()
    }

    /// Triggered with its parent, or alone.
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }

    /// Orders everyone to stop.
    pub fn trigger(&self) {
        self.0.cancel();
    }

    /// Whether the order was given.
    pub fn is_triggered(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits for the order.
    pub async fn wait(&self) {
        self.0.cancelled().await;
    }

    /// Runs `future` until it ends or the order comes; `None` in the second case.
    pub async fn unless<F: Future>(&self, future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            () = self.0.cancelled() => None,
            output = future => Some(output),
        }
    }
}

/// Triggers `shutdown` at SIGTERM or SIGINT (Ctrl-C), from this moment on.
///
/// # Errors
/// If the process may not install signal handlers.
pub fn on_stop_signal(shutdown: Shutdown) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Ends with the process: a second signal has nothing to add.
    drop(tokio::spawn(async move {
        let signal = tokio::select! {
            biased;
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal, "draining");
        shutdown.trigger();
    }));
    Ok(())
}
