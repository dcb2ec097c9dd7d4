//! How many calls may be under way at once: as many as the database answers in time.
//!
//! More calls than a database can answer within their time limit are worse than useless: each is
//! worked on, given up, and asked again, and the database never recovers (a metastable failure:
//! Bronson et al., 2021). So the number of calls follows the answers, as the window of a TCP
//! connection follows its acknowledgements (Reno, RFC 5681): it grows by one with each answer in time
//! while it is small, later by one with each round of answers, and halves when one comes late. What
//! waits for its turn costs the database nothing.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// Where it begins: what one small node answers at once.
const INITIAL: usize = 16;

/// The fewest calls at once. Also finds out when the database is quick again.
const FEWEST: usize = 2;

/// See the module.
pub(super) struct Limiter {
    room: Semaphore,
    state: Mutex<State>,
    most: usize,
    /// An answer after this is late.
    late: Duration,
}

struct State {
    /// How many may be under way, with the fraction that has grown so far.
    window: f64,
    /// Up to here it grows quickly: half of what was too much, and at least where it began.
    threshold: f64,
    /// Permits that exist, in the semaphore or with calls.
    permits: usize,
    /// The last time that it halved.
    halved: Option<Instant>,
}

/// The right to be under way. Dropping it gives the place to the next call; a call that its caller has
/// given up shows something about the database only if it was late by then.
pub(super) struct Turn<'a> {
    limiter: &'a Limiter,
    permit: Option<SemaphorePermit<'a>>,
    began: Instant,
    /// Whether every place was taken then: otherwise an answer does not show that there could be more.
    is_full: bool,
    is_ended: bool,
}

impl Limiter {
    /// At most `most` calls at once; an answer after `late` shows that there are too many.
    pub(super) fn new(most: usize, late: Duration) -> Self {
        let permits = INITIAL.min(most);
        let state = State { window: permits as f64, threshold: most as f64, permits, halved: None };
        Self { room: Semaphore::new(permits), state: Mutex::new(state), most, late }
    }

    /// Waits for a place, in the order of the calls.
    pub(super) async fn turn(&self) -> Turn<'_> {
        // Never closed, so there is always a permit.
        let permit = self.room.acquire().await.ok();
        let (began, is_full) = (Instant::now(), self.room.available_permits() == 0);
        Turn { limiter: self, permit, began, is_full, is_ended: false }
    }

    /// How many calls may be under way now.
    pub(super) fn window(&self) -> usize {
        self.with(|state| state.window as usize)
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        // Every change is complete before anything that could panic.
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Turn<'_> {
    /// The call is over. `is_refused` = the database did not answer, or could not do it.
    pub(super) fn ended(mut self, is_refused: bool) {
        self.is_ended = true;
        let now = Instant::now();
        let is_late = is_refused || now.duration_since(self.began) > self.limiter.late;
        let most = self.limiter.most as f64;
        self.limiter.with(|state| match is_late {
            true => state.shrink(self.began, now, most),
            false if self.is_full => state.grow(most),
            false => {}
        });
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let now = Instant::now();
        let is_late = !self.is_ended && now.duration_since(self.began) > self.limiter.late;
        let (room, most) = (&self.limiter.room, self.limiter.most as f64);
        self.limiter.with(|state| {
            if is_late {
                state.shrink(self.began, now, most);
            }
            let wanted = state.window as usize;
            if state.permits > wanted {
                state.permits -= 1;
                permit.forget();
            } else {
                drop(permit);
                room.add_permits(wanted - state.permits);
                state.permits = wanted;
            }
        });
    }
}

impl State {
    fn grow(&mut self, most: f64) {
        let by = if self.window < self.threshold { 1.0 } else { 1.0 / self.window };
        self.window = (self.window + by).min(most);
    }

    /// Once for all the calls that were under way when the first of them was late.
    fn shrink(&mut self, began: Instant, now: Instant, most: f64) {
        if self.halved.is_none_or(|at| began >= at) {
            self.window = (self.window / 2.0).max(FEWEST as f64).min(most);
            self.threshold = self.window.max(INITIAL as f64);
            self.halved = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use futures::stream::FuturesUnordered;

    use super::*;

    const LATE: Duration = Duration::from_secs(1);

    /// Calls of one length, as many as may be under way, for a time.
    async fn play(limiter: &Limiter, seconds: u64, length: impl Fn(usize) -> Duration) -> usize {
        let end = Instant::now() + Duration::from_secs(seconds);
        let (mut most, mut calls) = (0, FuturesUnordered::new());
        for _ in 0..500 {
            calls.push(async {
                while Instant::now() < end {
                    let turn = limiter.turn().await;
                    tokio::time::sleep(length(limiter.under_way())).await;
                    turn.ended(false);
                }
            });
        }
        let ended = async { while calls.next().await.is_some() {} };
        tokio::pin!(ended);
        loop {
            tokio::select! {
                biased;
                () = &mut ended => return most,
                () = tokio::time::sleep(Duration::from_millis(10)) => {
                    most = most.max(limiter.under_way());
                }
            }
        }
    }

    impl Limiter {
        fn under_way(&self) -> usize {
            self.with(|state| state.permits) - self.room.available_permits()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_quick_database_gets_as_many_calls_as_it_may() {
        let limiter = Limiter::new(128, LATE);
        assert_eq!(play(&limiter, 5, |_| Duration::from_millis(20)).await, 128);
        assert_eq!(limiter.window(), 128);
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_that_slows_down_under_calls_gets_what_it_answers_in_time() {
        let limiter = Limiter::new(512, LATE);
        // A hundred calls a second, whatever is asked of it.
        let length = |under_way: usize| Duration::from_millis(10 * under_way as u64);
        play(&limiter, 120, length).await;
        assert!((40..=110).contains(&limiter.window()), "{}", limiter.window());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_answers_nothing_is_hardly_asked_and_soon_gets_everything_again() {
        let limiter = Limiter::new(512, LATE);
        for _ in 0..20 {
            let turn = limiter.turn().await;
            tokio::time::sleep(LATE).await;
            turn.ended(true);
        }
        assert_eq!(limiter.window(), FEWEST);
        play(&limiter, 5, |_| Duration::from_millis(5)).await;
        assert!(limiter.window() > 30, "{}", limiter.window());
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_were_under_way_together_halve_it_once() {
        let limiter = Limiter::new(512, LATE);
        let mut turns = Vec::new();
        for _ in 0..INITIAL {
            turns.push(limiter.turn().await);
        }
        tokio::time::sleep(2 * LATE).await;
        turns.into_iter().for_each(|turn| turn.ended(true));
        assert_eq!((limiter.window(), limiter.under_way()), (INITIAL / 2, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_gives_up_leaves_his_place_and_tells_of_a_late_database_only() {
        let limiter = Limiter::new(1, LATE);
        drop(limiter.turn().await);
        tokio::time::timeout(LATE, limiter.turn()).await.unwrap().ended(false);
        assert_eq!(limiter.window(), 1);
        let limiter = Limiter::new(64, LATE);
        drop(limiter.turn().await);
        assert_eq!(limiter.window(), INITIAL);
        let turn = limiter.turn().await;
        tokio::time::sleep(2 * LATE).await;
        drop(turn);
        assert_eq!(limiter.window(), INITIAL / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn one_call_at_a_time_stays_one() {
        let limiter = Limiter::new(1, LATE);
        limiter.turn().await.ended(true);
        assert_eq!((limiter.window(), limiter.under_way()), (1, 0));
    }
}
