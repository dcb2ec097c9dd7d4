//! HTTP in: accepts a message, appends it to the log, answers; tells what became of it.
//!
//! [`Api::router`] answers, and [`Api::run`] follows what is said of the accounts. Nothing is spawned,
//! so a simulation calls both directly. It knows no platform but by its data ([`Platforms`]) and talks
//! to log and store through their ports. The way of a message: `send_request` validates it,
//! `idempotency` decides which message it means, `send` appends and projects it, `query` finds it
//! again. Operators' commands are in `accounts`.

mod accounts;
mod body;
mod cursor;
mod deadline;
mod error_code;
mod http_metrics;
mod id_time;
mod idempotency;
mod letters;
mod open;
mod openapi;
mod pages;
mod problem;
mod query;
mod send;
mod send_request;
mod settings;
mod shared;
mod traceparent;
mod unprojected;
mod uri;
mod view;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use chat4all_contracts::{PlatformName, Platforms};
use chat4all_eventlog::{Admission, EventLog, Feed, Patience, ProducerOptions, topology};
use chat4all_process::probe::Probes;
use chat4all_process::{Clock, Random, Shutdown};
use chat4all_store::{MessageStore, Tenant};
use tokio::sync::Semaphore;

pub use body::MAX_BODY_BYTES;
pub use error_code::ErrorCode;
pub use idempotency::CLAIM_LIFETIME;
pub use query::MAX_PAGE;
pub use send_request::{MAX_CONTENT_BYTES, MAX_LIFETIME_S};
pub use settings::ApiSettings;

use accounts::Accounts;
use shared::Shared;
use unprojected::Unprojected;

/// What the API works with.
pub struct ApiDeps {
    /// The log. Its topics `messages` and `accounts` must exist.
    pub log: Arc<dyn EventLog>,
    /// The store.
    pub store: Arc<dyn MessageStore>,
    /// The platforms of this installation.
    pub platforms: Arc<Platforms>,
    /// Those for which a simulator stands in.
    pub simulated: BTreeSet<PlatformName>,
    /// The time of day.
    pub clock: Clock,
    /// The source of message ids.
    pub random: Random,
    /// /health and /metrics; the checks of log and store are added to /ready.
    pub probes: Probes,
    /// The partition count of `messages`, at least 1.
    pub messages_partitions: u32,
    /// From this order on nothing new is accepted; questions are still answered.
    pub stopping: Shutdown,
}

/// The API service.
pub struct Api {
    shared: Arc<Shared>,
    probes: Probes,
    feed: Feed,
}

impl Api {
    /// Puts the service together.
    pub fn new(deps: ApiDeps, settings: ApiSettings) -> Self {
        http_metrics::announce(&deps.platforms, deps.clock.now());
        // To pause an account is most urgent when room is scarce.
        let commands = deps.log.producer(ProducerOptions {
            patience: Patience::GiveUpAfter(settings.append_timeout_ms.ms()),
            admission: Admission::Progress,
        });
        let producer = deps.log.producer(ProducerOptions {
            patience: Patience::GiveUpAfter(settings.append_timeout_ms.ms()),
            admission: Admission::NewWork,
        });
        let feed = Feed::new(deps.log.clone(), topology::accounts(), deps.random.fork());
        let probes = deps
            .probes
            .ready_when("log", chat4all_eventlog::ready_check(deps.log.clone()))
            .ready_when("store", chat4all_store::ready_check(deps.store.clone()));
        let shared = Shared {
            producer,
            commands,
            accounts: Accounts::default(),
            log: deps.log.clone(),
            store: deps.store,
            tenant: Tenant::default(),
            platforms: deps.platforms,
            simulated: deps.simulated,
            clock: deps.clock,
            random: deps.random,
            messages_partitions: deps.messages_partitions,
            stopping: deps.stopping,
            unprojected: Unprojected::new(settings.max_unprojected.count()),
            in_flight: Semaphore::new(settings.max_in_flight.count()),
            // Strings and numbers only: the encoder has no failing case here.
            openapi: openapi::document().unwrap_or_default().into(),
            settings,
        };
        Self { shared: Arc::new(shared), probes, feed }
    }

    /// Follows what is said of the accounts until `shutdown`. Until it has begun, the API answers
    /// 503 to questions about accounts, and serves everything else.
    pub async fn run(self, shutdown: Shutdown) {
        accounts::follow(self.feed, &self.shared.accounts, &shutdown).await;
    }

    /// Every route, the probes included.
    pub fn router(&self) -> Router {
        let messages = Router::new()
            .route("/v1/messages", post(send::send_message))
            .route("/v1/messages/{message_id}", get(query::get_message))
            .route("/v1/conversations/{conversation_id}/messages", get(query::list_messages))
            .route("/v1/accounts", get(accounts::list_accounts))
            .route("/v1/accounts/{platform}/{account}/pause", post(accounts::pause))
            .route("/v1/accounts/{platform}/{account}/resume", post(accounts::resume))
            .route("/v1/accounts/{platform}/{account}/close-breaker", post(accounts::close_breaker))
            .route_layer(from_fn_with_state(self.shared.clone(), pages::bounded));
        let operators = Router::new()
            .route("/v1/open", get(open::list_open))
            .route("/v1/dead-letters", get(letters::list_dead_letters))
            .route("/v1/dead-letters/{letter_id}", get(letters::get_dead_letter))
            .route("/v1/dead-letters/redrive", post(letters::redrive_dead_letters))
            .route("/v1/dead-letters/discard", post(letters::discard_dead_letters))
            .route("/v1/audit", get(letters::list_audit))
            .route_layer(from_fn_with_state(self.shared.clone(), pages::bounded));
        Router::new()
            .merge(messages)
            .merge(operators)
            .route("/openapi.json", get(pages::openapi))
            .route("/errors/{code}", get(pages::error_page))
            .with_state(self.shared.clone())
            .merge(self.probes.clone().router())
            .fallback(pages::not_found)
            .method_not_allowed_fallback(pages::method_not_allowed)
            .layer(from_fn(http_metrics::track))
    }
}
