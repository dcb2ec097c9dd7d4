//! What the parts of a run share.

use std::sync::Arc;

use tokio::sync::{Mutex, watch};

use super::board::Board;
use super::causes::Causes;
use super::load::Counts;
use super::platforms::Platforms;

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Shared {
    /// What happened.
    pub board: Arc<Board>,
    /// The simulated platforms.
    pub platforms: Platforms,
    /// Why there may be duplicates.
    pub causes: Arc<Causes>,
    /// What the API answers.
    pub counts: Arc<Counts>,
    /// Where clients find the API.
    pub apis: watch::Sender<Vec<String>>,
    /// Held while the log, or the way to it, is in trouble, and while something ends that must be
    /// able to commit.
    pub log: Arc<Mutex<()>>,
    /// Held while the store, or the way to it, is in trouble.
    pub store: Arc<Mutex<()>>,
}
