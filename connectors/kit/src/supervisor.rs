//! The root supervisor of a connector.
//!
//! A publisher, a gateway or a worker that fails is restarted alone: whoever waits for a publisher
//! or a gateway hears that it is gone and comes again, and a worker's partition begins again at its
//! last commit. Intake is restarted together with its workers, because the log hands their
//! partitions out again. Too many restarts end the process with an error: the orchestrator, which
//! sees more, takes over.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chat4all_contracts::AccountName;
use chat4all_eventlog::{Epoch, Producer, TopicPartition};
use chat4all_process::Random;
use chat4all_process::backoff::{Backoff, BackoffPolicy};
use chat4all_process::metric::Metric;
use ractor::{
    Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SpawnErr,
    SupervisionEvent,
};
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::account_desk::{AccountDesk, DeskArgs};
use crate::directory::Directory;
use crate::gateway::{Gateway, GatewayArgs};
use crate::intake::{Intake, IntakeArgs, IntakeMsg};
use crate::partition_worker::{AcksLost, PartitionWorker, WorkerArgs, WorkerDeps, WorkerMsg};
use crate::settings::Source;
use crate::status_publisher::StatusPublisher;
use crate::tasks::EpochTasks;

/// The actor.
pub struct Supervisor;

/// What it is told.
pub enum SupervisorMsg {
    /// Start a worker; the answer is where it is.
    SpawnWorker(Box<WorkerArgs>, RpcReplyPort<Result<ActorRef<WorkerMsg>, SpawnErr>>),
    /// Start a child again after its wait.
    Respawn(Child),
    /// Drain everything and stop.
    Stop,
}

/// The kinds of children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Child {
    /// Owns the subscription.
    Intake,
    /// Owns an account's calls.
    Gateway(AccountName),
    /// Owns the producer.
    Publisher,
    /// Reads operators' orders and says how the accounts are.
    Desk,
    /// Owns a partition.
    Worker(TopicPartition, Epoch),
}

impl Child {
    /// Every [`Child::word`].
    pub const WORDS: [&str; 5] =
        ["intake", "gateway", "status_publisher", "account_desk", "partition_worker"];

    fn word(&self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Gateway(_) => "gateway",
            Self::Publisher => "status_publisher",
            Self::Desk => "account_desk",
            Self::Worker(..) => "partition_worker",
        }
    }
}

/// How an actor ended. Closed: every ending has a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// It was told to stop, or stopped itself although nobody had asked.
    Stopped,
    /// It returned an error.
    Failed,
    /// It panicked.
    Panicked,
    /// It could not be started.
    NotStarted,
}

impl ExitReason {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Stopped, Self::Failed, Self::Panicked, Self::NotStarted];

    /// The word in metrics and logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Panicked => "panicked",
            Self::NotStarted => "not_started",
        }
    }
}

/// Why a connector's end is an error.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Ended {
    /// Too many restarts.
    #[error("the connector gave up: {actor} ended ({exit}), after {limit} restarts in a minute")]
    GaveUp {
        /// The kind of actor that ended last.
        actor: &'static str,
        /// How it ended last.
        exit: &'static str,
        /// The limit.
        limit: usize,
    },
    /// Intake ended while draining: calls that had succeeded may not be committed.
    #[error("the connector did not drain: intake ended ({exit})")]
    DrainFailed {
        /// How it ended.
        exit: &'static str,
    },
}

/// What the supervisor begins with.
pub struct SupervisorArgs {
    /// What workers stand on.
    pub worker: WorkerDeps,
    /// What Intake reads.
    pub source: Source,
    /// What each account's gateway stands on.
    pub gateways: Vec<GatewayArgs>,
    /// What the account desk stands on.
    pub desk: DeskArgs,
    /// The publisher's producer.
    pub producer: Arc<dyn Producer>,
    /// Hears of an end that is an error.
    pub ended: oneshot::Sender<Ended>,
}

/// See the module.
pub struct SupervisorState {
    worker: WorkerDeps,
    source: Source,
    gateways: BTreeMap<AccountName, GatewayArgs>,
    desk: DeskArgs,
    producer: Arc<dyn Producer>,
    directory: Arc<Directory>,
    children: BTreeMap<ActorId, (Child, ActorCell)>,
    /// The tasks of each worker's epoch, to be reaped if Intake cannot do it.
    epochs: BTreeMap<ActorId, EpochTasks>,
    intake: Option<ActorRef<IntakeMsg>>,
    restarts: Restarts,
    stopping: bool,
    ended: Option<oneshot::Sender<Ended>>,
}

/// At most this many restarts within [`Restarts::WINDOW`].
struct Restarts {
    recent: VecDeque<Instant>,
    backoff: Backoff,
}

impl Restarts {
    const LIMIT: usize = 10;
    const WINDOW: Duration = Duration::from_secs(60);

    fn new(random: Random) -> Self {
        let policy = BackoffPolicy::new(Duration::from_millis(50), Duration::from_secs(5));
        Self { recent: VecDeque::new(), backoff: Backoff::new(policy, random) }
    }

    /// How long to wait before the restart; `None` if there were too many.
    fn admit(&mut self, now: Instant) -> Option<Duration> {
        while self.recent.front().is_some_and(|at| now.duration_since(*at) > Self::WINDOW) {
            self.recent.pop_front();
        }
        if self.recent.is_empty() {
            self.backoff.reset();
        }
        self.recent.push_back(now);
        (self.recent.len() <= Self::LIMIT).then(|| self.backoff.next_half_jittered())
    }
}

impl Actor for Supervisor {
    type Msg = SupervisorMsg;
    type State = SupervisorState;
    type Arguments = SupervisorArgs;

    async fn pre_start(
        &self,
        _: ActorRef<SupervisorMsg>,
        args: SupervisorArgs,
    ) -> Result<SupervisorState, ActorProcessingErr> {
        let gateways = args.gateways.into_iter().map(|args| (args.account.clone(), args)).collect();
        Ok(SupervisorState {
            directory: args.worker.directory.clone(),
            restarts: Restarts::new(args.worker.random.clone()),
            worker: args.worker,
            source: args.source,
            gateways,
            desk: args.desk,
            producer: args.producer,
            children: BTreeMap::new(),
            epochs: BTreeMap::new(),
            intake: None,
            stopping: false,
            ended: Some(args.ended),
        })
    }

    async fn post_start(
        &self,
        myself: ActorRef<SupervisorMsg>,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        let accounts: Vec<_> = state.gateways.keys().cloned().map(Child::Gateway).collect();
        for child in
            [Child::Publisher].into_iter().chain(accounts).chain([Child::Desk, Child::Intake])
        {
            state.spawn(child, &myself).await?;
        }
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<SupervisorMsg>,
        message: SupervisorMsg,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SupervisorMsg::SpawnWorker(args, reply) => {
                let _intake_gone = reply.send(state.spawn_worker(*args, &myself).await);
                Ok(())
            }
            SupervisorMsg::Respawn(child) if state.stopping && child != Child::Publisher => Ok(()),
            SupervisorMsg::Respawn(child) => state.spawn(child, &myself).await,
            SupervisorMsg::Stop => state.stop(&myself).await,
        }
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<SupervisorMsg>,
        event: SupervisionEvent,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(who, _, _) => {
                state.ended(&who, ExitReason::Stopped, &myself).await
            }
            SupervisionEvent::ActorFailed(who, error) => {
                let exit = exit_reason(&error);
                // A panic's text may quote what it failed on.
                let why =
                    if exit == ExitReason::Panicked { String::new() } else { error.to_string() };
                tracing::error!(exit = exit.word(), why, "an actor failed");
                state.ended(&who, exit, &myself).await
            }
            _ => Ok(()),
        }
    }
}

/// Errors that our actors return are of our types; a panic arrives as plain text.
fn exit_reason(error: &ActorProcessingErr) -> ExitReason {
    let ours = error.is::<chat4all_eventlog::LogError>()
        || error.is::<AcksLost>()
        || error.is::<SpawnErr>()
        || error.is::<ractor::RactorErr<SupervisorMsg>>();
    if ours { ExitReason::Failed } else { ExitReason::Panicked }
}

impl SupervisorState {
    async fn spawn(
        &mut self,
        child: Child,
        myself: &ActorRef<SupervisorMsg>,
    ) -> Result<(), ActorProcessingErr> {
        let started = match &child {
            Child::Publisher => {
                let args = self.producer.clone();
                Actor::spawn_linked(None, StatusPublisher, args, myself.get_cell()).await.map(
                    |(publisher, _)| {
                        self.directory.set_publisher(publisher.clone());
                        publisher.get_cell()
                    },
                )
            }
            Child::Gateway(account) => {
                let Some(args) = self.gateways.get(account).cloned() else { return Ok(()) };
                Actor::spawn_linked(None, Gateway, args, myself.get_cell()).await.map(
                    |(gateway, _)| {
                        self.directory.set_gateway(account.clone(), gateway.clone());
                        gateway.get_cell()
                    },
                )
            }
            Child::Desk => {
                let args = self.desk.clone();
                let spawned = Actor::spawn_linked(None, AccountDesk, args, myself.get_cell()).await;
                spawned.map(|(desk, _)| desk.get_cell())
            }
            Child::Intake => {
                let (worker, source) = (self.worker.clone(), self.source.clone());
                let args = IntakeArgs { worker, supervisor: myself.clone(), source };
                Actor::spawn_linked(None, Intake, args, myself.get_cell()).await.map(
                    |(intake, _)| {
                        self.intake = Some(intake.clone());
                        intake.get_cell()
                    },
                )
            }
            // Workers are started by Intake's request, for an assignment.
            Child::Worker(at, epoch) => {
                self.tell_intake(IntakeMsg::WorkerLost(at.clone(), *epoch));
                return Ok(());
            }
        };
        match started {
            Ok(cell) => {
                self.children.insert(cell.get_id(), (child, cell));
                Ok(())
            }
            Err(error) => {
                tracing::error!(actor = child.word(), %error, "an actor could not be started");
                self.restart(child, ExitReason::NotStarted, myself)
            }
        }
    }

    async fn spawn_worker(
        &mut self,
        args: WorkerArgs,
        myself: &ActorRef<SupervisorMsg>,
    ) -> Result<ActorRef<WorkerMsg>, SpawnErr> {
        let child = Child::Worker(args.assignment.at.clone(), args.assignment.epoch);
        let tasks = args.tasks.clone();
        let spawned = Actor::spawn_linked(None, PartitionWorker, args, myself.get_cell()).await;
        let (worker, _) = spawned?;
        self.epochs.retain(|_, tasks| !tasks.is_reaped());
        self.epochs.insert(worker.get_id(), tasks);
        self.children.insert(worker.get_id(), (child, worker.get_cell()));
        Ok(worker)
    }

    async fn ended(
        &mut self,
        who: &ActorCell,
        exit: ExitReason,
        myself: &ActorRef<SupervisorMsg>,
    ) -> Result<(), ActorProcessingErr> {
        let Some((child, _)) = self.children.remove(&who.get_id()) else { return Ok(()) };
        if let Some(tasks) = self.epochs.get(&who.get_id()) {
            // Nothing more starts for a worker that is gone; its successor does it again.
            tasks.drain();
        }
        if self.stopping {
            return self.ended_while_stopping(child, exit, myself).await;
        }
        match &child {
            // A worker ends in peace when its partition goes away.
            Child::Worker(..) if exit == ExitReason::Stopped => Ok(()),
            Child::Intake => {
                // Its workers are without a source and would hold their lanes for ever.
                self.stop_workers().await;
                self.restart(child, exit, myself)
            }
            Child::Gateway(_) | Child::Publisher | Child::Desk | Child::Worker(..) => {
                self.restart(child, exit, myself)
            }
        }
    }

    /// Draining needs Intake, which commits, and a publisher; the others are not replaced.
    async fn ended_while_stopping(
        &mut self,
        child: Child,
        exit: ExitReason,
        myself: &ActorRef<SupervisorMsg>,
    ) -> Result<(), ActorProcessingErr> {
        match child {
            Child::Intake => {
                if exit != ExitReason::Stopped {
                    self.tell_end(Ended::DrainFailed { exit: exit.word() });
                }
                self.stop_the_rest(myself).await;
                Ok(())
            }
            Child::Publisher => self.restart(child, exit, myself),
            Child::Worker(at, epoch) if exit != ExitReason::Stopped => {
                self.tell_intake(IntakeMsg::WorkerLost(at, epoch));
                Ok(())
            }
            Child::Worker(..) | Child::Gateway(_) | Child::Desk => Ok(()),
        }
    }

    fn tell_end(&mut self, ended: Ended) {
        if let Some(listener) = self.ended.take() {
            let _nobody_listens = listener.send(ended);
        }
    }

    /// Counts an ending; too many are the end.
    fn count(&mut self, child: &Child, exit: ExitReason) -> Result<Duration, ActorProcessingErr> {
        Metric::ActorRestarts.count(self.worker.service, &[child.word(), exit.word()]);
        self.restarts.admit(Instant::now()).ok_or_else(|| {
            let limit = Restarts::LIMIT;
            let gave_up = Ended::GaveUp { actor: child.word(), exit: exit.word(), limit };
            self.tell_end(gave_up.clone());
            gave_up.into()
        })
    }

    fn restart(
        &mut self,
        child: Child,
        exit: ExitReason,
        myself: &ActorRef<SupervisorMsg>,
    ) -> Result<(), ActorProcessingErr> {
        let wait = self.count(&child, exit)?;
        tracing::warn!(actor = child.word(), exit = exit.word(), ?wait, "restarting an actor");
        drop(myself.send_after(wait, move || SupervisorMsg::Respawn(child)));
        Ok(())
    }

    fn tell_intake(&self, message: IntakeMsg) {
        if let Some(intake) = &self.intake {
            // An Intake that is gone begins with every partition anew.
            let _gone = intake.send_message(message);
        }
    }

    async fn stop_workers(&mut self) {
        let is_worker = |child: &Child| matches!(child, Child::Worker(..));
        let workers: Vec<ActorCell> = self
            .children
            .values()
            .filter(|(child, _)| is_worker(child))
            .map(|(_, cell)| cell.clone())
            .collect();
        self.children.retain(|_, (child, _)| !is_worker(child));
        let epochs = std::mem::take(&mut self.epochs);
        epochs.values().for_each(EpochTasks::drain);
        for tasks in epochs.into_values() {
            tasks.reap().await;
        }
        for worker in workers {
            stop_and_wait(&worker).await;
        }
    }

    async fn stop(&mut self, myself: &ActorRef<SupervisorMsg>) -> Result<(), ActorProcessingErr> {
        self.stopping = true;
        let intake_runs = self.children.values().any(|(child, _)| *child == Child::Intake);
        if intake_runs {
            self.tell_intake(IntakeMsg::Stop);
        } else {
            self.stop_the_rest(myself).await;
        }
        Ok(())
    }

    /// In order, because a parent that stops would kill its children in the middle of a message.
    async fn stop_the_rest(&mut self, myself: &ActorRef<SupervisorMsg>) {
        self.stop_workers().await;
        let children = std::mem::take(&mut self.children);
        // The desk says how everything was left, with the help of the others.
        for (_, cell) in children.values().filter(|(child, _)| *child == Child::Desk) {
            stop_and_wait(cell).await;
        }
        for (_, cell) in children.into_values() {
            stop_and_wait(&cell).await;
        }
        myself.stop(None);
    }
}

async fn stop_and_wait(actor: &ActorCell) {
    // An error means that it has ended already.
    let _ended = actor.stop_and_wait(None, Some(Duration::from_secs(5))).await;
}
