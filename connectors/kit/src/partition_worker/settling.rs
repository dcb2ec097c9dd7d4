//! What follows the last word about a record: its status and dead letter are published, it counts
//! as done once they are acknowledged (I3), and Intake hears how far things are.

use chat4all_contracts::mutant::{self, Mutant};
use chat4all_contracts::{DeadLetter, ExternalId, Reason, Status};
use chat4all_eventlog::{NewRecord, Record, topology};
use chat4all_process::metric::Metric;
use ractor::ActorRef;

use super::entry::Phase;
use super::{WorkerMsg, WorkerState};
use crate::intake::{IntakeMsg, Progress};
use crate::lanes::LaneKey;
use crate::platform::Detail;
use crate::status_publisher::publish_until_acked;

impl WorkerState {
    /// The platform has the first message of a lane; `None` = a receipt says so.
    pub(super) fn accepted(
        &mut self,
        lane: LaneKey,
        external_id: Option<ExternalId>,
        myself: &ActorRef<WorkerMsg>,
    ) {
        let status = if self.deps.spec.has_receipts { Status::Sent } else { Status::Delivered };
        let Some(entry) = self.lanes.first_mut(&lane) else { return };
        let now = self.deps.clock.now();
        let (message, account) = (&entry.message, &lane.account);
        let mut update = self.deps.statuses.about(message, account, status, &entry.tries, now);
        // A receipt settles what was in doubt: one call was taken, and no other was made since.
        update.possible_duplicate &= external_id.is_some() || entry.tries.in_doubt > 1;
        update.external_id = external_id;
        let record = self.deps.topology.status_update(&update, now);
        self.settle(lane, status, vec![record], myself);
    }

    /// Nobody knows whether the platform has the first message of a lane, and it must not get it
    /// twice: the lane goes on, a receipt or the end of its life settles the message.
    pub(super) fn unknown(&mut self, lane: LaneKey, why: &Detail, myself: &ActorRef<WorkerMsg>) {
        let Some(entry) = self.lanes.first_mut(&lane) else { return };
        let now = self.deps.clock.now();
        let (message, account, status) = (&entry.message, &lane.account, Status::Unknown);
        tracing::warn!(message_id = %message.message_id, %why, "the outcome of a call is unknown");
        let mut update = self.deps.statuses.about(message, account, status, &entry.tries, now);
        update.reason = Some(Reason::InDoubt);
        update.vendor_code = Some(why.code().to_owned());
        let record = self.deps.topology.status_update(&update, now);
        self.settle(lane, status, vec![record], myself);
    }

    /// Says at once that the platform may have the first message of a lane, which will be tried again:
    /// whoever gets the partition next calls without knowing of it. The message is not done with this.
    pub(super) fn doubt(&mut self, lane: &LaneKey, myself: &ActorRef<WorkerMsg>) {
        let Some(entry) = self.lanes.first_mut(lane) else { return };
        let now = self.deps.clock.now();
        let (message, status) = (&entry.message, Status::Unknown);
        let mut update =
            self.deps.statuses.about(message, &lane.account, status, &entry.tries, now);
        update.reason = Some(Reason::PossibleDuplicate);
        let records = vec![self.deps.topology.status_update(&update, now)];
        self.under_way += 1;
        let (directory, random) = (self.deps.directory.clone(), self.deps.random.clone());
        let (worker, service) = (myself.clone(), self.deps.service);
        let platform = self.deps.statuses.platform().to_string();
        self.tasks.spawn(async move {
            publish_until_acked(&directory, records, &random).await;
            Metric::StatusesPublished.count(service, &[&platform, status.word()]);
            let _gone = worker.send_message(WorkerMsg::DoubtTold);
        });
    }

    /// Gives the first message of a lane up: a dead letter first, then its status.
    pub(super) fn fail(
        &mut self,
        lane: LaneKey,
        reason: Reason,
        detail: &Detail,
        myself: &ActorRef<WorkerMsg>,
    ) {
        let Some(entry) = self.lanes.first_mut(&lane) else { return };
        let now = self.deps.clock.now();
        let message = &entry.message;
        tracing::warn!(message_id = %message.message_id, %reason, %detail, "a message failed");
        let origin = (&*entry.record.topic, entry.record.partition, entry.record.offset);
        let whole = detail.whole();
        let account = &lane.account;
        let letter = DeadLetter::given_up(origin, &entry.record.value, message, reason, &whole)
            .tried(account, entry.tries.made);
        let mut update =
            self.deps.statuses.about(message, account, Status::Failed, &entry.tries, now);
        update.reason = Some(reason);
        update.vendor_code = Some(detail.code().to_owned());
        update.vendor_text = detail.text().cloned();
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
        if let Some(entry) = self.lanes.first_mut(&lane) {
            entry.phase = Phase::Settling;
            if mutant::is_on(Mutant::CommitsEarly) {
                self.tracker.complete(entry.record.offset);
            }
        }
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
    pub(super) fn bury(
        &mut self,
        record: &Record,
        letter: &DeadLetter,
        myself: &ActorRef<WorkerMsg>,
    ) {
        self.under_way += 1;
        let records = vec![topology::dead_letter(record, letter, self.deps.clock.now())];
        let (directory, random) = (self.deps.directory.clone(), self.deps.random.clone());
        let (worker, offset, bytes) = (myself.clone(), record.offset, record.value.len());
        Metric::DeadLetters.count(self.deps.service, &[&self.at.topic, &letter.reason]);
        self.tasks.spawn(async move {
            publish_until_acked(&directory, records, &random).await;
            let _gone = worker.send_message(WorkerMsg::Buried { offset, bytes });
        });
    }

    pub(super) fn settled(&mut self, lane: LaneKey, myself: &ActorRef<WorkerMsg>) {
        self.under_way -= 1;
        let (finished, next) = self.lanes.finish(lane.clone());
        let has_next = next.is_some();
        if let Some(entry) = finished {
            self.complete(entry.record.offset, entry.record.value.len(), myself);
        }
        if has_next {
            self.start(lane, myself);
        }
    }

    pub(super) fn complete(&mut self, offset: u64, bytes: usize, myself: &ActorRef<WorkerMsg>) {
        let before = self.tracker.in_hand();
        self.tracker.complete(offset);
        self.release(before, bytes);
        while let Some((lane, offset)) = self.held.front().cloned() {
            if !self.tracker.may_start(offset) {
                break;
            }
            self.held.pop_front();
            // A receipt may have settled it meanwhile; the next of its lane starts by itself.
            if self.is_first(&lane, offset) {
                self.start(lane, myself);
            }
        }
    }

    /// Tells Intake how many records have left the memory.
    pub(super) fn release(&self, in_hand_before: usize, bytes: usize) {
        let released = in_hand_before.saturating_sub(self.tracker.in_hand());
        if released > 0 || bytes > 0 {
            let (at, epoch) = (self.at.clone(), self.epoch);
            let message = IntakeMsg::Released { at, epoch, released, bytes };
            let _stopping = self.intake.send_message(message);
        }
    }

    pub(super) fn how_far(&self) -> Progress {
        Progress {
            at: self.at.clone(),
            epoch: self.epoch,
            position: self.tracker.position(),
            note: self.tracker.note(),
            oldest: self.tracker.oldest(),
            drained: !self.tasks.may_start() && self.under_way == 0,
        }
    }

    pub(super) fn report(&self) {
        let _stopping = self.intake.send_message(IntakeMsg::Progress(self.how_far()));
    }

    pub(super) fn report_when_drained(&self) {
        if !self.tasks.may_start() && self.under_way == 0 {
            self.report();
        }
    }
}
