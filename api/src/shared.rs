//! What every handler works with. Cheap to share; holds no request's data but the ids of
//! [`Unprojected`].

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Bytes;
use chat4all_contracts::{MessageId, PlatformName, Platforms};
use chat4all_eventlog::{EventLog, Producer};
use chat4all_process::{Clock, Random, Shutdown};
use chat4all_store::{MessageStore, StoreError, Tenant};
use tokio::sync::Semaphore;

use crate::accounts::Accounts;
use crate::error_code::ErrorCode;
use crate::problem::Problem;
use crate::settings::ApiSettings;
use crate::unprojected::Unprojected;

/// The value of the metrics' label `service`.
pub(crate) const SERVICE: &str = "api";

/// The state of the API.
pub(crate) struct Shared {
    pub producer: Arc<dyn Producer>,
    /// For operators' commands.
    pub commands: Arc<dyn Producer>,
    pub accounts: Accounts,
    /// For what is not handled yet.
    pub log: Arc<dyn EventLog>,
    pub store: Arc<dyn MessageStore>,
    pub tenant: Tenant,
    pub platforms: Arc<Platforms>,
    pub simulated: BTreeSet<PlatformName>,
    pub clock: Clock,
    pub random: Random,
    pub messages_partitions: u32,
    pub stopping: Shutdown,
    pub settings: ApiSettings,
    pub unprojected: Unprojected,
    pub in_flight: Semaphore,
    pub openapi: Bytes,
}

impl Shared {
    /// What a client hears when the store did not answer a question that had to be answered.
    pub fn store_problem(&self, error: &StoreError, about: Option<&MessageId>) -> Problem {
        let code = match error {
            StoreError::Unavailable(_) => ErrorCode::StoreUnavailable,
            StoreError::Unreadable(_) => ErrorCode::Internal,
        };
        let message_id = about.map_or("", MessageId::as_str);
        tracing::warn!(message_id, %error, "a request needed the store");
        let problem = Problem::of(code);
        about.into_iter().fold(problem, |problem, id| problem.about(id))
    }
}
