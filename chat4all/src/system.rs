//! The services, put together on one log and one store, and run as one.

use std::net::SocketAddr;
use std::sync::Arc;

use chat4all_api::{Api, ApiDeps};
use chat4all_connector_kit::{Connector, ConnectorDeps, ConnectorError};
use chat4all_eventlog::{EventLog, LogError};
use chat4all_process::http_client::HttpPort;
use chat4all_process::probe::Probes;
use chat4all_process::{Clock, Random, Shutdown};
use chat4all_router::{RouterDeps, RouterService};
use chat4all_status_consumer::{StatusConsumer, StatusConsumerDeps};
use chat4all_store::MessageStore;
use futures::FutureExt;
use futures::future::BoxFuture;
use metrics_exporter_prometheus::PrometheusHandle;
use thiserror::Error;
use tokio::task::JoinSet;

use crate::installation::{Installation, Served};

/// What a system stands on.
#[derive(Clone)]
pub struct Parts {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The store.
    pub store: Arc<dyn MessageStore>,
    /// Calls the platforms.
    pub http: Arc<dyn HttpPort>,
    /// The time of day.
    pub clock: Clock,
    /// Random numbers and ids.
    pub random: Random,
    /// Which process this is, for people.
    pub instance: String,
    /// The registry of metrics; `None` in simulation.
    pub metrics: Option<PrometheusHandle>,
    /// Triggered when the system begins to stop, whatever the cause.
    pub stopping: Shutdown,
}

/// Something that listens.
pub struct Endpoint {
    /// The service's name.
    pub service: String,
    /// The configuration key of its address.
    pub key: String,
    /// Its address.
    pub listen: SocketAddr,
    /// What it serves.
    pub router: axum::Router,
}

/// A service that runs until it is told to stop.
struct Service {
    name: String,
    run: Box<dyn FnOnce(Shutdown) -> BoxFuture<'static, Result<(), ServiceError>> + Send>,
}

/// Why a service ended by itself.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ServiceError {
    /// The log cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The connector gave up.
    #[error(transparent)]
    Connector(#[from] ConnectorError),
    /// It panicked.
    #[error("it panicked")]
    Panicked,
}

/// A service ended although nobody had asked; the process should end too.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{service} ended: {error}")]
pub struct SystemError {
    /// Which service.
    pub service: String,
    /// Why.
    pub error: ServiceError,
}

/// All services, not yet running.
pub struct System {
    /// Everything that listens, the API first.
    pub endpoints: Vec<Endpoint>,
    router: Service,
    connectors: Vec<Service>,
    status_consumer: Service,
    api: Service,
    stopping: Shutdown,
}

impl System {
    /// Makes the topics and puts the services together.
    ///
    /// # Errors
    /// If the log is away or a topic does not fit.
    pub async fn assemble(installation: &Installation, parts: &Parts) -> Result<Self, LogError> {
        installation.topology.ensure(&*parts.log, &installation.platforms).await?;
        let stopping = parts.stopping.clone();
        let probes = || Probes::new(parts.metrics.clone()).ready_until(stopping.clone());
        let settings = &installation.settings;
        let (api, http) = api(installation, parts, probes());
        let mut endpoints = vec![http];
        let (router, http) = router(installation, parts, probes());
        endpoints.push(endpoint("router", "router.listen", settings.router.listen, http));
        let mut connectors = Vec::new();
        for (name, served) in &installation.served {
            let connector = connector(served, installation, parts);
            let key = format!("connectors.{name}.listen");
            let http = connector.http(probes());
            endpoints.push(endpoint(name.as_str(), &key, served.listen, http));
            let run = |shutdown| connector.run(shutdown).map(|end| Ok(end?)).boxed();
            connectors.push(Service { name: name.to_string(), run: Box::new(run) });
        }
        let (status_consumer, http) = status_consumer(installation, parts, probes());
        let listen = settings.status_consumer.listen;
        endpoints.push(endpoint("status-consumer", "status_consumer.listen", listen, http));
        Ok(Self { endpoints, router, connectors, status_consumer, api, stopping })
    }

    /// Runs everything until `shutdown`, then stops in the order of a message's way, so that what
    /// one service still finishes the next one still takes.
    ///
    /// # Errors
    /// The first service that ended by itself; the others are stopped in order then, too.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), SystemError> {
        let stages = [vec![self.router], self.connectors, vec![self.status_consumer, self.api]];
        let failed = Shutdown::new();
        let mut running: Vec<(Shutdown, JoinSet<Result<(), SystemError>>)> = Vec::new();
        for stage in stages {
            let stop = Shutdown::new();
            let mut tasks = JoinSet::new();
            for service in stage {
                tasks.spawn(watch(service, stop.clone(), failed.clone()));
            }
            running.push((stop, tasks));
        }
        tokio::select! {
            biased;
            () = shutdown.wait() => {}
            () = failed.wait() => {}
        }
        self.stopping.trigger();
        let mut result = Ok(());
        for (stop, mut tasks) in running {
            stop.trigger();
            while let Some(ended) = tasks.join_next().await {
                // A task is never aborted here, so an error to join is a panic in `watch` itself.
                let ended = ended.unwrap_or_else(|_| {
                    let service = "a service".to_owned();
                    Err(SystemError { service, error: ServiceError::Panicked })
                });
                result = result.and(ended);
            }
        }
        result
    }
}

/// Runs a service, tells the others if it ends early, and turns a panic into an error.
async fn watch(service: Service, stop: Shutdown, failed: Shutdown) -> Result<(), SystemError> {
    let Service { name, run } = service;
    let ended = std::panic::AssertUnwindSafe(run(stop)).catch_unwind().await;
    let result = ended.unwrap_or(Err(ServiceError::Panicked));
    if let Err(error) = &result {
        tracing::error!(service = name, %error, "a service ended");
        failed.trigger();
    }
    result.map_err(|error| SystemError { service: name, error })
}

/// One platform's connector. A second one shares the platform's partitions with the first.
pub fn connector(served: &Served, installation: &Installation, parts: &Parts) -> Connector {
    let deps = ConnectorDeps {
        log: parts.log.clone(),
        topology: installation.topology,
        http: parts.http.clone(),
        clock: parts.clock.clone(),
        random: parts.random.fork(),
        platform: served.platform.clone(),
        spec: served.spec.clone(),
        per_second: served.per_second.clone(),
        source: served.source.clone(),
        owner: parts.instance.clone(),
    };
    Connector::new(deps, served.policy.clone())
}

fn endpoint(service: &str, key: &str, listen: SocketAddr, router: axum::Router) -> Endpoint {
    Endpoint { service: service.to_owned(), key: key.to_owned(), listen, router }
}

fn api(installation: &Installation, parts: &Parts, probes: Probes) -> (Service, Endpoint) {
    let deps = ApiDeps {
        log: parts.log.clone(),
        store: parts.store.clone(),
        platforms: installation.platforms.clone(),
        simulated: installation.simulated.clone(),
        clock: parts.clock.clone(),
        random: parts.random.fork(),
        probes,
        messages_partitions: installation.topology.messages,
        stopping: parts.stopping.clone(),
    };
    let settings = installation.settings.api.clone();
    let listen = settings.listen;
    let api = Api::new(deps, settings);
    let endpoint = endpoint("api", "api.listen", listen, api.router());
    let run = |shutdown| api.run(shutdown).map(Ok).boxed();
    (Service { name: "api".to_owned(), run: Box::new(run) }, endpoint)
}

fn router(installation: &Installation, parts: &Parts, probes: Probes) -> (Service, axum::Router) {
    let deps = RouterDeps {
        log: parts.log.clone(),
        platforms: installation.platforms.clone(),
        topology: installation.topology,
        clock: parts.clock.clone(),
        random: parts.random.fork(),
    };
    let router = RouterService::new(deps, installation.settings.router.clone());
    let http = router.http(probes);
    let run = |shutdown| router.run(shutdown).map(|end| Ok(end?)).boxed();
    (Service { name: "router".to_owned(), run: Box::new(run) }, http)
}

fn status_consumer(
    installation: &Installation,
    parts: &Parts,
    probes: Probes,
) -> (Service, axum::Router) {
    let deps = StatusConsumerDeps {
        log: parts.log.clone(),
        store: parts.store.clone(),
        platforms: installation.platforms.clone(),
        clock: parts.clock.clone(),
        random: parts.random.fork(),
    };
    let settings = installation.settings.status_consumer.clone();
    let consumer = StatusConsumer::new(deps, settings);
    let http = consumer.http(probes);
    let run = |shutdown| consumer.run(shutdown).map(|end| Ok(end?)).boxed();
    (Service { name: "status-consumer".to_owned(), run: Box::new(run) }, http)
}
