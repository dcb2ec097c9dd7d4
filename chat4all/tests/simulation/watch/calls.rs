//! Calls: who may make one, when, and how often.

use chat4all_contracts::MessageId;

use super::breaker::Began;
use super::{ONE_PROBE, State, Watch};

/// A call under way. Dropped without [`Call::end`], it was cut off.
pub struct Call {
    watch: Watch,
    id: MessageId,
    process: u64,
    account: String,
    began: Began,
    ended: bool,
}

/// How a call ended, in words of the outcome table; `accepted` = with the platform's id.
pub type Ended = &'static str;

impl Watch {
    /// A connector's process begins a call.
    pub fn call(&self, process: u64, id: &MessageId) -> Option<Call> {
        let mut state = self.state();
        state.refresh();
        let Some(known) = state.messages.get(id) else {
            state.object("routed before called", Some(id), format!("{id} was never routed"));
            return None;
        };
        let account = format!("{}/{}", known.lane.0, known.lane.1);
        state.check_owner(process, id);
        state.check_expiry(id);
        state.check_lane(id);
        state.check_repetition(id);
        let (began, probes) = state.breakers.entry((process, account.clone())).or_default().begin();
        let probe = if began.probe { ", a probe" } else { "" };
        state.tell(Some(id), format!("process {process} calls{probe}"));
        if probes > 1 {
            let text = format!("{probes} probes of {account} at once");
            state.object(ONE_PROBE, Some(id), text);
        }
        if let Some(known) = state.messages.get_mut(id) {
            known.calls += 1;
            known.in_flight += 1;
        }
        let (watch, id) = (self.clone(), id.clone());
        Some(Call { watch, id, process, account, began, ended: false })
    }
}

impl Call {
    pub fn end(mut self, outcome: Ended) {
        self.finish(outcome);
    }

    fn finish(&mut self, outcome: Ended) {
        self.ended = true;
        let mut state = self.watch.state();
        let now = state.now();
        state.tell(Some(&self.id), format!("the call ends: {outcome}"));
        let limit = state.policy.breaker_failures;
        let key = (self.process, self.account.clone());
        state.breakers.entry(key).or_default().end(self.began, outcome, limit);
        *state.outcomes.entry((outcome, self.began.probe)).or_default() += 1;
        let Some(known) = state.messages.get_mut(&self.id) else { return };
        known.in_flight = known.in_flight.saturating_sub(1);
        known.outcomes.insert(outcome);
        known.ended = Some(now);
        match outcome {
            "accepted" => known.accepted = Some(now),
            "in_doubt" => known.countable += 1,
            "retryable" if !self.began.probe => known.countable += 1,
            _ => {}
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.ended {
            self.finish("cut off");
        }
    }
}

impl State {
    /// Once another process was given the partition, its former owner starts nothing.
    fn check_owner(&mut self, process: u64, id: &MessageId) {
        let known = &self.messages[id];
        let at = known.records[0].0.clone();
        let group = group_of(&at.topic);
        let owner = self.progress.get(&(group, at.clone())).map_or(process, |p| p.owner);
        if owner != process {
            let text = format!("process {process} calls, and {at} is process {owner}'s");
            self.object("only the owner calls", Some(id), text);
        }
    }

    fn check_expiry(&mut self, id: &MessageId) {
        let (now, ends) = (self.clock.now(), self.messages[id].message.expires_at);
        if now >= ends && !self.is_jumping() {
            let text = format!("a call at {now:?}, and its life ended at {ends:?}");
            self.object("no call after expiry", Some(id), text);
        }
    }

    /// I2: one at a time, and first tried when those before have an outcome: the platform has them, or
    /// the log says what became of them.
    fn check_lane(&mut self, id: &MessageId) {
        let known = &self.messages[id];
        let lane = &self.lanes[&known.lane];
        let busy = lane.iter().find(|other| self.messages[*other].in_flight > 0).cloned();
        let open = |other: &&MessageId| {
            let other = &self.messages[*other];
            other.settled.is_none() && other.accepted.is_none()
        };
        let overtaken = match known.calls {
            0 => lane[..known.place].iter().find(open).cloned(),
            _ => None,
        };
        if let Some(busy) = busy {
            let text = format!("a call, and one of {busy} is under way");
            self.object("one call of a conversation at a time", Some(id), text);
        }
        if let Some(overtaken) = overtaken {
            let text = format!("first tried, and {overtaken} before it has no outcome");
            self.object("no overtaking", Some(id), text);
        }
    }

    /// I6: a repetition has a cause, and what is committed is never repeated.
    fn check_repetition(&mut self, id: &MessageId) {
        let known = &self.messages[id];
        let (mut committed, mut given_again) = (None, false);
        for (place, (at, offset)) in known.records.iter().enumerate() {
            let Some(progress) = self.progress.get(&(group_of(&at.topic), at.clone())) else {
                continue;
            };
            // One that was routed again is skipped at once, while the first is still under way.
            let is_first = place == 0;
            if is_first && (*offset < progress.position || progress.noted.contains(offset)) {
                committed = Some(format!("{at}/{offset}"));
            }
            given_again |= known.accepted.is_some_and(|accepted| progress.assigned >= accepted);
        }
        let again_for_nothing = known.accepted.is_some() && !given_again;
        if let Some(place) = committed {
            let text = format!("called, and {place} is committed as done");
            self.object("what is committed is done", Some(id), text);
        } else if again_for_nothing {
            let text = "called again after its acceptance, by the same owner".to_owned();
            self.object("a repetition has a cause", Some(id), text);
        }
    }
}

/// The group that delivers from a platform's topic.
pub fn group_of(topic: &str) -> String {
    format!("{}-connector-group", topic.trim_end_matches("-outbound"))
}
