//! A doubt is told at once: whoever gets the partition next does not know of it, and calls again.

use chat4all_contracts::{Reason, Status};
use ractor::ActorRef;

use super::{WorkerMsg, WorkerState};
use crate::lanes::LaneKey;

impl WorkerState {
    /// The platform may have the first message of a lane, which will be tried again. With this the
    /// message is not done; a drain waits until it is told.
    pub(super) fn doubt(&mut self, lane: &LaneKey, myself: &ActorRef<WorkerMsg>) {
        let Some(entry) = self.lanes.first_mut(lane) else { return };
        let now = self.deps.clock.now();
        let (message, status) = (&entry.message, Status::Unknown);
        let mut update =
            self.deps.statuses.about(message, &lane.account, status, &entry.tries, now);
        update.reason = Some(Reason::PossibleDuplicate);
        let record = self.deps.topology.status_update(&update, now);
        if self.tasks.is_reaped() {
            // We have cut the call off ourselves, and go: what is queued is written, although nobody
            // waits for it.
            if self.deps.producer.enqueue(record).is_err() {
                tracing::warn!(message_id = %message.message_id, "no room to tell a doubt");
            }
            return;
        }
        self.under_way += 1;
        let told = self.publishing(vec![record], Some(status), WorkerMsg::DoubtTold, myself);
        self.tasks.spawn(told);
    }
}
