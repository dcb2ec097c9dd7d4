//! Waiting for what a service stands on: brokers and databases start in any order.
//!
//! An attempt is repeated with growing waits; the reason is logged when it changes and every ten
//! seconds, and /ready shows it. Never gives up: whoever watches /ready decides that.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chat4all_process::backoff::{Backoff, BackoffPolicy};
use chat4all_process::exit;
use chat4all_process::probe::{Probes, ReadyCheck};
use chat4all_process::{Failure, Random};
use tokio::time::Instant;

/// The waits between two attempts.
const BETWEEN: BackoffPolicy =
    BackoffPolicy::new(Duration::from_millis(200), Duration::from_secs(2));

/// How often an unchanged reason is logged again.
const REMIND: Duration = Duration::from_secs(10);

/// Why an attempt did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It may succeed later.
    Later(String),
    /// It never will: the process ends.
    Never(Failure),
}

impl Trouble {
    /// The configuration, or what it points to, does not allow a start.
    pub fn configuration(text: impl std::fmt::Display) -> Self {
        Self::Never(Failure::new(exit::CONFIGURATION, format!("configuration: {text}")))
    }
}

/// What is waited for, and why.
#[derive(Clone)]
pub(crate) struct Waiting {
    board: Arc<Mutex<BTreeMap<&'static str, String>>>,
    random: Random,
}

impl Waiting {
    /// Nothing of this has been tried yet.
    pub(crate) fn new(dependencies: &[&'static str], random: Random) -> Self {
        let untried = |name: &&'static str| (*name, "not tried yet".to_owned());
        let board = dependencies.iter().map(untried).collect();
        Self { board: Arc::new(Mutex::new(board)), random }
    }

    fn set(&self, dependency: &'static str, state: String) {
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        board.insert(dependency, state);
    }

    /// Adds each of them to /ready.
    pub(crate) fn show(&self, probes: Probes) -> Probes {
        let names: Vec<&'static str> = {
            let board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
            board.keys().copied().collect()
        };
        names.into_iter().fold(probes, |probes, name| probes.ready_when(name, self.check(name)))
    }

    fn check(&self, dependency: &'static str) -> ReadyCheck {
        let board = self.board.clone();
        Arc::new(move || {
            let board = board.lock().unwrap_or_else(PoisonError::into_inner);
            let state = match board.get(dependency) {
                Some(why) => Err(why.clone()),
                None => Ok(()),
            };
            Box::pin(std::future::ready(state))
        })
    }

    /// Tries until it succeeds.
    ///
    /// # Errors
    /// If it never will.
    pub(crate) async fn until<T, F: Future<Output = Result<T, Trouble>>>(
        &self,
        dependency: &'static str,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, Failure> {
        let mut backoff = Backoff::new(BETWEEN, self.random.fork());
        let mut last: Option<(String, Instant)> = None;
        loop {
            match attempt().await {
                Ok(value) => {
                    if last.is_some() {
                        tracing::info!(dependency, "is there now");
                    }
                    let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
                    board.remove(dependency);
                    return Ok(value);
                }
                Err(Trouble::Never(failure)) => return Err(failure),
                Err(Trouble::Later(why)) => {
                    let now = Instant::now();
                    let is_news =
                        last.as_ref().is_none_or(|(text, at)| *text != why || *at + REMIND <= now);
                    if is_news {
                        tracing::warn!(dependency, why, "not there yet; waiting for it");
                        last = Some((why.clone(), now));
                    }
                    self.set(dependency, why);
                }
            }
            tokio::time::sleep(backoff.next_half_jittered()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn state(waiting: &Waiting) -> Result<(), String> {
        waiting.check("store")().await
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_there_is_tried_again_and_shown_until_it_is() {
        let waiting = Waiting::new(&["store"], Random::seeded(1));
        assert_eq!(state(&waiting).await, Err("not tried yet".to_owned()));
        let mut attempts = 0;
        let began = Instant::now();
        let got = waiting
            .until("store", || {
                attempts += 1;
                let result =
                    if attempts < 20 { Err(Trouble::Later("away".to_owned())) } else { Ok(7) };
                std::future::ready(result)
            })
            .await;
        assert_eq!((got, state(&waiting).await), (Ok(7), Ok(())));
        // Growing waits, and none longer than two seconds.
        let took = began.elapsed();
        assert!(took > Duration::from_secs(10) && took < Duration::from_secs(40), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_comes_ends_the_wait_at_once() {
        let waiting = Waiting::new(&["store"], Random::seeded(1));
        let never = Trouble::configuration("topic a has 2 partitions");
        let result: Result<(), Failure> =
            waiting.until("store", || std::future::ready(Err(never.clone()))).await;
        let failure = result.unwrap_err();
        assert_eq!(failure.code, exit::CONFIGURATION);
        assert!(failure.text.starts_with("configuration: topic a"), "{failure:?}");
    }
}
