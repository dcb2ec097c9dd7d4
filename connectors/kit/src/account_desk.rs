//! AccountDesk: reads what operators want of the accounts, sees to it that their gateways obey, and
//! publishes how each account is.
//!
//! The actor only keeps a companion task, which waits for three things at once. An order takes
//! effect through [`Steering`]; the gateways are told that there is something to look at.

mod desk;
mod orders;
mod publishing;

use std::sync::Arc;
use std::time::Duration;

use chat4all_contracts::PlatformName;
use chat4all_eventlog::EventLog;
use chat4all_process::{Clock, Random, Shutdown};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use thiserror::Error;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::directory::Directory;
use crate::steering::Steering;
use desk::Desk;

/// The actor.
pub struct AccountDesk;

/// What it is told.
pub enum DeskMsg {
    /// Its companion is gone.
    CompanionEnded,
}

/// What a desk stands on.
#[derive(Clone)]
pub struct DeskArgs {
    /// The service's name in metrics.
    pub service: &'static str,
    /// The platform.
    pub platform: PlatformName,
    /// Which process this is, for people.
    pub owner: String,
    /// Where orders are read.
    pub log: Arc<dyn EventLog>,
    /// The gateways and the publisher.
    pub directory: Arc<Directory>,
    /// What the gateways obey.
    pub steering: Steering,
    /// The time of day.
    pub clock: Clock,
    /// For backoff.
    pub random: Random,
}

/// The companion ended although nobody had asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the account desk's companion ended")]
pub struct CompanionLost;

/// How long the last states may take before the desk closes.
const LAST_STATES: Duration = Duration::from_secs(2);

/// See the module.
pub struct DeskState {
    companion: JoinHandle<()>,
    closing: Shutdown,
}

impl Drop for DeskState {
    fn drop(&mut self) {
        self.companion.abort();
    }
}

/// Tells the actor when the companion ends, however it ends.
struct Farewell(ActorRef<DeskMsg>);

impl Drop for Farewell {
    fn drop(&mut self) {
        // An actor that is gone has ended it.
        let _gone = self.0.send_message(DeskMsg::CompanionEnded);
    }
}

impl Actor for AccountDesk {
    type Msg = DeskMsg;
    type State = DeskState;
    type Arguments = DeskArgs;

    async fn pre_start(
        &self,
        myself: ActorRef<DeskMsg>,
        args: DeskArgs,
    ) -> Result<DeskState, ActorProcessingErr> {
        let (closing, farewell) = (Shutdown::new(), Farewell(myself));
        let desk = Desk::new(args);
        let until = closing.clone();
        let companion = tokio::spawn(async move {
            let _farewell = farewell;
            desk.run(&until).await;
        });
        Ok(DeskState { companion, closing })
    }

    async fn handle(
        &self,
        _: ActorRef<DeskMsg>,
        message: DeskMsg,
        _: &mut DeskState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            DeskMsg::CompanionEnded => Err(CompanionLost.into()),
        }
    }

    async fn post_stop(
        &self,
        _: ActorRef<DeskMsg>,
        state: &mut DeskState,
    ) -> Result<(), ActorProcessingErr> {
        state.closing.trigger();
        // What is not published by then is seen in the state's age.
        if timeout(LAST_STATES, &mut state.companion).await.is_err() {
            tracing::warn!("the last states of the accounts were not published");
        }
        Ok(())
    }
}
