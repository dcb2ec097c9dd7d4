//! What an account's gateway cannot start yet.
//!
//! Fair: the oldest and the newest take turns. A burst to ten thousand receivers then moves on from
//! its front, and a conversation that gets a message now and then, behind that burst, hardly notices
//! it. Taking the newest first is what queues that must not be late do (Maurer, "Fail at Scale",
//! ACM Queue, 2015); the other half of the turns keeps the oldest from waiting for ever.
//!
//! A receiver to whom the platform takes no more messages for now waits apart, and nobody behind him.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use chat4all_contracts::ReceiverId;
use tokio::time::Instant;

/// How long a receiver's throttles are remembered after the last pause: the next one within this
/// time is longer.
const MEMORY: Duration = Duration::from_secs(600);

/// The most receivers that are remembered although nothing waits for them.
const REMEMBERED: usize = 10_000;

/// The pauses of a receiver, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecipientPause {
    /// The first.
    pub first: Duration,
    /// Each is so many times as long as the one before.
    pub factor: u32,
    /// The longest.
    pub longest: Duration,
}

impl RecipientPause {
    /// The pause after this many throttles in a row, at least 1.
    fn after(&self, throttles: u32) -> Duration {
        let factor = self.factor.max(1).saturating_pow(throttles.saturating_sub(1));
        self.first.saturating_mul(factor).min(self.longest)
    }
}

/// See the module. Jobs of any kind, so that the rules can be tested without actors.
#[derive(Debug)]
pub struct Parked<J> {
    /// In the order of their coming; what has waited for a receiver's pause comes first.
    ready: VecDeque<(ReceiverId, J)>,
    newest_next: bool,
    recipients: BTreeMap<ReceiverId, Recipient<J>>,
    /// When each pause ends that has not been seen to end.
    ends: BTreeSet<(Instant, ReceiverId)>,
    /// Receivers whose pause has ended, in the order of that; those that have been throttled again
    /// or forgotten since are still here, with another end.
    past: VecDeque<(Instant, ReceiverId)>,
    /// How many wait for a receiver's pause.
    waiting: usize,
    pause: RecipientPause,
}

#[derive(Debug)]
struct Recipient<J> {
    until: Instant,
    throttles: u32,
    throttled_at: Instant,
    waiting: VecDeque<J>,
}

impl<J> Parked<J> {
    /// Nothing.
    pub fn new(pause: RecipientPause) -> Self {
        Self {
            ready: VecDeque::new(),
            newest_next: false,
            recipients: BTreeMap::new(),
            ends: BTreeSet::new(),
            past: VecDeque::new(),
            waiting: 0,
            pause,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ready.len() + self.waiting
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &J> {
        let waiting = self.recipients.values().flat_map(|recipient| recipient.waiting.iter());
        self.ready.iter().map(|(_, job)| job).chain(waiting)
    }

    /// Parks a job.
    pub fn push(&mut self, to: ReceiverId, job: J, now: Instant) {
        match self.recipients.get_mut(&to).filter(|recipient| recipient.until > now) {
            Some(recipient) => {
                recipient.waiting.push_back(job);
                self.waiting += 1;
            }
            None => self.ready.push_back((to, job)),
        }
    }

    /// Lets go of receivers whose pause is over. Call it before [`Parked::has_ready`].
    pub fn release(&mut self, now: Instant) {
        while self.ends.first().is_some_and(|(until, _)| *until <= now) {
            let Some((until, to)) = self.ends.pop_first() else { break };
            if let Some(recipient) = self.recipients.get_mut(&to) {
                self.waiting -= recipient.waiting.len();
                for job in std::mem::take(&mut recipient.waiting).into_iter().rev() {
                    self.ready.push_front((to.clone(), job));
                }
            }
            self.past.push_back((until, to));
        }
        self.forget(now);
    }

    /// Forgets receivers that have been left alone for long, or are too many.
    fn forget(&mut self, now: Instant) {
        while let Some((until, to)) = self.past.front() {
            let is_meant = self.recipients.get(to).is_some_and(|r| r.until == *until);
            let is_old = now.saturating_duration_since(*until) >= MEMORY;
            if is_meant && !is_old && self.past.len() <= REMEMBERED {
                return;
            }
            if is_meant {
                self.recipients.remove(to);
            }
            self.past.pop_front();
        }
    }

    /// Whether something could start now, as far as receivers are concerned.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The next to start: the oldest and the newest in turn.
    pub fn take(&mut self) -> Option<J> {
        let next = if self.newest_next { self.ready.pop_back() } else { self.ready.pop_front() };
        self.newest_next = !self.newest_next;
        next.map(|(_, job)| job)
    }

    /// The oldest: for a probe of a platform that fails. What comes back from a probe is parked as
    /// the newest, so each probe costs another message its doubt.
    pub fn take_oldest(&mut self) -> Option<J> {
        self.ready.pop_front().map(|(_, job)| job)
    }

    /// When the next receiver's pause ends that somebody waits for.
    pub fn next_release(&self) -> Option<Instant> {
        if self.waiting == 0 {
            return None;
        }
        let is_waited_for = |to: &ReceiverId| {
            self.recipients.get(to).is_some_and(|recipient| !recipient.waiting.is_empty())
        };
        self.ends.iter().find(|(_, to)| is_waited_for(to)).map(|(until, _)| *until)
    }

    /// The platform throttled a call to this receiver that had begun at `began`; `after` is what it
    /// said.
    pub fn throttled(
        &mut self,
        to: ReceiverId,
        began: Instant,
        after: Option<Duration>,
        now: Instant,
    ) {
        let before = self.recipients.remove(&to);
        let mut recipient = before.unwrap_or(Recipient {
            until: now,
            throttles: 0,
            throttled_at: began,
            waiting: VecDeque::new(),
        });
        self.ends.remove(&(recipient.until, to.clone()));
        // Calls that were under way at the first throttle are one reason, not several.
        if recipient.throttles == 0 || began >= recipient.throttled_at {
            recipient.throttles = recipient.throttles.saturating_add(1);
            recipient.throttled_at = now;
        }
        let pause = after.unwrap_or(self.pause.after(recipient.throttles));
        recipient.until = recipient.until.max(now + pause);
        self.ends.insert((recipient.until, to.clone()));
        self.recipients.insert(to, recipient);
    }

    /// The platform took a message to this receiver: his next throttle is a first one again.
    pub fn taken(&mut self, to: &ReceiverId, now: Instant) {
        let Some(recipient) = self.recipients.get(to) else { return };
        if recipient.until <= now && recipient.waiting.is_empty() {
            self.ends.remove(&(recipient.until, to.clone()));
            self.recipients.remove(to);
        }
    }

    /// Hands out everything for which `leaves` is true.
    pub fn remove_where(&mut self, leaves: impl Fn(&J) -> bool) -> Vec<J> {
        let mut removed = Vec::new();
        let mut kept = VecDeque::with_capacity(self.ready.len());
        for (to, job) in std::mem::take(&mut self.ready) {
            if leaves(&job) {
                removed.push(job);
            } else {
                kept.push_back((to, job));
            }
        }
        self.ready = kept;
        for recipient in self.recipients.values_mut() {
            let (out, stay): (Vec<J>, Vec<J>) =
                std::mem::take(&mut recipient.waiting).into_iter().partition(&leaves);
            self.waiting -= out.len();
            recipient.waiting = stay.into();
            removed.extend(out);
        }
        removed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn to(n: u32) -> ReceiverId {
        ReceiverId::new(&format!("p:{n}")).unwrap()
    }

    fn parked() -> Parked<u32> {
        Parked::new(RecipientPause { first: 4 * SECOND, factor: 4, longest: 3_600 * SECOND })
    }

    fn take(parked: &mut Parked<u32>, now: Instant) -> Option<u32> {
        parked.release(now);
        parked.take()
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_does_not_starve_who_comes_after_it() {
        let (mut parked, now) = (parked(), Instant::now());
        for n in 0..10_000 {
            parked.push(to(n), n, now);
        }
        // One more a second, while 80 a second can start.
        let mut waited = 0;
        for second in 0..100 {
            let late = 20_000 + second;
            parked.push(to(20_000), late, now);
            let taken: Vec<u32> = (0..80).filter_map(|_| take(&mut parked, now)).collect();
            let position = taken.iter().position(|n| *n == late).expect("within its second");
            waited = waited.max(position);
        }
        assert!(waited <= 1, "behind {waited}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_not_starved_by_who_comes_after_it() {
        let (mut parked, now) = (parked(), Instant::now());
        (0..100).for_each(|n| parked.push(to(n), n, now));
        let mut of_the_burst = 0;
        for n in 0..200 {
            parked.push(to(1_000 + n), 1_000 + n, now);
            of_the_burst += u32::from(take(&mut parked, now).is_some_and(|n| n < 100));
        }
        assert_eq!(of_the_burst, 100);
    }

    #[tokio::test(start_paused = true)]
    async fn probes_go_through_all_that_wait() {
        let (mut parked, now) = (parked(), Instant::now());
        (0..10).for_each(|n| parked.push(to(n), n, now));
        let mut probes = vec![0; 10];
        for _ in 0..50 {
            let probe = parked.take_oldest().unwrap();
            probes[probe as usize] += 1;
            parked.push(to(probe), probe, now);
        }
        assert_eq!(probes, [5; 10]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_receiver_waits_longer_each_time_and_alone() {
        let (mut parked, mut now) = (parked(), Instant::now());
        for pause in [4, 16, 64, 256, 1_024, 3_600, 3_600] {
            parked.throttled(to(1), now, None, now);
            parked.push(to(1), 1, now);
            parked.push(to(2), 2, now);
            assert_eq!(take(&mut parked, now), Some(2));
            assert_eq!(parked.next_release(), Some(now + pause * SECOND));
            let until = now + pause * SECOND;
            assert_eq!(take(&mut parked, until - Duration::from_millis(1)), None);
            assert_eq!(take(&mut parked, until), Some(1));
            now = until;
        }
        parked.taken(&to(1), now);
        parked.throttled(to(1), now, None, now);
        parked.push(to(1), 1, now);
        assert_eq!(parked.next_release(), Some(now + 4 * SECOND), "a first one again");
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_platform_says_is_honoured_and_calls_under_way_count_once() {
        let (mut parked, now) = (parked(), Instant::now());
        for _ in 0..10 {
            parked.throttled(to(1), now, None, now + SECOND);
        }
        parked.push(to(1), 1, now + SECOND);
        assert_eq!(parked.next_release(), Some(now + 5 * SECOND));
        parked.throttled(to(1), now + 5 * SECOND, Some(60 * SECOND), now + 6 * SECOND);
        assert_eq!(parked.next_release(), Some(now + 66 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn order_to_a_receiver_outlasts_his_pause() {
        let (mut parked, now) = (parked(), Instant::now());
        parked.throttled(to(1), now, None, now);
        (0..3).for_each(|n| parked.push(to(1), n, now));
        parked.release(now + 4 * SECOND);
        let in_order: Vec<u32> = parked.ready.iter().map(|(_, n)| *n).collect();
        assert_eq!((in_order, parked.len()), (vec![0, 1, 2], 3));
    }

    #[tokio::test(start_paused = true)]
    async fn its_memory_of_receivers_is_bounded() {
        let (mut parked, now) = (parked(), Instant::now());
        let many = REMEMBERED as u32 + 100;
        (0..many).for_each(|n| parked.throttled(to(n), now, None, now));
        parked.release(now + 5 * SECOND);
        assert_eq!(parked.recipients.len(), REMEMBERED);
        parked.release(now + MEMORY + 5 * SECOND);
        assert_eq!((parked.recipients.len(), parked.ends.len(), parked.past.len()), (0, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_leaves_is_taken_from_everywhere() {
        let (mut parked, now) = (parked(), Instant::now());
        parked.throttled(to(1), now, None, now);
        for n in 0..10 {
            parked.push(to(n % 2), n, now);
        }
        assert_eq!(parked.remove_where(|n| *n < 4).len(), 4);
        assert_eq!((parked.len(), parked.waiting), (6, 3));
    }
}
