//! The order of a start and of a stop, the same for every service.
//!
//! Configuration is checked before anything here. Then: signals, the port, probes; the log, its
//! topics, the service; and back. An order to stop ends the start at once, and drains a running
//! service. A fatal error of the log drains it too, and then the process ends with an error.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chat4all_eventlog::kafka::KafkaLog;
use chat4all_eventlog::{LogError, TopicSpec};
use chat4all_process::probe::Probes;
use chat4all_process::{
    Clock, Failure, Random, Shutdown, descriptors, exit, serve, shutdown, telemetry,
};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::drain::{self, Ends};
use crate::front::Front;
use crate::prepared::{Assemble, Assembled, Context, Prepared};
use crate::say::Said;
use crate::waiting::{Trouble, Waiting};

/// What every service waits for.
const LOG: &str = "log";

/// How long requests that are being answered may take once everything is drained.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// How long the log's clients may take for their last records; they bound themselves below it.
const LAST_RECORDS: Duration = Duration::from_secs(6);

/// Runs a service to its end.
pub(crate) async fn run(prepared: Prepared) -> Result<(), Failure> {
    for warning in &prepared.warnings {
        tracing::warn!("{warning}");
    }
    let open_files = descriptors::raise_limit();
    if let Some(warning) = prepared.call_budget.as_ref().and_then(|it| it.warning(open_files)) {
        tracing::warn!("{warning}");
    }
    let stop = Shutdown::new();
    shutdown::on_stop_signal(stop.clone())
        .map_err(|error| Failure::new(exit::SOFTWARE, format!("signal handlers: {error}")))?;
    let metrics = telemetry::start_metrics()
        .map_err(|error| Failure::new(exit::SOFTWARE, format!("metrics: {error}")))?;
    let log = KafkaLog::new(&prepared.kafka, prepared.service, prepared.max_record_bytes)?;
    let listener = serve::bind(&prepared.listen_key, prepared.listen).await?;
    let at = listener.local_addr().map_err(|error| Failure::new(exit::SOFTWARE, error))?;
    tracing::info!(endpoint = %format_args!("http://{at}"), "answering probes; starting");
    let (random, stopping, stop_serving) = (Random::system(), Shutdown::new(), Shutdown::new());
    let dependencies: Vec<_> = [LOG].into_iter().chain(prepared.dependencies.clone()).collect();
    let waiting = Waiting::new(&dependencies, random.fork());
    let probes = Probes::new(Some(metrics.clone())).ready_until(stopping.clone());
    let front = Front::default();
    let early = waiting.show(probes.clone()).ready_when("service", starting()).router();
    let mut helpers = JoinSet::new();
    helpers.spawn(serve::serve(listener, front.router(early), stop_serving.clone()));
    helpers.spawn(telemetry::keep_metrics_small(metrics, stop_serving.clone()));
    let clock = Clock::system();
    let context =
        Context { log: log.clone(), clock, random, probes, stopping: stopping.clone(), waiting };
    let process = Process { log: log.clone(), front, at, stop, stopping };
    let result = process.start_and_drain(prepared, context).await;
    stop_serving.trigger();
    let answered = async { while helpers.join_next().await.is_some() {} };
    let (answered, flushed) =
        tokio::join!(timeout(LAST_ANSWERS, answered), timeout(LAST_RECORDS, log.close()));
    if answered.is_err() {
        tracing::debug!("connections that stayed open were cut off");
    }
    if flushed.is_err() {
        tracing::warn!("the log's clients did not end in time");
    }
    if result.is_ok() {
        tracing::info!("stopped");
    }
    result
}

/// /ready says no until the service itself answers it.
fn starting() -> chat4all_process::probe::ReadyCheck {
    Arc::new(|| Box::pin(std::future::ready(Err("starting".to_owned()))))
}

/// What a running service is surrounded by.
struct Process {
    log: Arc<KafkaLog>,
    front: Front,
    at: SocketAddr,
    stop: Shutdown,
    stopping: Shutdown,
}

impl Process {
    async fn start_and_drain(self, prepared: Prepared, context: Context) -> Result<(), Failure> {
        let said = Said::started(&prepared).at(self.at);
        let Prepared { topics, assemble, drain_limit, .. } = prepared;
        let started = tokio::select! {
            biased;
            () = self.stop.wait() => {
                self.stopping.trigger();
                return Ok(());
            }
            why = self.log.failed() => return Err(Failure::new(exit::SOFTWARE, why)),
            started = start(context, topics, assemble) => started?,
        };
        let Assembled { router, run } = started;
        self.front.open(router);
        said.print();
        let failed = self.log.failed();
        let ends = Ends { stop: self.stop, failed, stopping: self.stopping, limit: drain_limit };
        drain::run(run, ends).await
    }
}

/// Reaches the log, sees to the topics, and puts the service together.
async fn start(
    context: Context,
    topics: Vec<TopicSpec>,
    assemble: Assemble,
) -> Result<Assembled, Failure> {
    let log = &context.log;
    let ensure = || async {
        log.check().await.map_err(trouble)?;
        log.ensure_topics(topics.clone()).await.map_err(trouble)
    };
    context.reach(LOG, ensure).await?;
    assemble(context).await
}

fn trouble(error: LogError) -> Trouble {
    match error {
        LogError::Unavailable(_) => Trouble::Later(error.to_string()),
        LogError::TopicMismatch { .. } => Trouble::configuration(error),
        LogError::UnknownPartition(_) | LogError::Fatal(_) | LogError::Closed => {
            Trouble::Never(Failure::new(exit::SOFTWARE, error))
        }
    }
}
