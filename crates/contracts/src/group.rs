//! The names of the consumer groups. Their committed offsets tell how far each stage of a message's
//! way is.

use crate::id::PlatformName;

/// Reads `messages` and routes them.
pub const ROUTER: &str = "chat4all-router";
/// Reads what the store is made of.
pub const STATUS_CONSUMER: &str = "chat4all-status-consumer";

/// Reads a platform's outbound topic and delivers, unless its connector is configured otherwise.
pub fn connector(platform: &PlatformName) -> String {
    format!("{platform}-connector-group")
}
