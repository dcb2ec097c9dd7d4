//! A message on its way through a gateway: waiting to be called, and being called. Whatever happens
//! to it there, its worker hears of it once.

use std::sync::Arc;
use std::time::Duration;

use chat4all_contracts::mutant::{self, Mutant};
use chat4all_contracts::{EpochMs, Message};
use ractor::ActorRef;
use tokio::time::Instant;

use super::GatewayMsg;
use crate::breaker::Permit;
use crate::lanes::LaneKey;
use crate::outcome::CallResult;
use crate::partition_worker::WorkerMsg;
use crate::platform::{Detail, Outcome, ThrottleScope};
use crate::tasks::EpochTasks;

/// A message to deliver.
pub struct Job {
    /// The message.
    pub message: Arc<Message>,
    /// Its lane, for the answer.
    pub lane: LaneKey,
    /// Its offset, for the answer.
    pub offset: u64,
    /// The tasks of its epoch: the call becomes one of them.
    pub tasks: EpochTasks,
    /// Who is told.
    pub worker: ActorRef<WorkerMsg>,
    /// Whether the worker has been told.
    pub answered: bool,
}

impl Job {
    /// Tells the worker.
    pub fn answer(mut self, result: CallResult) {
        self.tell(result);
    }

    /// Why it must not be called any more: its life has ended, or its partition goes away.
    pub fn cannot_start(&self, now: EpochMs) -> Option<CallResult> {
        if now >= self.message.expires_at && !mutant::is_on(Mutant::ExpiryFenceOff) {
            return Some(CallResult::Expired);
        }
        (!self.tasks.may_start()).then_some(CallResult::NotStarted)
    }

    /// Tells the worker why it was not called.
    pub fn answer_without_a_call(self, now: EpochMs) {
        let why = self.cannot_start(now).unwrap_or(CallResult::NotStarted);
        self.answer(why);
    }

    /// Settles it without a word; a mistake ([`Mutant::SkipsWhenOpen`]).
    pub(super) fn skip(mut self) {
        self.answered = true;
        let _gone = self.worker.send_message(WorkerMsg::Skipped(self.lane.clone()));
    }

    fn tell(&mut self, result: CallResult) {
        self.answered = true;
        let lane = self.lane.clone();
        // A worker that is gone has been replaced, and its successor has the record again.
        let _gone =
            self.worker.send_message(WorkerMsg::Called { lane, offset: self.offset, result });
    }
}

impl Drop for Job {
    /// A gateway that dies drops what it had parked; the worker must hear of it.
    fn drop(&mut self) {
        if !self.answered {
            self.tell(CallResult::GatewayLost);
        }
    }
}

/// What a call's end means for the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The platform works.
    Working,
    /// The platform fails.
    Failing,
    /// The platform asks the account to slow down.
    Throttled(Option<Duration>),
    /// The platform takes no more to this receiver for now.
    ThrottledRecipient(Option<Duration>),
    /// The platform refuses the account, in its own words.
    Refused(String),
    /// We cut the call off.
    Abandoned,
}

impl From<&Outcome> for Verdict {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Throttled { after, scope: ThrottleScope::Account, .. } => {
                Self::Throttled(*after)
            }
            Outcome::Throttled { after, scope: ThrottleScope::Recipient, .. } => {
                Self::ThrottledRecipient(*after)
            }
            Outcome::Account { detail } => Self::Refused(detail.whole()),
            outcome if outcome.shows_a_working_platform() => Self::Working,
            _ => Self::Failing,
        }
    }
}

/// Gives the permit back and answers the worker when the call ends, however it ends.
pub struct CallUnderWay {
    gateway: ActorRef<GatewayMsg>,
    began: Instant,
    permit: Option<Permit>,
    job: Option<Box<Job>>,
    probe: bool,
}

impl CallUnderWay {
    /// A call that is about to be made; `probe` if the platform was known to fail.
    pub fn new(gateway: ActorRef<GatewayMsg>, permit: Permit, job: Box<Job>, probe: bool) -> Self {
        Self { gateway, began: Instant::now(), permit: Some(permit), job: Some(job), probe }
    }

    /// The message that is being delivered.
    pub fn message(&self) -> Option<Arc<Message>> {
        self.job.as_ref().map(|job| job.message.clone())
    }

    /// The call has ended by itself.
    pub fn ended(mut self, outcome: Outcome) {
        self.report(Verdict::from(&outcome), outcome);
    }

    fn report(&mut self, verdict: Verdict, outcome: Outcome) {
        let Some(job) = self.job.take() else { return };
        if let Some(permit) = self.permit.take() {
            let (began, to) = (self.began, job.message.receiver_id.clone());
            // A gateway that is gone has been replaced by one that counts from zero.
            let _gone =
                self.gateway.send_message(GatewayMsg::Finished { permit, verdict, to, began });
        }
        job.answer(CallResult::Outcome { outcome, probe: self.probe });
    }
}

impl Drop for CallUnderWay {
    /// Reaped (then nobody listens any more), or ended by a panic below the platform's code.
    fn drop(&mut self) {
        let outcome = Outcome::InDoubt { detail: Detail::new("the call was cut off by us") };
        self.report(Verdict::Abandoned, outcome);
    }
}
