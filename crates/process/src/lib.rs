//! What each process of the system needs once.
//!
//! Nothing here knows a topic, a platform or a store. Time, random numbers and ids come from
//! [`clock`] and [`random`] only, so that a whole system under a paused clock repeats from a seed.

pub mod backoff;
pub mod clock;
pub mod config;
pub mod data_folder;
pub mod descriptors;
pub mod exit;
pub mod health;
pub mod http_client;
pub mod instance;
pub mod metric;
pub mod probe;
pub mod random;
pub mod serve;
pub mod shutdown;
pub mod telemetry;

pub use clock::Clock;
pub use config::ConfigError;
pub use exit::Failure;
pub use random::Random;
pub use shutdown::Shutdown;
