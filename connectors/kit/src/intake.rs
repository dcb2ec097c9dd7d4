//! Intake: owns the subscription, and alone commits.
//!
//! A companion task asks the consumer for events and hands each over with a call, so at most one
//! waits here. Records go to the partition's worker; a partition whose window is full is paused.

mod commits;
mod letting_go;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chat4all_contracts::EpochMs;
use chat4all_eventlog::group_gauges::GroupGauges;
use chat4all_eventlog::{
    Assignment, Consumer, ConsumerEvent, Epoch, LogError, Record, RevokeAck, Subscription,
    TopicPartition,
};
use chat4all_process::Random;
use chat4all_process::backoff::{Backoff, BackoffPolicy};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use letting_go::patience_of_group;

use crate::partition_worker::{WorkerArgs, WorkerDeps, WorkerMsg};
use crate::poison::{PoisonWatch, Suspect};
use crate::settings::Source;
use crate::supervisor::SupervisorMsg;
use crate::tasks::EpochTasks;

/// The actor.
pub struct Intake;

/// What it is told.
pub enum IntakeMsg {
    /// The consumer's next event; answered when it has been dealt with.
    Event(ConsumerEvent, RpcReplyPort<()>),
    /// The consumer cannot be used any more.
    ConsumerFailed(LogError),
    /// Time to commit.
    Tick,
    /// Many records are done: time to commit before the next tick.
    Early,
    /// How far a worker is.
    Progress(Progress),
    /// Records have left a worker's memory.
    Released {
        /// The partition.
        at: TopicPartition,
        /// Its epoch.
        epoch: Epoch,
        /// How many.
        released: usize,
        /// How many are done: they leave it with all before them.
        done: usize,
        /// How many bytes, of these or of others that are done.
        bytes: usize,
    },
    /// The time for letting go of partitions is over.
    RevokeDeadline(u64),
    /// A worker is gone; its partition begins again at the last commit.
    WorkerLost(TopicPartition, Epoch),
    /// A worker has stopped before a record that killed its predecessors.
    Poisoned {
        /// The partition.
        at: TopicPartition,
        /// Its epoch.
        epoch: Epoch,
        /// The record.
        offset: u64,
    },
    /// Drain, commit, leave the group, stop.
    Stop,
    /// The time for draining is over.
    StopDeadline,
}

/// How far a worker is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The partition.
    pub at: TopicPartition,
    /// Its epoch.
    pub epoch: Epoch,
    /// The offset to commit.
    pub position: u64,
    /// The note to commit.
    pub note: String,
    /// When the first record that is not done was written.
    pub oldest: Option<EpochMs>,
    /// Whether it was told to drain and nothing is under way any more.
    pub drained: bool,
}

/// What Intake stands on.
#[derive(Clone)]
pub struct IntakeArgs {
    /// What its workers stand on.
    pub worker: WorkerDeps,
    /// Who starts workers.
    pub supervisor: ActorRef<SupervisorMsg>,
    /// What it reads.
    pub source: Source,
}

struct Partition {
    epoch: Epoch,
    worker: ActorRef<WorkerMsg>,
    tasks: EpochTasks,
    in_hand: usize,
    bytes: usize,
    oldest: Option<EpochMs>,
    paused: bool,
    suspect: Suspect,
    poisoned: bool,
    reported: (u64, String),
    committed: (u64, String),
    drained: bool,
}

struct Revoking {
    number: u64,
    partitions: Vec<(TopicPartition, Epoch)>,
    ack: RevokeAck,
}

/// See the module.
pub struct IntakeState {
    args: IntakeArgs,
    consumer: Arc<dyn Consumer>,
    /// Ends with this state.
    _pump: AbortOnDropHandle<()>,
    partitions: BTreeMap<TopicPartition, Partition>,
    gauges: GroupGauges,
    poison: PoisonWatch,
    revoking: Vec<Revoking>,
    revocations: u64,
    /// When the last tick had been dealt with.
    ticked: Option<Instant>,
    /// When reports were last asked for, or committed.
    asked: Option<Instant>,
    /// How many records are done since they were asked for.
    done_since: usize,
    /// Whether [`IntakeMsg::Early`] is on its way.
    is_early: bool,
    /// The workers that have not yet reported.
    awaited: usize,
    stopping: bool,
}

/// How Intake is called in /health.
const INTAKE: &str = "intake";

/// How a partition's worker is called there.
fn worker_name(at: &TopicPartition) -> String {
    format!("the worker of {at}")
}

/// How often the last commit before leaving is tried: what it does not store is done again.
const LAST_COMMIT_TRIES: usize = 10;

impl Actor for Intake {
    type Msg = IntakeMsg;
    type State = IntakeState;
    type Arguments = IntakeArgs;

    async fn pre_start(
        &self,
        myself: ActorRef<IntakeMsg>,
        args: IntakeArgs,
    ) -> Result<IntakeState, ActorProcessingErr> {
        let settings = &args.worker.settings;
        let Source { topic, group } = args.source.clone();
        let gauges = GroupGauges::new(args.worker.service, &group, [topic.as_str()]);
        let consumer = args
            .worker
            .log
            .subscribe(Subscription {
                group,
                topics: vec![topic],
                max_batch: 500.min(settings.window.count()),
                revoke_deadline: patience_of_group(settings.revoke_deadline_ms.ms()),
            })
            .await?;
        args.worker.steering.disown_all();
        args.worker.lease.begin(consumer.lease(), settings.call_timeout_ms.ms())?;
        let pump = AbortOnDropHandle::new(tokio::spawn(pump(
            consumer.clone(),
            myself.clone(),
            args.worker.random.fork(),
        )));
        drop(myself.send_interval(settings.commit_interval_ms.ms(), || IntakeMsg::Tick));
        Ok(IntakeState {
            args,
            consumer,
            _pump: pump,
            partitions: BTreeMap::new(),
            gauges,
            poison: PoisonWatch::default(),
            revoking: Vec::new(),
            revocations: 0,
            ticked: None,
            asked: None,
            done_since: 0,
            is_early: false,
            awaited: 0,
            stopping: false,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<IntakeMsg>,
        message: IntakeMsg,
        state: &mut IntakeState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            IntakeMsg::Event(event, reply) => {
                state.on_event(event, &myself).await?;
                let _pump_ended = reply.send(());
            }
            IntakeMsg::ConsumerFailed(error) => return Err(error.into()),
            IntakeMsg::Tick => state.tick().await?,
            IntakeMsg::Early => state.early(),
            IntakeMsg::Progress(progress) => state.progress(progress, &myself).await?,
            IntakeMsg::Released { at, epoch, released, done, bytes } => {
                state.released(&at, epoch, released, bytes);
                state.done(done, &myself);
            }
            IntakeMsg::RevokeDeadline(number) => {
                state.finish_revocation(number).await?;
                state.leave_if_drained(&myself).await?;
            }
            IntakeMsg::WorkerLost(at, epoch) => {
                state.restart(&at, epoch).await;
                state.leave_if_drained(&myself).await?;
            }
            IntakeMsg::Poisoned { at, epoch, offset } => state.poisoned(&at, epoch, offset),
            IntakeMsg::Stop => state.stop(&myself).await?,
            IntakeMsg::StopDeadline => state.leave(&myself).await?,
        }
        Ok(())
    }
}

/// How long a log that cannot be read is waited for.
const READ_RETRY: BackoffPolicy =
    BackoffPolicy::new(Duration::from_millis(100), Duration::from_secs(5));

/// Asks for events, one at a time. Ends with Intake, or with the consumer.
async fn pump(consumer: Arc<dyn Consumer>, intake: ActorRef<IntakeMsg>, random: Random) {
    let mut backoff = Backoff::new(READ_RETRY, random);
    loop {
        match consumer.next().await {
            Ok(event) => {
                backoff.reset();
                if ractor::call!(intake, IntakeMsg::Event, event).is_err() {
                    return;
                }
            }
            Err(LogError::Unavailable(why)) => {
                tracing::warn!(why, "cannot read from the log yet");
                tokio::time::sleep(backoff.next_half_jittered()).await;
            }
            Err(error) => {
                let _intake_gone = intake.send_message(IntakeMsg::ConsumerFailed(error));
                return;
            }
        }
    }
}

impl IntakeState {
    async fn on_event(
        &mut self,
        event: ConsumerEvent,
        myself: &ActorRef<IntakeMsg>,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            ConsumerEvent::Assigned(_) if self.stopping => Ok(()),
            ConsumerEvent::Assigned(assignments) => {
                for assignment in assignments {
                    self.assign(assignment, myself).await?;
                }
                // Calls need the lease, which a commit gives.
                self.commit().await.map(drop)
            }
            ConsumerEvent::Revoked(revoked) => self.revoke(revoked, myself).await,
            ConsumerEvent::Records { epoch, records } => {
                self.hand_over(epoch, records);
                Ok(())
            }
            ConsumerEvent::Stopped { at, why } => {
                tracing::error!(partition = %at, why, "a partition is stopped");
                self.gauges.stopped(at);
                Ok(())
            }
        }
    }

    async fn assign(
        &mut self,
        assignment: Assignment,
        myself: &ActorRef<IntakeMsg>,
    ) -> Result<(), ActorProcessingErr> {
        let at = assignment.at.clone();
        // A partition that comes back under a new epoch: its old tasks end before the new begin.
        self.forget(&at).await;
        self.gauges.not_stopped(&at);
        let committed = (assignment.position, assignment.note.clone().unwrap_or_default());
        let (service, platform) = (self.args.worker.service, self.args.worker.statuses.platform());
        let (epoch, tasks) = (assignment.epoch, EpochTasks::new(service, platform.as_str()));
        let (suspect, stop_before) = (Suspect::default(), self.poison.stop_before(&at));
        let args = WorkerArgs {
            deps: self.args.worker.clone(),
            assignment,
            tasks: tasks.clone(),
            suspect: suspect.clone(),
            stop_before,
            intake: myself.clone(),
        };
        let spawn = |reply| SupervisorMsg::SpawnWorker(Box::new(args), reply);
        let worker = ractor::call!(self.args.supervisor, spawn)??;
        tracing::debug!(partition = %at, position = committed.0, "assigned");
        let partition = Partition {
            epoch,
            worker,
            tasks,
            in_hand: 0,
            bytes: 0,
            oldest: None,
            paused: false,
            suspect,
            poisoned: false,
            reported: committed.clone(),
            committed,
            drained: false,
        };
        self.args.worker.steering.own(at.partition);
        self.partitions.insert(at, partition);
        Ok(())
    }

    fn hand_over(&mut self, epoch: Epoch, records: Vec<Record>) {
        let Some(at) = records.first().map(Record::at) else { return };
        let Some(partition) = self.partitions.get_mut(&at).filter(|p| p.epoch == epoch) else {
            return;
        };
        partition.in_hand += records.len();
        partition.bytes += records.iter().map(|record| record.value.len()).sum::<usize>();
        // A worker that has just failed is reported; its partition then begins again.
        let _failed = partition.worker.send_message(WorkerMsg::Records(records));
        let settings = &self.args.worker.settings;
        let is_full = partition.in_hand >= settings.window.count()
            || partition.bytes >= settings.window_bytes();
        if !partition.paused && is_full {
            partition.paused = true;
            self.consumer.pause(&at);
        }
    }

    fn released(&mut self, at: &TopicPartition, epoch: Epoch, released: usize, bytes: usize) {
        let settings = &self.args.worker.settings;
        let (half, half_of_bytes) = (settings.window.count() / 2, settings.window_bytes() / 2);
        let Some(partition) = self.partitions.get_mut(at).filter(|p| p.epoch == epoch) else {
            return;
        };
        partition.in_hand = partition.in_hand.saturating_sub(released);
        partition.bytes = partition.bytes.saturating_sub(bytes);
        let has_room =
            !partition.poisoned && partition.in_hand <= half && partition.bytes <= half_of_bytes;
        if partition.paused && has_room && partition.tasks.may_start() {
            partition.paused = false;
            self.consumer.resume(at);
        }
    }

    /// Whoever runs us has to know, and to choose: a release that can deal with the record, or
    /// another place to go on.
    fn poisoned(&mut self, at: &TopicPartition, epoch: Epoch, offset: u64) {
        let Some(partition) = self.partitions.get_mut(at).filter(|p| p.epoch == epoch) else {
            return;
        };
        if std::mem::replace(&mut partition.poisoned, true) {
            return;
        }
        tracing::error!(
            partition = %at,
            offset,
            fix = "run a release that can deal with the record, or choose where it goes on",
            "a worker died on this record again and again: its partition is stopped before it"
        );
        self.gauges.stopped(at.clone());
        partition.paused = true;
        self.consumer.pause(at);
    }

    async fn progress(
        &mut self,
        progress: Progress,
        myself: &ActorRef<IntakeMsg>,
    ) -> Result<(), ActorProcessingErr> {
        let Progress { at, epoch, position, note, oldest, drained } = progress;
        let Some(partition) = self.partitions.get_mut(&at).filter(|p| p.epoch == epoch) else {
            return Ok(());
        };
        partition.reported = (position, note);
        partition.oldest = oldest;
        self.args.worker.vitals.beat(&worker_name(&at));
        if self.awaited > 0 {
            self.awaited -= 1;
            if self.awaited == 0 {
                self.commit().await?;
                self.asked = Some(Instant::now());
                self.done(0, myself);
            }
        }
        let Some(partition) = self.partitions.get_mut(&at) else { return Ok(()) };
        if drained && !partition.drained {
            partition.drained = true;
            let finished: Vec<u64> = self
                .revoking
                .iter()
                .filter(|revoking| self.is_drained(&revoking.partitions))
                .map(|revoking| revoking.number)
                .collect();
            for number in finished {
                self.finish_revocation(number).await?;
            }
            self.leave_if_drained(myself).await?;
        }
        Ok(())
    }

    async fn stop(&mut self, myself: &ActorRef<IntakeMsg>) -> Result<(), ActorProcessingErr> {
        self.stopping = true;
        self.args.worker.vitals.rest_all();
        for (at, partition) in &self.partitions {
            self.consumer.pause(at);
            partition.tasks.drain();
            let _failed = partition.worker.send_message(WorkerMsg::Drain);
        }
        // Nobody else waits for these calls, so they may take their whole time.
        let settings = &self.args.worker.settings;
        let deadline = settings.call_timeout_ms.ms() + Duration::from_secs(5);
        drop(myself.send_after(deadline, || IntakeMsg::StopDeadline));
        self.leave_if_drained(myself).await
    }

    async fn leave_if_drained(
        &mut self,
        myself: &ActorRef<IntakeMsg>,
    ) -> Result<(), ActorProcessingErr> {
        if self.stopping && self.partitions.values().all(|partition| partition.drained) {
            return self.leave(myself).await;
        }
        Ok(())
    }

    async fn leave(&mut self, myself: &ActorRef<IntakeMsg>) -> Result<(), ActorProcessingErr> {
        let all: Vec<_> = self.partitions.keys().cloned().collect();
        self.cut_off(&all).await;
        let mut tries = 1;
        while !self.commit().await? && tries < LAST_COMMIT_TRIES {
            tries += 1;
            tokio::time::sleep(self.args.worker.settings.commit_interval_ms.ms()).await;
        }
        for at in all {
            self.forget(&at).await;
        }
        self.consumer.close().await;
        myself.stop(None);
        Ok(())
    }
}
