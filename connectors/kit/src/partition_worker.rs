//! PartitionWorker: one partition under one epoch. Lanes, dedupe window, retry timers and the
//! ordered offset tracker; it decides what follows an outcome.

mod acks;
mod doubt;
mod entry;
mod settling;
mod told;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use chat4all_contracts::mutant::{self, Mutant};
use chat4all_contracts::{Message, PlatformSpec, Reason};
use chat4all_eventlog::tracker::{OffsetTracker, Received};
use chat4all_eventlog::{
    Assignment, Epoch, EventLog, LogError, Producer, Record, TopicPartition, Topology,
};
use chat4all_process::backoff::{Backoff, BackoffPolicy};
use chat4all_process::metric::{Counters, Metric};
use chat4all_process::{Clock, Random};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::Instant;

use acks::Queued;
use entry::{Entry, Phase};
use settling::await_acks;
pub use told::WorkerMsg;

use crate::announce::PUBLISHED;
use crate::dedupe::DedupeWindow;
use crate::directory::Directory;
use crate::gateway::{GatewayMsg, Job};
use crate::intake::IntakeMsg;
use crate::lanes::{LaneKey, Lanes, one_for};
use crate::lease::Lease;
use crate::outcome::{CallResult, Next, next_step};
use crate::platform::{Detail, Outcome};
use crate::poison::Suspect;
use crate::receipts::Receipts;
use crate::settings::KitSettings;
use crate::statuses::Statuses;
use crate::steering::Steering;
use crate::tasks::EpochTasks;
use crate::vitals::Vitals;

/// The actor.
pub struct PartitionWorker;

/// The most statuses that are queued at once: no more records can have an outcome.
const QUEUED: usize = 40_000;

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
    /// For the statuses of accepted messages, which go without a detour.
    pub producer: Arc<dyn Producer>,
    /// The other actors.
    pub directory: Arc<Directory>,
    /// What the webhook has seen.
    pub receipts: Receipts,
    /// Who is alive.
    pub vitals: Vitals,
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
    /// Where the worker shows what it is dealing with.
    pub suspect: Suspect,
    /// The record that has killed its predecessors.
    pub stop_before: Option<u64>,
    /// Who commits.
    pub intake: ActorRef<IntakeMsg>,
}

/// See [`WorkerMsg::AcksLost`].
#[derive(Debug, Error)]
#[error("whoever awaited acknowledgements has died")]
pub(crate) struct AcksLost;

/// See the module.
pub struct WorkerState {
    deps: WorkerDeps,
    at: TopicPartition,
    epoch: Epoch,
    position: u64,
    tracker: OffsetTracker,
    window: DedupeWindow,
    lanes: Lanes<Entry, Record>,
    /// Lanes whose first message may not start yet, because a note could not hold its end.
    held: VecDeque<(LaneKey, u64)>,
    /// Messages with a gateway, and records being published.
    under_way: usize,
    acks: mpsc::Sender<Queued>,
    tasks: EpochTasks,
    /// Its name in metrics.
    platform: Arc<str>,
    next_steps: Counters,
    published: Counters,
    suspect: Suspect,
    stop_before: Option<u64>,
    intake: ActorRef<IntakeMsg>,
}

impl Actor for PartitionWorker {
    type Msg = WorkerMsg;
    type State = WorkerState;
    type Arguments = WorkerArgs;

    async fn pre_start(
        &self,
        myself: ActorRef<WorkerMsg>,
        args: WorkerArgs,
    ) -> Result<WorkerState, ActorProcessingErr> {
        let WorkerArgs { deps, assignment, tasks, suspect, stop_before, intake } = args;
        let Assignment { at, epoch, position, note, end } = assignment;
        let (tracker, unusable) = OffsetTracker::resume(position, note.as_deref(), end);
        if let Some(why) = unusable {
            Metric::NotesUnusable.count(deps.service, &[&at.topic]);
            tracing::warn!(partition = %at, %why, "the commit note is not used");
        }
        let window = DedupeWindow::new(deps.settings.dedupe_window.count());
        let (lanes, held) = (Lanes::new(), VecDeque::new());
        let platform: Arc<str> = deps.statuses.platform().as_str().into();
        let counters = |metric, words: &[&'static str]| {
            Counters::new(metric, deps.service, &[&platform], words)
        };
        let next_steps = counters(Metric::NextSteps, &Next::WORDS);
        let published = counters(Metric::StatusesPublished, &PUBLISHED);
        let acks = await_acks(&deps, &tasks, myself, published.clone());
        Ok(WorkerState {
            deps,
            at,
            epoch,
            position,
            tracker,
            window,
            lanes,
            held,
            under_way: 0,
            acks,
            tasks,
            platform,
            next_steps,
            published,
            suspect,
            stop_before,
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
        state.suspect.is(message.offset());
        match message {
            WorkerMsg::Records(records) => state.receive(records, &myself),
            WorkerMsg::Called { lane, offset, result } => {
                state.called(lane, offset, result, &myself);
            }
            WorkerMsg::RetryDue(lane, offset) if state.is_first(&lane, offset) => {
                state.start(lane, &myself);
            }
            // Settled in the meantime.
            WorkerMsg::RetryDue(..) => {}
            WorkerMsg::ReceiptCame(lane, offset) => state.receipt_came(lane, offset, &myself),
            WorkerMsg::Finished(lane) => state.finished(lane, &myself),
            WorkerMsg::Settled(done) => state.settled(&done, &myself),
            WorkerMsg::Skipped(lane) => state.skipped(lane, &myself),
            WorkerMsg::DoubtTold => state.under_way -= 1,
            WorkerMsg::AcksLost => return Err(AcksLost.into()),
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
        let mut forgotten = 0;
        Metric::RecordsConsumed.add(self.deps.service, &[&self.at.topic], records.len() as u64);
        for record in records {
            if self.stop_before.is_some_and(|poison| record.offset >= poison) {
                self.report_poison(record.offset);
                break;
            }
            self.suspect.is(Some(record.offset));
            let received = self.tracker.receive(record.offset, record.timestamp);
            let parsed = Message::parse(&record.value, record.timestamp);
            match (received, parsed) {
                (Received::AlreadyDone, parsed) => {
                    forgotten += record.value.len();
                    if let Ok(message) = parsed {
                        self.window.insert(&message);
                    }
                }
                (Received::New, Ok(message)) if !self.window.insert(&message) => {
                    forgotten += record.value.len();
                    self.skip_duplicate(&message, record.offset);
                }
                (Received::New, Ok(message)) => self.enqueue(message, record, myself),
                (Received::New, Err(why)) => self.bury_unreadable(&record, &why, myself),
            }
        }
        self.release(before, 0, forgotten);
    }

    /// Nothing from this record on is dealt with any more.
    fn report_poison(&mut self, offset: u64) {
        let (at, epoch) = (self.at.clone(), self.epoch);
        let _stopping = self.intake.send_message(IntakeMsg::Poisoned { at, epoch, offset });
    }

    fn skip_duplicate(&mut self, message: &Message, offset: u64) {
        let platform = message.receiver_id.platform();
        Metric::DuplicatesSkipped.count(self.deps.service, &[platform]);
        tracing::debug!(message_id = %message.message_id, "a repeated record is skipped");
        self.tracker.complete(offset);
    }

    fn enqueue(&mut self, message: Message, record: Record, myself: &ActorRef<WorkerMsg>) {
        let account = message.account.as_ref().unwrap_or(&self.deps.spec.default_account).clone();
        let mut lane = LaneKey { account, conversation: message.conversation_id.clone() };
        if mutant::is_on(Mutant::TwoInALane) {
            lane.conversation = one_for(&message);
        }
        if self.lanes.push(lane.clone(), record, |record| Entry::new(record, message)) {
            self.start(lane, myself);
        }
    }

    /// Hands the first message of a lane to its account's gateway.
    fn start(&mut self, lane: LaneKey, myself: &ActorRef<WorkerMsg>) {
        if !self.tasks.may_start() {
            return;
        }
        let Some(entry) = self.lanes.first_mut(&lane).filter(|entry| entry.may_start()) else {
            return;
        };
        let offset = entry.record.offset;
        if !self.may_hand_over(offset) {
            self.held.push_back((lane, offset));
            return;
        }
        let Some(entry) = self.lanes.first_mut(&lane) else { return };
        let Some(gateway) = self.deps.directory.gateway(&lane.account) else {
            let detail = Detail::new("no such account in this connector");
            self.fail(lane, Reason::UnknownAccount, &detail, myself);
            return;
        };
        let platform = entry.message.receiver_id.platform();
        if entry.tries.made > 0 {
            Metric::Retries.count(self.deps.service, &[platform]);
        }
        if entry.tries.possibly_accepted() {
            Metric::PossibleDuplicates.count(self.deps.service, &[platform]);
        }
        entry.phase = Phase::WithGateway;
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
        entry.phase = Phase::Waiting;
        let is_cut_off = self.tasks.is_reaped()
            && matches!(result, CallResult::Outcome { outcome: Outcome::InDoubt { .. }, .. });
        let next = next_step(&mut entry.tries, result, &self.deps.settings, Instant::now());
        if is_cut_off {
            // By us, and the next owner calls again, whatever is to follow a doubt otherwise.
            return self.doubt(&lane, myself);
        }
        // Whatever this call says: a receipt shows that an earlier one was taken.
        let is_settled = entry.tries.possibly_accepted()
            && !matches!(next, Next::Accepted(_) | Next::Stay)
            && self.deps.receipts.has_seen(&entry.subject());
        if is_settled {
            return self.accepted(lane, None, myself);
        }
        self.next_steps.count(next.word());
        match next {
            Next::Stay => {}
            Next::Again => self.start(lane, myself),
            Next::AgainAfter(wait) => start_in(wait, lane, offset, myself),
            Next::AgainUnlessReceipt(wait) => {
                let is_first_doubt = entry.tries.in_doubt == 1;
                let (to, of) = (myself.clone(), lane.clone());
                let subject = entry.subject();
                let receipt = self.deps.receipts.wait_for(subject.clone(), to, of, offset);
                entry.phase = Phase::InDoubt { _receipt: receipt };
                // It may have come between the look above and the waiting.
                if self.deps.receipts.has_seen(&subject) {
                    return self.accepted(lane, None, myself);
                }
                if is_first_doubt {
                    self.doubt(&lane, myself);
                }
                self.start_after(wait, lane, myself);
            }
            Next::AgainAfterBackoff(at_least) => {
                let policy = self.deps.settings.retry();
                let random = &self.deps.random;
                let begin = || Box::new(Backoff::new(policy, random.clone()));
                let backoff = entry.backoff.get_or_insert_with(begin);
                let wait = backoff.next_wait().max(at_least.unwrap_or_default());
                self.start_after(wait, lane, myself);
            }
            Next::Accepted(external_id) => self.accepted(lane, Some(external_id), myself),
            Next::Failed(reason, detail) => self.fail(lane, reason, &detail, myself),
            Next::Unknown(detail) => self.unknown(lane, &detail, myself),
        }
    }

    pub(super) fn is_first(&mut self, lane: &LaneKey, offset: u64) -> bool {
        self.lanes.first_mut(lane).is_some_and(|entry| entry.record.offset == offset)
    }

    fn receipt_came(&mut self, lane: LaneKey, offset: u64, myself: &ActorRef<WorkerMsg>) {
        let is_awaited = self.lanes.first_mut(&lane).is_some_and(|entry| {
            entry.record.offset == offset && matches!(entry.phase, Phase::InDoubt { .. })
        });
        // Otherwise it is being called again, and the end of that call finds the receipt.
        if is_awaited && self.tasks.may_start() {
            self.accepted(lane, None, myself);
        }
    }

    /// Starts a lane again after a wait, or at the end of its message's life if that comes first:
    /// the gateway then says that it has expired.
    fn start_after(&mut self, wait: Duration, lane: LaneKey, myself: &ActorRef<WorkerMsg>) {
        let Some(entry) = self.lanes.first_mut(&lane) else { return };
        let (wait, offset) =
            (wait.min(entry.message.expires_at.since(self.deps.clock.now())), entry.record.offset);
        start_in(wait, lane, offset, myself);
    }
}

/// Starts a lane again after exactly this wait. While a gateway is being replaced nobody can say
/// that a message has expired, and asking without a pause would be a loop without end.
fn start_in(wait: Duration, lane: LaneKey, offset: u64, myself: &ActorRef<WorkerMsg>) {
    // The timer outlives a worker that is gone; its message then goes nowhere.
    drop(myself.send_after(wait, move || WorkerMsg::RetryDue(lane, offset)));
}
