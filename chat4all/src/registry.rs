//! The platforms of this program, one line each.

use chat4all_connector_kit::platform::Entry;

/// All of them.
pub const REGISTRY: &[Entry] =
    &[chat4all_connector_whatsapp::ENTRY, chat4all_connector_instagram::ENTRY];
