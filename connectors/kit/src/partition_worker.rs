//! PartitionWorker: one partition under one epoch. Lanes, dedupe window, retry timers and the
//! ordered offset tracker; it decides what follows an outcome.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use chat4all_contracts::{DeadLetter, Message, PlatformSpec, Reason, Status};
use chat4all_eventlog::tracker::{OffsetTracker, Received};
use chat4all_eventlog::{
    Assignment, Epoch, EventLog, LogError, NewRecord, Record, TopicPartition, Topology, topology,
};
use chat4all_process::backoff::{Backoff, BackoffPolicy};
use chat4all_process::metric::Metric;
use chat4all_process::{Clock, Random};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};

use crate::dedupe::DedupeWindow;
use crate::directory::Directory;
use crate::gateway::{GatewayMsg, Job};
use crate::intake::{IntakeMsg, Progress};
use crate::lanes::{LaneKey, Lanes};
use crate::lease::Lease;
use crate::outcome::{CallResult, Next, Tries, next_step};
use crate::settings::KitSettings;
use crate::status_publisher::publish_until_acked;
use crate::statuses::Statuses;
use crate::steering::Steering;
use crate::tasks::EpochTasks;

/// The actor.
pub struct PartitionWorker;

/// What it is told.
pub enum WorkerMsg {
    /// Records of the partition, in order.
    Records(Vec<Record>),
    /// A gateway's answer about the first message of a lane.
    Called {
        /// The lane.
        lane: LaneKey,
        /// The message's offset.
        offset: u64,
        /// What happened.
        result: CallResult,
    },
    /// The wait before another attempt is over.
    RetryDue(LaneKey),
    /// A lane's first message is done: everything about it is acknowledged by the log.
    Settled(LaneKey),
    /// A record that belongs to no lane is done.
    Buried(u64),
    /// Tell Intake how far things are.
    Report,
    /// Say how far things are, after everything that is known already.
    LastReport(RpcReplyPort<Progress>),
    /// Start nothing more; tell Intake when nothing is under way.
    Drain,
}

/// What a worker stands on; the same for every worker of a connector.
#[derive(Clone)]
pub struct WorkerDeps {
    /// The right to start calls; renewed by commits.
    pub lease: Lease,
    /// What operators want of the accounts.
    pub steering: Steering,
    /// The service's name in metrics.
    pub service: &'static str,
    /// The platform, as data.
    pub spec: Arc<PlatformSpec>,
    /// Makes status events.
    pub statuses: Statuses,
    /// For reading back.
    pub log: Arc<dyn EventLog>,
    /// Partition counts.
    pub topology: Topology,
    /// The other actors.
    pub directory: Arc<Directory>,
    /// The connector's policy.
    pub settings: KitSettings,
    /// The time of day.
    pub clock: Clock,
    /// For jitter.
    pub random: Random,
}

/// What one worker begins with.
pub struct WorkerArgs {
    /// Shared by all workers.
    pub deps: WorkerDeps,
    /// The partition.
    pub assignment: Assignment,
    /// The tasks of this epoch.
    pub tasks: EpochTasks,
    /// Who commits.
    pub intake: ActorRef<IntakeMsg>,
}

/// A message in its lane.
struct Entry {
    record: Record,
    message: Arc<Message>,
    tries: Tries,
    backoff: Option<Backoff>,
}

/// See the module.
pub struct WorkerState {
    deps: WorkerDeps,
    at: TopicPartition,
    epoch: Epoch,
    position: u64,
    tracker: OffsetTracker,
    window: DedupeWindow,
    lanes: Lanes<Entry>,
    /// Lanes whose first message may not start yet, because a note could not hold its end.
    held: VecDeque<(LaneKey, u64)>,
    /// Messages with a gateway, and records being published.
    under_way: usize,
    tasks: EpochTasks,
    intake: ActorRef<IntakeMsg>,
}

impl Actor for PartitionWorker {
    type Msg = WorkerMsg;
    type State = WorkerState;
    type Arguments = WorkerArgs;

    async fn pre_start(
        &self,
        _: ActorRef<WorkerMsg>,
        args: WorkerArgs,
    ) -> Result<WorkerState, ActorProcessingErr> {
        let WorkerArgs { deps, assignment, tasks, intake } = args;
        let Assignment { at, epoch, position, note, end } = assignment;
        let (tracker, unusable) = OffsetTracker::resume(position, note.as_deref(), end);
        if let Some(why) = unusable {
            Metric::NotesUnusable.count(deps.service, &[&at.topic]);
            tracing::warn!(partition = %at, %why, "the commit note is not used");
        }
        let window = DedupeWindow::new(deps.settings.dedupe_window.count());
        let (lanes, held) = (Lanes::new(), VecDeque::new());
        let under_way = 0;
        Ok(WorkerState {
            deps,
            at,
            epoch,
            position,
            tracker,
            window,
            lanes,
            held,
            under_way,
            tasks,
            intake,
        })
    }

    async fn post_start(
        &self,
        _: ActorRef<WorkerMsg>,
        state: &mut WorkerState,
    ) -> Result<(), ActorProcessingErr> {
        state.rebuild_window().await
    }

    async fn handle(
        &self,
        myself: ActorRef<WorkerMsg>,
        message: WorkerMsg,
        state: &mut WorkerState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            WorkerMsg::Records(records) => state.receive(records, &myself),
            WorkerMsg::Called { lane, offset, result } => {
                state.called(lane, offset, result, &myself);
            }
            WorkerMsg::RetryDue(lane) => state.start(lane, &myself),
            WorkerMsg::Settled(lane) => state.settled(lane, &myself),
            WorkerMsg::Buried(offset) => {
                state.under_way -= 1;
                state.complete(offset, &myself);
            }
            WorkerMsg::Report => state.report(),
            WorkerMsg::LastReport(reply) => {
                let _too_late = reply.send(state.how_far());
            }
            WorkerMsg::Drain => {
                state.tasks.drain();
                // Gateways answer for what they had parked.
                for gateway in state.deps.directory.gateways() {
                    let _gone = gateway.send_message(GatewayMsg::Sweep);
                }
            }
        }
        state.report_when_drained();
        Ok(())
    }
}

/// How many records are read back at a time: each read may be a connection of its own.
const READ_BACK: usize = 10_000;

/// How long a log that cannot be read is waited for.
const READ_BACK_RETRY: BackoffPolicy =
    BackoffPolicy::new(Duration::from_millis(100), Duration::from_secs(5));

impl WorkerState {
    /// Fills the dedupe window from the log before the position.
    async fn rebuild_window(&mut self) -> Result<(), ActorProcessingErr> {
        let size = self.deps.settings.dedupe_window.get();
        let mut from = self.position.saturating_sub(size);
        let mut backoff = Backoff::new(READ_BACK_RETRY, self.deps.random.clone());
        while from < self.position {
            let records = match self.deps.log.read(&self.at, from, READ_BACK).await {
                Ok(records) => records,
                Err(LogError::Unavailable(why)) => {
                    tracing::warn!(partition = %self.at, why, "cannot read back yet");
                    tokio::time::sleep(backoff.next_half_jittered()).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let Some(last) = records.last() else { break };
            from = last.offset + 1;
            for record in records.iter().filter(|record| record.offset < self.position) {
                if let Ok(message) = Message::parse(&record.value, record.timestamp) {
                    self.window.insert(&message);
                }
            }
        }
        Ok(())
    }

    fn receive(&mut self, records: Vec<Record>, myself: &ActorRef<WorkerMsg>) {
        let before = self.tracker.in_hand() + records.len();
        Metric::RecordsConsumed.add(self.deps.service, &[&self.at.topic], records.len() as u64);
        for record in records {
            let received = self.tracker.receive(record.offset, record.timestamp);
            let parsed = Message::parse(&record.value, record.timestamp);
            match (received, parsed) {
                (Received::AlreadyDone, Ok(message)) => {
                    self.window.insert(&message);
                }
                (Received::AlreadyDone, Err(_)) => {}
                (Received::New, Ok(message)) if !self.window.insert(&message) => {
                    self.skip_duplicate(&message, record.offset);
                }
                (Received::New, Ok(message)) => self.enqueue(message, record, myself),
                (Received::New, Err(why)) => {
                    let letter = DeadLetter::unreadable(
                        &record.topic,
                        record.partition,
                        record.offset,
                        &record.value,
                        &why,
                    );
                    let (partition, offset) = (&self.at, record.offset);
                    tracing::warn!(%partition, offset, %why, "unreadable: to the dead letters");
                    self.bury(&record, &letter, myself);
                }
            }
        }
        self.release(before);
    }

    fn skip_duplicate(&mut self, message: &Message, offset: u64) {
        let platform = message.receiver_id.platform();
        Metric::DuplicatesSkipped.count(self.deps.service, &[platform]);
        tracing::debug!(message_id = %message.message_id, "a repeated record is skipped");
        self.tracker.complete(offset);
    }

    fn enqueue(&mut self, message: Message, record: Record, myself: &ActorRef<WorkerMsg>) {
        let account = message.account.as_ref().unwrap_or(&self.deps.spec.default_account).clone();
        let lane = LaneKey { account, conversation: message.conversation_id.clone() };
        let message = Arc::new(message);
        let entry = Entry { record, message, tries: Tries::default(), backoff: None };
        if self.lanes.push(lane.clone(), entry) {
            self.start(lane, myself);
        }
    }

    /// Hands the first message of a lane to its account's gateway.
    fn start(&mut self, lane: LaneKey, myself: &ActorRef<WorkerMsg>) {
        if !self.tasks.may_start() {
            return;
        }
        let Some(entry) = self.lanes.first_mut(&lane) else { return };
        let offset = entry.record.offset;
        if !self.tracker.may_start(offset) {
            self.held.push_back((lane, offset));
            return;
        }
        let Some(gateway) = self.deps.directory.gateway(&lane.account) else {
            self.fail(lane, Reason::UnknownAccount, "no such account in this connector", myself);
            return;
        };
        if entry.tries.made > 0 {
            Metric::Retries.count(self.deps.service, &[entry.message.receiver_id.platform()]);
        }
        let job = Job {
            message: entry.message.clone(),
            lane,
            offset,
            tasks: self.tasks.clone(),
            worker: myself.clone(),
            answered: false,
        };
        self.under_way += 1;
        // A gateway that has just died drops the job, which tells us so.
        let _dying = gateway.send_message(GatewayMsg::Deliver(Box::new(job)));
    }

    fn called(
        &mut self,
        lane: LaneKey,
        offset: u64,
        result: CallResult,
        myself: &ActorRef<WorkerMsg>,
    ) {
        self.under_way -= 1;
        let Some(entry) = self.lanes.first_mut(&lane) else { return };
        debug_assert_eq!(entry.record.offset, offset, "one message of a lane at a time (I2)");
        match next_step(&mut entry.tries, result, &self.deps.settings) {
            Next::Stay => {}
            Next::Again => self.start(lane, myself),
            Next::AgainAfter(wait) => self.start_after(wait, lane, myself),
            Next::AgainAfterBackoff => {
                let policy = self.deps.settings.retry();
                let random = &self.deps.random;
                let backoff =
                    entry.backoff.get_or_insert_with(|| Backoff::new(policy, random.clone()));
                let wait = backoff.next_wait();
                self.start_after(wait, lane, myself);
            }
            Next::Accepted(external_id) => {
                let has_receipts = self.deps.spec.has_receipts;
                let status = if has_receipts { Status::Sent } else { Status::Delivered };
                let now = self.deps.clock.now();
                let mut update = self.deps.statuses.about(
                    &entry.message,
                    &lane.account,
                    status,
                    &entry.tries,
                    now,
                );
                update.external_id = Some(external_id);
                let record = self.deps.topology.status_update(&update, now);
                self.settle(lane, status, vec![record], myself);
            }
            Next::Failed(reason, detail) => self.fail(lane, reason, &detail, myself),
        }
    }

    /// Starts a lane again after a wait, or at the end of its message's life if that comes first:
    /// the gateway then says that it has expired.
    fn start_after(&mut self, wait: Duration, lane: LaneKey, myself: &ActorRef<WorkerMsg>) {
        let Some(entry) = self.lanes.first_mut(&lane) else { return };
        let wait = wait.min(entry.message.expires_at.since(self.deps.clock.now()));
        // The timer outlives a worker that is gone; its message then goes nowhere.
        drop(myself.send_after(wait, move || WorkerMsg::RetryDue(lane)));
    }

    /// Gives the first message of a lane up: a dead letter first, then its status.
    fn fail(&mut self, lane: LaneKey, reason: Reason, detail: &str, myself: &ActorRef<WorkerMsg>) {
        let Some(entry) = self.lanes.first_mut(&lane) else { return };
        let now = self.deps.clock.now();
        let message = &entry.message;
        tracing::warn!(message_id = %message.message_id, %reason, detail, "a message failed");
        let origin = (&*entry.record.topic, entry.record.partition, entry.record.offset);
        let account = &lane.account;
        let letter = DeadLetter::given_up(origin, &entry.record.value, message, reason, detail)
            .tried(account, entry.tries.made);
        let mut update =
            self.deps.statuses.about(message, account, Status::Failed, &entry.tries, now);
        update.reason = Some(reason);
        let records = vec![
            topology::dead_letter(&entry.record, &letter, now),
            self.deps.topology.status_update(&update, now),
        ];
        Metric::DeadLetters.count(self.deps.service, &[&self.at.topic, reason.word()]);
        self.settle(lane, Status::Failed, records, myself);
    }

    /// Publishes what became of a lane's first message; only then is it done (I3).
    fn settle(
        &mut self,
        lane: LaneKey,
        status: Status,
        records: Vec<NewRecord>,
        myself: &ActorRef<WorkerMsg>,
    ) {
        self.under_way += 1;
        let (directory, random) = (self.deps.directory.clone(), self.deps.random.clone());
        let (worker, service) = (myself.clone(), self.deps.service);
        let platform = self.deps.statuses.platform().to_string();
        self.tasks.spawn_call(async move {
            publish_until_acked(&directory, records, &random).await;
            Metric::StatusesPublished.count(service, &[&platform, status.word()]);
            let _gone = worker.send_message(WorkerMsg::Settled(lane));
        });
    }

    /// Puts a record that belongs to no lane into the dead letters.
    fn bury(&mut self, record: &Record, letter: &DeadLetter, myself: &ActorRef<WorkerMsg>) {
        self.under_way += 1;
        let records = vec![topology::dead_letter(record, letter, self.deps.clock.now())];
        let (directory, random) = (self.deps.directory.clone(), self.deps.random.clone());
        let (worker, offset) = (myself.clone(), record.offset);
        Metric::DeadLetters.count(self.deps.service, &[&self.at.topic, &letter.reason]);
        self.tasks.spawn(async move {
            publish_until_acked(&directory, records, &random).await;
            let _gone = worker.send_message(WorkerMsg::Buried(offset));
        });
    }

    fn settled(&mut self, lane: LaneKey, myself: &ActorRef<WorkerMsg>) {
        self.under_way -= 1;
        let (finished, next) = self.lanes.finish(lane.clone());
        let has_next = next.is_some();
        if let Some(entry) = finished {
            self.complete(entry.record.offset, myself);
        }
        if has_next {
            self.start(lane, myself);
        }
    }

    fn complete(&mut self, offset: u64, myself: &ActorRef<WorkerMsg>) {
        let before = self.tracker.in_hand();
        self.tracker.complete(offset);
        self.release(before);
        while let Some((lane, offset)) = self.held.front().cloned() {
            if !self.tracker.may_start(offset) {
                break;
            }
            self.held.pop_front();
            self.start(lane, myself);
        }
    }

    /// Tells Intake how many records have left the memory.
    fn release(&self, in_hand_before: usize) {
        let released = in_hand_before.saturating_sub(self.tracker.in_hand());
        if released > 0 {
            let message = IntakeMsg::Released { at: self.at.clone(), epoch: self.epoch, released };
            let _stopping = self.intake.send_message(message);
        }
    }

    fn how_far(&self) -> Progress {
        Progress {
            at: self.at.clone(),
            epoch: self.epoch,
            position: self.tracker.position(),
            note: self.tracker.note(),
            oldest: self.tracker.oldest(),
            drained: !self.tasks.may_start() && self.under_way == 0,
        }
    }

    fn report(&self) {
        let _stopping = self.intake.send_message(IntakeMsg::Progress(self.how_far()));
    }

    fn report_when_drained(&self) {
        if !self.tasks.may_start() && self.under_way == 0 {
            self.report();
        }
    }
}
