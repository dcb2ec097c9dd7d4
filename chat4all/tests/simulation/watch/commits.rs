//! Commits and assignments: an offset counts only if what it stands for is safe (I3), never goes
//! back, and soon covers what is done (I6).

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chat4all_contracts::{Message, topic};
use chat4all_eventlog::{Assignment, Commit, Record, TopicPartition, note};

use super::{State, Watch};

/// A commit covers what was acknowledged this long before it was sent: two intervals, the messages
/// between the actors, and a commit that took its time.
const COVERED_AFTER: Duration = Duration::from_secs(2);

impl Watch {
    /// The platforms' topics, from their beginning.
    pub fn reads(&self, partitions: impl IntoIterator<Item = TopicPartition>) {
        self.state().read.extend(partitions.into_iter().map(|at| (at, 0)));
    }

    /// A process was given partitions.
    pub fn assigned(&self, process: u64, group: &str, assignments: &[Assignment]) {
        let mut state = self.state();
        let now = state.now();
        for assignment in assignments {
            let key = (group.to_owned(), assignment.at.clone());
            let progress = state.progress.entry(key).or_default();
            (progress.owner, progress.assigned) = (process, now);
            let (at, position) = (&assignment.at, assignment.position);
            if at.topic.ends_with("-outbound") {
                state.tell(None, format!("process {process} is given {at} from {position}"));
            }
        }
    }

    /// When a commit is sent, in the run's time.
    pub fn now(&self) -> Duration {
        self.state().now()
    }

    /// These commits, sent at that time, are durable.
    pub fn committed(&self, group: &str, commits: &[Commit], sent: Duration) {
        let mut state = self.state();
        state.refresh();
        for commit in commits {
            state.check_commit(group, commit, sent);
        }
    }
}

impl State {
    fn check_commit(&mut self, group: &str, commit: &Commit, sent: Duration) {
        let key = (group.to_owned(), commit.at.clone());
        let at = &commit.at;
        let noted = offsets_of(commit);
        let progress = self.progress.entry(key.clone()).or_default();
        let (from, known) = (progress.position, std::mem::take(&mut progress.noted));
        progress.position = commit.offset;
        if commit.offset < from {
            let text = format!("{group} goes back in {at} from {from} to {}", commit.offset);
            self.object("a position never goes back", None, text);
            return;
        }
        if at.topic.ends_with("-outbound") {
            if commit.offset != from || noted != known {
                let beyond = format!(", and {noted:?}");
                let beyond = if noted.is_empty() { "" } else { &beyond };
                self.tell(None, format!("{at} is done up to {}{beyond}", commit.offset));
            }
            let new = (from..commit.offset).chain(noted.iter().copied());
            for offset in new.filter(|offset| !known.contains(offset)).collect::<Vec<_>>() {
                self.check_done(at, offset);
            }
            self.check_covers(group, commit, &noted, sent);
        } else if &*at.topic == topic::MESSAGES && group == chat4all_router::GROUP {
            for offset in from..commit.offset {
                self.check_routed(at, offset);
            }
        }
        if let Some(progress) = self.progress.get_mut(&key) {
            progress.noted = noted;
        }
    }

    fn record(&self, at: &TopicPartition, offset: u64) -> Option<Record> {
        self.read_one(at, offset).filter(|record| record.offset == offset)
    }

    fn read_one(&self, at: &TopicPartition, offset: u64) -> Option<Record> {
        use chat4all_eventlog::EventLog;
        use futures::FutureExt;
        self.log.read(at, offset, 1).now_or_never()?.ok()?.into_iter().next()
    }

    /// I3: its status is acknowledged, or it is in the dead letters, or it repeats one before it.
    fn check_done(&mut self, at: &TopicPartition, offset: u64) {
        let Some(record) = self.record(at, offset) else { return };
        let message = Message::parse(&record.value, record.timestamp).ok();
        let known = message.as_ref().and_then(|m| self.messages.get(&m.message_id));
        let repeats = known.is_some_and(|known| {
            known.records.iter().any(|(of, before)| of == at && *before < offset)
        });
        let settled = known.is_some_and(|known| known.settled.is_some());
        if !settled && !repeats && !self.letters.contains(&(at.clone(), offset)) {
            let text = format!("{at}/{offset} counts as done, and its status is not acknowledged");
            let id = message.map(|message| message.message_id);
            self.object("no offset counts before its status", id.as_ref(), text);
        }
    }

    /// What this owner has finished a while before it sent the commit is in it.
    fn check_covers(
        &mut self,
        group: &str,
        commit: &Commit,
        noted: &BTreeSet<u64>,
        sent: Duration,
    ) {
        if is_foreign(commit) {
            return;
        }
        let key = (group.to_owned(), commit.at.clone());
        let (assigned, owner) = self
            .progress
            .get(&key)
            .map_or((sent, 0), |progress| (progress.assigned, progress.owner));
        let late = self.messages.values().find(|known| {
            let Some((at, offset)) = known.records.first() else { return false };
            let done_in_time = known
                .settled
                .is_some_and(|(at, by)| by == owner && at >= assigned && at + COVERED_AFTER < sent);
            // What still comes of a former owner's calls, this one does not know: it may be the same
            // process, which was frozen meanwhile.
            let is_its_own =
                known.ended_without_call || known.ended.is_none_or(|ended| ended >= assigned);
            *at == commit.at
                && done_in_time
                && is_its_own
                && *offset >= commit.offset
                && offset - commit.offset < note::MAX_SPAN
                && !noted.contains(offset)
        });
        let late = late.map(|known| known.message.message_id.clone());
        if let Some(id) = late {
            let text = format!("acknowledged two seconds before the commit at {}", commit.offset);
            self.object("a commit covers what is done", Some(&id), text);
        }
    }

    fn check_routed(&mut self, at: &TopicPartition, offset: u64) {
        let Some(record) = self.record(at, offset) else { return };
        let Ok(message) = Message::parse(&record.value, record.timestamp) else { return };
        let id = message.message_id;
        if !self.messages.contains_key(&id) && !self.ended_by_router.contains(&id) {
            let text = format!("{at}/{offset} counts as routed, and is nowhere");
            self.object("no offset counts before it is routed", Some(&id), text);
        }
    }
}

/// The base that a note was written for: read here a second time.
pub fn base_of(note: &str) -> Option<u64> {
    let bytes = STANDARD_NO_PAD.decode(note).ok()?;
    Some(u64::from_be_bytes(bytes.get(8..16)?.try_into().ok()?))
}

/// Whether the note was written for another commit.
fn is_foreign(commit: &Commit) -> bool {
    base_of(&commit.note).is_some_and(|base| base != commit.offset)
}

fn offsets_of(commit: &Commit) -> BTreeSet<u64> {
    if commit.note.is_empty() || is_foreign(commit) {
        return BTreeSet::new();
    }
    let finished = note::decode(&commit.note, commit.offset, u64::MAX);
    finished.map(|finished| finished.iter().collect()).unwrap_or_default()
}
