//! What goes wrong between a process and the store. A call always takes a moment, so that calls
//! of several events mix.

use std::sync::Mutex;
use std::time::Duration;

use chat4all_store::faulty::{StoreFault, StoreFaults as Port};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::{Instant, sleep, sleep_until};

use crate::faults::{Dice, Fault};

/// How long a call takes at most, each way, when nothing is wrong.
const MOMENT: Duration = Duration::from_millis(4);
const SLOW: Duration = Duration::from_secs(1);
/// How long a driver waits for a store that is away.
const PATIENCE: Duration = Duration::from_millis(500);

pub struct StoreFaults {
    dice: Dice,
    /// Away until then.
    away: Mutex<Option<Instant>>,
}

impl StoreFaults {
    pub fn new(dice: Dice) -> Self {
        Self { dice, away: Mutex::new(None) }
    }

    pub fn be_away_until(&self, until: Instant) {
        *self.away.lock().unwrap() = Some(until);
    }
}

impl Port for StoreFaults {
    fn before(&self, writes: bool) -> BoxFuture<'static, Option<StoreFault>> {
        let slow = if self.dice.roll(Fault::StoreSlow) { SLOW } else { MOMENT };
        let wait = self.dice.random().duration_between(Duration::ZERO, slow);
        let away = self.away.lock().unwrap().filter(|until| Instant::now() < *until);
        if let Some(until) = away {
            let patience = until.min(Instant::now() + PATIENCE);
            // sleep: the driver's patience
            return sleep_until(patience).map(|()| Some(StoreFault::NotDone)).boxed();
        }
        let fault = if self.dice.roll(Fault::StoreFailed) {
            Some(StoreFault::NotDone)
        } else {
            (writes && self.dice.roll(Fault::StoreUnacked)).then_some(StoreFault::Done)
        };
        // sleep: the call's way
        sleep(wait).map(move |()| fault).boxed()
    }

    fn after(&self) -> BoxFuture<'static, ()> {
        // sleep: the answer's way
        sleep(self.dice.random().duration_between(Duration::ZERO, MOMENT)).boxed()
    }
}
