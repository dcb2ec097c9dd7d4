//! The platforms of this program, one line each.

use chat4all_connector_kit::platform::{Built, SimulatedBy};
use chat4all_contracts::{PlatformName, PlatformSpec};
use chat4all_process::ConfigError;
use serde_json::Value;

/// Builds a platform's code from its configuration.
pub type Build =
    fn(&PlatformName, &PlatformSpec, &Value, &SimulatedBy) -> Result<Built, ConfigError>;

/// A platform that this program can serve.
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// Its defaults, as TOML.
    pub defaults: &'static str,
    /// Makes its code.
    pub build: Build,
}

macro_rules! entry {
    ($crate_name:ident) => {
        Entry {
            name: $crate_name::NAME,
            defaults: $crate_name::DEFAULTS,
            build: $crate_name::build,
        }
    };
}

/// All of them.
pub const REGISTRY: &[Entry] =
    &[entry!(chat4all_connector_whatsapp), entry!(chat4all_connector_instagram)];
