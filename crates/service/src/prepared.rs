//! What a service's `main` hands over: everything that was configured, and how to put it together.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chat4all_eventlog::kafka::KafkaSettings;
use chat4all_eventlog::{EventLog, TopicSpec};
use chat4all_process::descriptors::CallBudget;
use chat4all_process::probe::Probes;
use chat4all_process::{Clock, Failure, Random, Shutdown};
use futures::future::BoxFuture;
use serde_json::{Map, Value};

use crate::waiting::{Trouble, Waiting};

/// Puts a service together once its log is there.
pub type Assemble =
    Box<dyn FnOnce(Context) -> BoxFuture<'static, Result<Assembled, Failure>> + Send>;

/// Runs a service until the order comes, then drains it; the error is for people.
pub type Run = Box<dyn FnOnce(Shutdown) -> BoxFuture<'static, Result<(), String>> + Send>;

/// A service that has been configured, and not started.
pub struct Prepared {
    /// The name in metrics, in logs and at the brokers: `api`.
    pub service: &'static str,
    /// The key of `listen`.
    pub listen_key: String,
    /// Where probes and the service are served.
    pub listen: SocketAddr,
    /// How the log is reached.
    pub kafka: KafkaSettings,
    /// The longest record.
    pub max_record_bytes: usize,
    /// The topics it needs.
    pub topics: Vec<TopicSpec>,
    /// What it waits for beside the log.
    pub dependencies: Vec<&'static str>,
    /// What the start lines and `--check` tell beside the above. No secrets.
    pub facts: Map<String, Value>,
    /// How long draining may take; a few seconds for the last answers and records come on top.
    /// Orchestrators give 30 s for all of it.
    pub drain_limit: Duration,
    /// Remarks for the operator: allowed, and probably not meant.
    pub warnings: Vec<String>,
    /// What the limit of open files must allow; `None` = nothing to speak of.
    pub call_budget: Option<CallBudget>,
    /// See [`Assemble`].
    pub assemble: Assemble,
}

/// What a service is put together from.
pub struct Context {
    /// The log. It has answered, and the service's topics are there.
    pub log: Arc<dyn EventLog>,
    /// The time of day.
    pub clock: Clock,
    /// Random numbers and ids.
    pub random: Random,
    /// /health, /ready and /metrics, without any dependency yet.
    pub probes: Probes,
    /// Triggered when the process begins to stop, whatever the cause.
    pub stopping: Shutdown,
    pub(crate) waiting: Waiting,
}

impl Context {
    /// Tries to reach one of [`Prepared::dependencies`] until it answers.
    ///
    /// # Errors
    /// If it never will.
    pub async fn reach<T, F: Future<Output = Result<T, Trouble>>>(
        &self,
        dependency: &'static str,
        attempt: impl FnMut() -> F,
    ) -> Result<T, Failure> {
        self.waiting.until(dependency, attempt).await
    }
}

/// A service that is ready to run.
pub struct Assembled {
    /// What its port serves, the probes included.
    pub router: axum::Router,
    /// See [`Run`].
    pub run: Run,
}
