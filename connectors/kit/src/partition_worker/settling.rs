//! What follows the last word about a record: its status and dead letter are published, it counts
//! as done once they are acknowledged (I3), and Intake hears how far things are.

use chat4all_contracts::mutant::{self, Mutant};
use chat4all_contracts::{DeadLetter, ExternalId, FieldError, Message, Reason, Status};
use chat4all_eventlog::{NewRecord, Record, topology};
use chat4all_process::metric::{Counters, Metric};
use ractor::ActorRef;
use tokio::sync::mpsc;

use super::acks::{self, Again, Done, Queued};
use super::entry::{Entry, Phase};
use super::{QUEUED, WorkerDeps, WorkerMsg, WorkerState};
use crate::intake::{IntakeMsg, Progress};
use crate::lanes::LaneKey;
use crate::platform::Detail;
use crate::status_publisher::publish_until_acked;
use crate::tasks::EpochTasks;

/// Starts the task that awaits acknowledgements.
pub(super) fn await_acks(
    deps: &WorkerDeps,
    tasks: &EpochTasks,
    worker: ActorRef<WorkerMsg>,
    published: Counters,
) -> mpsc::Sender<Queued> {
    let (acks, queued) = mpsc::channel(QUEUED);
    let (directory, random) = (deps.directory.clone(), deps.random.clone());
    let (own, told, counted) = (tasks.clone(), worker.clone(), published.clone());
    let again = move |Again { done, status, record }| {
        let (directory, random) = (directory.clone(), random.clone());
        let (told, counted) = (told.clone(), counted.clone());
        own.spawn_call(async move {
            publish_until_acked(&directory, vec![record], &random).await;
            counted.count(status);
            let _gone = told.send_message(WorkerMsg::Settled(vec![done]));
        });
    };
    tasks.spawn(acks::await_all(queued, worker, published, again));
    acks
}

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
        let is_answer = update.external_id.is_some();
        let record = self.deps.topology.status_update(&update, now);
        if is_answer {
            return self.go_on(lane, status, record, myself);
        }
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

    /// Publishes what became of a lane's first message; only then is it done (I3), and the lane goes
    /// on: until it is in the log, a successor of this process could find another end for it.
    fn settle(
        &mut self,
        lane: LaneKey,
        status: Status,
        records: Vec<NewRecord>,
        myself: &ActorRef<WorkerMsg>,
    ) {
        if let Some(entry) = self.lanes.first_mut(&lane) {
            entry.phase = Phase::Settling;
            let offset = entry.record.offset;
            self.commit_early(offset);
        }
        self.under_way += 1;
        self.tasks.publishes();
        let task = self.publishing(records, Some(status), WorkerMsg::Finished(lane), myself);
        self.tasks.spawn_call(task);
    }

    /// Publishes records one after the other, as long as it takes, counts their status if there is
    /// one, and tells the worker.
    pub(super) fn publishing(
        &self,
        records: Vec<NewRecord>,
        status: Option<Status>,
        then: WorkerMsg,
        myself: &ActorRef<WorkerMsg>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (directory, random) = (self.deps.directory.clone(), self.deps.random.clone());
        let (worker, published) = (myself.clone(), self.published.clone());
        async move {
            publish_until_acked(&directory, records, &random).await;
            if let Some(status) = status {
                published.count(status.word());
            }
            let _gone = worker.send_message(then);
        }
    }

    /// Publishes that the platform has a lane's first message. The lane goes on at once: whatever
    /// happens to us, the platform has got this one before the next (I2). It is done when that is
    /// acknowledged (I3).
    fn go_on(
        &mut self,
        lane: LaneKey,
        status: Status,
        record: NewRecord,
        myself: &ActorRef<WorkerMsg>,
    ) {
        let (finished, has_next) = self.finish_first(&lane, myself);
        let Some(Entry { record: origin, .. }) = finished else { return };
        self.commit_early(origin.offset);
        let done = Done { offset: origin.offset, bytes: origin.value.len() };
        self.publish(done, status, record, myself);
        if has_next {
            self.start(lane, myself);
        }
    }

    /// A mistake ([`Mutant::CommitsEarly`]).
    fn commit_early(&mut self, offset: u64) {
        if mutant::is_on(Mutant::CommitsEarly) {
            self.tracker.complete(offset);
        }
    }

    /// Queues a status; the common case, in which nothing goes wrong, costs no task and no message
    /// of its own.
    fn publish(
        &mut self,
        done: Done,
        status: Status,
        record: NewRecord,
        myself: &ActorRef<WorkerMsg>,
    ) {
        let Ok(ack) = self.deps.producer.enqueue(record.clone()) else {
            return self.publish_in_order(done, Some(status), vec![record], myself);
        };
        let names = (self.deps.service, self.platform.clone());
        match self.acks.try_send(Queued::new(names, (done, status.word()), record, ack)) {
            Ok(()) => {
                self.under_way += 1;
                self.tasks.publishes();
            }
            // The epoch is over, and the task with it: dropped, this one is counted.
            Err(_) if self.tasks.is_reaped() => {}
            // The task is gone: so will be this worker.
            Err(_) => {
                let _to_myself = myself.send_message(WorkerMsg::AcksLost);
            }
        }
    }

    /// Publishes records that no lane waits for.
    fn publish_in_order(
        &mut self,
        done: Done,
        status: Option<Status>,
        records: Vec<NewRecord>,
        myself: &ActorRef<WorkerMsg>,
    ) {
        self.under_way += 1;
        self.tasks.publishes();
        let task = self.publishing(records, status, WorkerMsg::Settled(vec![done]), myself);
        // Without a status no call was made.
        if status.is_some() { self.tasks.spawn_call(task) } else { self.tasks.spawn(task) }
    }

    /// Puts a record that cannot be read into the dead letters.
    pub(super) fn bury_unreadable(
        &mut self,
        record: &Record,
        why: &FieldError,
        myself: &ActorRef<WorkerMsg>,
    ) {
        let (partition, offset) = (record.partition, record.offset);
        tracing::warn!(partition = %self.at, offset, %why, "unreadable: to the dead letters");
        let (topic, value) = (&record.topic, &record.value);
        let letter = DeadLetter::unreadable(topic, partition, offset, value, why);
        self.bury(record, &letter, myself);
    }

    /// Puts a record that belongs to no lane into the dead letters.
    fn bury(&mut self, record: &Record, letter: &DeadLetter, myself: &ActorRef<WorkerMsg>) {
        let records = vec![topology::dead_letter(record, letter, self.deps.clock.now())];
        Metric::DeadLetters.count(self.deps.service, &[&self.at.topic, &letter.reason]);
        let done = Done { offset: record.offset, bytes: record.value.len() };
        self.publish_in_order(done, None, records, myself);
    }

    pub(super) fn settled(&mut self, done: &[Done], myself: &ActorRef<WorkerMsg>) {
        self.under_way -= done.len();
        self.tasks.acknowledged(done.len());
        self.complete(done, myself);
    }

    /// A lane's first message is done.
    pub(super) fn finished(&mut self, lane: LaneKey, myself: &ActorRef<WorkerMsg>) {
        self.tasks.acknowledged(1);
        self.skipped(lane, myself);
    }

    pub(super) fn skipped(&mut self, lane: LaneKey, myself: &ActorRef<WorkerMsg>) {
        self.under_way -= 1;
        let (finished, _) = self.finish_first(&lane, myself);
        if let Some(Entry { record, .. }) = finished {
            let done = Done { offset: record.offset, bytes: record.value.len() };
            self.complete(&[done], myself);
        }
        self.start(lane, myself);
    }

    /// Takes the first message out of its lane; `true` = there is another one now, which may start.
    fn finish_first(
        &mut self,
        lane: &LaneKey,
        myself: &ActorRef<WorkerMsg>,
    ) -> (Option<Entry>, bool) {
        // All of them were readable when they came; should one not be now, nothing waits for it.
        let mut unreadable = Vec::new();
        let finished = self.lanes.finish(lane.clone(), |record| {
            match Message::parse(&record.value, record.timestamp) {
                Ok(message) => Some(Entry::new(record, message)),
                Err(why) => {
                    unreadable.push((record, why));
                    None
                }
            }
        });
        for (record, why) in unreadable {
            self.bury_unreadable(&record, &why, myself);
        }
        finished
    }

    fn complete(&mut self, done: &[Done], myself: &ActorRef<WorkerMsg>) {
        let before = self.tracker.in_hand();
        done.iter().for_each(|done| self.tracker.complete(done.offset));
        self.release(before, done.len(), done.iter().map(|done| done.bytes).sum());
        while let Some((lane, offset)) = self.no_longer_held() {
            // A receipt may have settled it meanwhile; the next of its lane starts by itself.
            if self.is_first(&lane, offset) {
                self.start(lane, myself);
            }
        }
    }

    /// Takes out of the held lanes the one that may start next.
    fn no_longer_held(&mut self) -> Option<(LaneKey, u64)> {
        let (_, first) = self.held.front()?;
        if self.may_hand_over(*first) {
            return self.held.pop_front();
        }
        // The first may wait for one behind it.
        let last_one = self.tracker.position();
        let place = self.held.iter().position(|(_, offset)| *offset == last_one)?;
        self.held.remove(place)
    }

    /// Whether a note can hold the end of this record. Always for the one that everything behind it
    /// waits for.
    pub(super) fn may_hand_over(&self, offset: u64) -> bool {
        offset == self.tracker.position() || self.tracker.may_start(offset)
    }

    /// Tells Intake how many records have left the memory, and how many are `done`.
    pub(super) fn release(&self, in_hand_before: usize, done: usize, bytes: usize) {
        let released = in_hand_before.saturating_sub(self.tracker.in_hand());
        if released > 0 || bytes > 0 {
            let (at, epoch) = (self.at.clone(), self.epoch);
            let message = IntakeMsg::Released { at, epoch, released, done, bytes };
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
