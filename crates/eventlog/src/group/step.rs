//! What a member is told next.

use std::ops::Bound;
use std::time::Duration;

use tokio::time::Instant;

use super::state::{Group, Hold, Member, MemberId, ReleaseId, Slot, Stop};
use super::{Backing, State};
use crate::Bounds;
use crate::consumer::{
    Assignment, Committed, ConsumerEvent, Epoch, RevokeAck, Revoked, TopicPartition,
};
use crate::record::Record;
use crate::start::{self, Missing};

/// What a member's `next` has to do.
pub(super) enum Step {
    /// Return this.
    Event(ConsumerEvent),
    /// Return this, asked for at this time; its acknowledgement lets go.
    Revoke(Vec<(TopicPartition, Epoch)>, ReleaseId, Instant),
    /// Read, then [`take`].
    Fetch { at: TopicPartition, epoch: Epoch, from: u64, max: usize },
    /// Wait to be woken, at most until then.
    Wait(Option<Instant>),
    /// The member has left.
    Closed,
}

/// Decides what a member does next. Records come last: whoever is to lose a partition hears of it
/// before he gets more to do.
pub(super) fn step<B: Backing>(
    state: &mut State,
    log: &B,
    group_name: &str,
    id: MemberId,
    now: Instant,
) -> Step {
    let State { groups, committed, last_epoch, last_release, .. } = state;
    let Some(group) = groups.get_mut(group_name) else { return Step::Closed };
    group.settle(now);
    let Some(member) = group.members.get_mut(&id) else { return Step::Closed };
    if !member.lost.is_empty() {
        let partitions = std::mem::take(&mut member.lost);
        let (ack, _) = RevokeAck::new();
        let revoked = Revoked { partitions, ack, since: now, lost: true };
        return Step::Event(ConsumerEvent::Revoked(revoked));
    }
    *last_release += 1;
    let release = ReleaseId(*last_release);
    let (leaving, by) = revocations(group, id, release);
    if let Some(by) = by {
        let allowed = group.members.get(&id).map_or(Duration::ZERO, |it| it.revoke_deadline);
        return Step::Revoke(leaving, release, by.checked_sub(allowed).unwrap_or(now));
    }
    let committed = committed.get(group_name);
    let assigned = announce(group, id, |at, slot| {
        let bounds = log.bounds(at).unwrap_or(Bounds { start: 0, end: 0 });
        *last_epoch += 1;
        begin(at, slot, committed.and_then(|of| of.get(at)), bounds, Epoch(*last_epoch))
    });
    if !assigned.is_empty() {
        return Step::Event(ConsumerEvent::Assigned(assigned));
    }
    if let Some(stopped) = untold_stop(group, id) {
        return Step::Event(stopped);
    }
    readable(group, log, id).unwrap_or_else(|| Step::Wait(group.next_deadline(id)))
}

/// What a member must let go of, and by when at the latest.
fn revocations(
    group: &mut Group,
    id: MemberId,
    release: ReleaseId,
) -> (Vec<(TopicPartition, Epoch)>, Option<Instant>) {
    let (mut leaving, mut first) = (Vec::new(), None);
    for (at, slot) in &mut group.slots {
        let Some(holder) = slot.holder.as_mut().filter(|holder| holder.member == id) else {
            continue;
        };
        if let (Hold::MustLeave { by }, Some(told)) = (holder.hold, holder.told) {
            holder.hold = Hold::Leaving { by, release };
            leaving.push((at.clone(), holder.epoch.unwrap_or(told)));
            first = Some(first.map_or(by, |first: Instant| first.min(by)));
        }
    }
    (leaving, first)
}

fn announce(
    group: &mut Group,
    id: MemberId,
    mut begin: impl FnMut(&TopicPartition, &mut Slot) -> Option<Assignment>,
) -> Vec<Assignment> {
    let mut assigned = Vec::new();
    for (at, slot) in &mut group.slots {
        let ours = slot.holder.as_ref().is_some_and(|holder| {
            holder.member == id && holder.epoch.is_none() && holder.hold == Hold::Keeping
        });
        if ours && slot.committing == 0 {
            assigned.extend(begin(at, slot));
        }
    }
    assigned
}

/// Begins an assignment: at the last commit, or not at all. Never a silent reset.
fn begin(
    at: &TopicPartition,
    slot: &mut Slot,
    committed: Option<&Committed>,
    bounds: Bounds,
    epoch: Epoch,
) -> Option<Assignment> {
    let holder = slot.holder.as_mut()?;
    holder.epoch = Some(epoch);
    holder.told = Some(epoch);
    holder.paused = false;
    let position = match start::position(committed.map(|committed| committed.offset), bounds) {
        Ok(position) => position,
        Err(missing) => {
            holder.stopped = Stop::Untold(chosen(missing));
            return None;
        }
    };
    holder.stopped = Stop::No;
    holder.position = position;
    let note = committed.map(|committed| committed.note.clone());
    Some(Assignment { at: at.clone(), epoch, position, note, end: bounds.end })
}

fn gone(position: u64, start: u64) -> String {
    chosen(Missing::Gone { position, start })
}

fn chosen(missing: Missing) -> String {
    format!("{missing}: somebody has to choose where the group starts")
}

fn untold_stop(group: &mut Group, id: MemberId) -> Option<ConsumerEvent> {
    group.slots.iter_mut().find_map(|(at, slot)| {
        let holder = slot.holder.as_mut().filter(|holder| holder.member == id)?;
        let Stop::Untold(why) = &mut holder.stopped else { return None };
        let why = std::mem::take(why);
        holder.stopped = Stop::Told;
        Some(ConsumerEvent::Stopped { at: at.clone(), why })
    })
}

/// The next partition with records, in turn.
fn readable<B: Backing>(group: &mut Group, log: &B, id: MemberId) -> Option<Step> {
    let Member { last_served, max_batch, .. } = group.members.get(&id)?;
    let (last, max) = (last_served.clone(), *max_batch);
    let after = last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
    let rest = group.slots.range((after, Bound::Unbounded)).map(|(at, _)| at.clone());
    let up_to = last.as_ref().into_iter().flat_map(|last| group.slots.range(..=last));
    let turn: Vec<TopicPartition> = rest.chain(up_to.map(|(at, _)| at.clone())).collect();
    for at in turn {
        let Some(holder) = group.slots.get_mut(&at).and_then(|slot| slot.holder.as_mut()) else {
            continue;
        };
        let (true, true, Some(epoch)) = (holder.member == id, holder.reads(), holder.epoch) else {
            continue;
        };
        let Bounds { start, end } = log.bounds(&at)?;
        if holder.position < start {
            holder.stopped = Stop::Told;
            let why = gone(holder.position, start);
            return Some(Step::Event(ConsumerEvent::Stopped { at, why }));
        }
        if holder.position < end {
            return Some(Step::Fetch { from: holder.position, at, epoch, max });
        }
    }
    None
}

/// Gives a member what was read for it, unless the partition was lost, paused, restarted or
/// shortened meanwhile: then `None`, and [`step`] says what follows.
pub(super) fn take(
    state: &mut State,
    group_name: &str,
    id: MemberId,
    read: (TopicPartition, Epoch, u64),
    start: u64,
    records: Vec<Record>,
) -> Option<ConsumerEvent> {
    let (at, epoch, from) = read;
    let group = state.groups.get_mut(group_name)?;
    let holder = group.slots.get_mut(&at)?.holder.as_mut()?;
    if holder.member != id || holder.epoch != Some(epoch) || !holder.reads() {
        return None;
    }
    if holder.position != from {
        return None;
    }
    let Some(last) = records.last().map(|record| record.offset).filter(|_| start <= from) else {
        // Reading further would skip records in silence.
        holder.stopped = Stop::Untold(gone(from, start.max(from)));
        return None;
    };
    holder.position = last + 1;
    if let Some(member) = group.members.get_mut(&id) {
        member.last_served = Some(at);
    }
    Some(ConsumerEvent::Records { epoch, records })
}
