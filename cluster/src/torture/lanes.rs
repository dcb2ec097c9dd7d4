//! Carries the schedule out, each lane by itself.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::time::{Instant, sleep, sleep_until};

use super::act::{Act, Lane};
use super::fleet::Fleet;
use super::recovery::Recovery;
use super::schedule::Step;
use super::setup;
use super::shared::Shared;

/// Of processes and servers. Answers how many acts the time was too short for.
pub async fn processes(fleet: &mut Fleet, steps: &[Step], until: Duration, shared: &Shared) -> u64 {
    for (done, Step { at, act }) in steps.iter().enumerate() {
        sleep_until(shared.board.at(*at)).await;
        if shared.board.elapsed() > until {
            return (steps.len() - done) as u64;
        }
        shared.board.begins(Lane::Processes, act);
        // A helper that gives up panics: that is a finding, and no end of the run.
        let performed = AssertUnwindSafe(async {
            fleet.look_after().await;
            fleet.perform(act).await;
        });
        if let Err(panic) = performed.catch_unwind().await {
            let text = format!("{act}: {}", words(&*panic));
            shared.board.finds("everything goes on after trouble", None, text);
            let healed = AssertUnwindSafe(fleet.heal()).catch_unwind().await;
            if let Err(panic) = healed {
                let text = format!("the end of {act}: {}", words(&*panic));
                shared.board.finds("everything goes on after trouble", None, text);
                return (steps.len() - done) as u64;
            }
        }
        shared.board.ends(Lane::Processes);
    }
    0
}

/// Of what platforms answer. Several may go on beside each other.
pub async fn platforms(steps: &[Step], shared: &Shared, recovery: &Recovery) {
    let mut troubles = FuturesUnordered::new();
    for Step { at, act } in steps {
        let mut due = pin!(sleep_until(shared.board.at(*at)));
        loop {
            tokio::select! {
                biased;
                () = &mut due => break,
                Some(()) = troubles.next() => {}
            }
        }
        let Act::Platform { platform, account, trouble, calls, lasting } = act else { continue };
        shared.board.begins(Lane::Platforms, act);
        let account = account.map(|number| setup::id_of(platform, number));
        let fault = shared.platforms.begin(platform, account.as_deref(), *trouble, *calls).await;
        troubles.push(async move {
            sleep(*lasting).await;
            let marks = recovery.mark_of_accounts(platform, account).await;
            shared.platforms.end(fault).await;
            shared.board.note("ends", act.to_json());
            shared.board.ends(Lane::Platforms);
            recovery.goes_on(&act.kind(), marks, Instant::now()).await;
        });
    }
    while troubles.next().await.is_some() {}
}

/// What a panic says.
pub fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "a panic without words".to_owned())
}
