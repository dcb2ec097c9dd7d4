//! Who owns which partition, and how a partition passes from one member to the next.
//!
//! Plain data under one lock of [`super::Groups`]; never waits and never reads a record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::share::share;
use crate::consumer::{Epoch, TopicPartition};

/// A member of a group; never used twice in the life of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MemberId(pub(super) u64);

/// Tells apart revocations, each of which is acknowledged as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReleaseId(pub(super) u64);

/// A member.
pub(super) struct Member {
    pub(super) topics: BTreeSet<Arc<str>>,
    pub(super) max_batch: usize,
    pub(super) revoke_deadline: Duration,
    pub(super) wake: watch::Sender<()>,
    /// Taken away at the deadline before the member even heard that it should let go. At most one
    /// entry a partition: it hears of these before it is given anything new.
    pub(super) lost: Vec<(TopicPartition, Epoch)>,
    /// The partition whose records it received last: the others come first.
    pub(super) last_served: Option<TopicPartition>,
}

/// What its owner does with a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// Keeps it.
    Keeping,
    /// Is to be told to let go.
    MustLeave { by: Instant },
    /// Was told.
    Leaving { by: Instant, release: ReleaseId },
}

/// A partition's owner.
pub(super) struct Holder {
    pub(super) member: MemberId,
    pub(super) hold: Hold,
    /// The epoch under which it may commit; `None` until it is (again) told.
    pub(super) epoch: Option<Epoch>,
    /// The last epoch that it was told.
    pub(super) told: Option<Epoch>,
    pub(super) position: u64,
    pub(super) paused: bool,
    pub(super) stopped: Stop,
}

/// Whether a partition can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    No,
    /// Its owner has still to be told why not.
    Untold(String),
    Told,
}

impl Holder {
    fn new(member: MemberId) -> Self {
        Self {
            member,
            hold: Hold::Keeping,
            epoch: None,
            told: None,
            position: 0,
            paused: false,
            stopped: Stop::No,
        }
    }

    /// Whether records may be given to it.
    pub(super) fn reads(&self) -> bool {
        self.epoch.is_some()
            && !self.paused
            && self.hold == Hold::Keeping
            && self.stopped == Stop::No
    }
}

/// A partition of a group.
#[derive(Default)]
pub(super) struct Slot {
    /// Who should own it.
    pub(super) target: Option<MemberId>,
    /// Who owns it.
    pub(super) holder: Option<Holder>,
    /// Commits on their way to the disk. The next owner begins only after them.
    pub(super) committing: usize,
}

/// A consumer group with members.
#[derive(Default)]
pub(super) struct Group {
    pub(super) members: BTreeMap<MemberId, Member>,
    pub(super) slots: BTreeMap<TopicPartition, Slot>,
}

impl Group {
    pub(super) fn wake(&self, member: MemberId) {
        if let Some(member) = self.members.get(&member) {
            member.wake.send_replace(());
        }
    }

    /// Decides anew who should own what, after a member came or left.
    pub(super) fn rebalance(&mut self, now: Instant) {
        let mut topics: BTreeMap<Arc<str>, Vec<TopicPartition>> = BTreeMap::new();
        for at in self.slots.keys() {
            topics.entry(at.topic.clone()).or_default().push(at.clone());
        }
        let mut loads = BTreeMap::new();
        for (topic, partitions) in topics {
            let members: Vec<MemberId> = self
                .members
                .iter()
                .filter(|(_, member)| member.topics.contains(&topic))
                .map(|(id, _)| *id)
                .collect();
            let owners: Vec<_> = partitions
                .iter()
                .map(|at| self.slots.get(at).and_then(|slot| slot.target))
                .map(|owner| owner.filter(|id| members.contains(id)))
                .collect();
            let shared = share(&owners, &members, &mut loads);
            for (at, target) in partitions.iter().zip(shared) {
                self.aim(at, target, now);
            }
        }
        self.settle(now);
    }

    /// Sets who should own a partition, and asks its present owner to let go if that is another.
    fn aim(&mut self, at: &TopicPartition, target: Option<MemberId>, now: Instant) {
        let Some(slot) = self.slots.get_mut(at) else { return };
        slot.target = target;
        let Some(holder) = &mut slot.holder else { return };
        let Some(member) = self.members.get(&holder.member) else {
            slot.holder = None;
            return;
        };
        if target == Some(holder.member) {
            if matches!(holder.hold, Hold::MustLeave { .. }) {
                holder.hold = Hold::Keeping;
            }
        } else if holder.told.is_none() {
            slot.holder = None;
        } else if holder.hold == Hold::Keeping {
            holder.hold = Hold::MustLeave { by: now + member.revoke_deadline };
            member.wake.send_replace(());
        }
    }

    /// Takes partitions from owners whose time is up, and gives free ones to those who should own
    /// them.
    pub(super) fn settle(&mut self, now: Instant) {
        for (at, slot) in &mut self.slots {
            if let Some(holder) = &slot.holder {
                let (overdue, told) = match holder.hold {
                    Hold::Keeping => (false, true),
                    Hold::MustLeave { by } => (by <= now, false),
                    Hold::Leaving { by, .. } => (by <= now, true),
                };
                if overdue {
                    if let (false, Some(epoch)) = (told, holder.told)
                        && let Some(member) = self.members.get_mut(&holder.member)
                    {
                        member.lost.push((at.clone(), epoch));
                        member.wake.send_replace(());
                    }
                    slot.holder = None;
                }
            }
            if slot.holder.is_none()
                && let Some(target) = slot.target
                && let Some(member) = self.members.get(&target)
            {
                slot.holder = Some(Holder::new(target));
                member.wake.send_replace(());
            }
        }
    }

    /// The owner has let go of everything that one revocation named.
    pub(super) fn released(&mut self, release: ReleaseId, now: Instant) {
        for slot in self.slots.values_mut() {
            let leaving = |holder: &Holder| matches!(holder.hold, Hold::Leaving { release: of, .. } if of == release);
            if slot.holder.as_ref().is_some_and(leaving) {
                slot.holder = None;
            }
        }
        self.settle(now);
    }

    /// When this member has to look again, because another may then have lost what it waits for.
    pub(super) fn next_deadline(&self, waiting: MemberId) -> Option<Instant> {
        let slots = self.slots.values().filter(|slot| slot.target == Some(waiting));
        slots
            .filter_map(|slot| match slot.holder.as_ref()?.hold {
                Hold::Keeping => None,
                Hold::MustLeave { by } | Hold::Leaving { by, .. } => Some(by),
            })
            .min()
    }

    /// Removes a member; what it owned goes to others at once.
    pub(super) fn remove(&mut self, member: MemberId, now: Instant) {
        if self.members.remove(&member).is_none() {
            return;
        }
        for slot in self.slots.values_mut() {
            if slot.holder.as_ref().is_some_and(|holder| holder.member == member) {
                slot.holder = None;
            }
        }
        self.rebalance(now);
    }
}
