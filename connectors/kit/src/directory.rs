//! Where the actors are. Names would be global to the process and clash at a restart, so the
//! supervisor keeps the current references here and everyone looks them up at each use.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chat4all_contracts::AccountName;
use ractor::ActorRef;

use crate::gateway::GatewayMsg;
use crate::status_publisher::PublisherMsg;

/// The actors that others send to.
#[derive(Default)]
pub struct Directory {
    publisher: Mutex<Option<ActorRef<PublisherMsg>>>,
    gateways: Mutex<BTreeMap<AccountName, ActorRef<GatewayMsg>>>,
}

impl Directory {
    /// The current publisher, once it has been started.
    pub fn publisher(&self) -> Option<ActorRef<PublisherMsg>> {
        self.publisher.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the publisher.
    pub fn set_publisher(&self, publisher: ActorRef<PublisherMsg>) {
        *self.publisher.lock().unwrap_or_else(PoisonError::into_inner) = Some(publisher);
    }

    /// The current gateway of an account; `None` for an account that we do not have.
    pub fn gateway(&self, account: &AccountName) -> Option<ActorRef<GatewayMsg>> {
        self.gateways.lock().unwrap_or_else(PoisonError::into_inner).get(account).cloned()
    }

    /// Replaces an account's gateway.
    pub fn set_gateway(&self, account: AccountName, gateway: ActorRef<GatewayMsg>) {
        self.gateways.lock().unwrap_or_else(PoisonError::into_inner).insert(account, gateway);
    }

    /// All gateways, in the order of the accounts.
    pub fn gateways(&self) -> Vec<ActorRef<GatewayMsg>> {
        self.gateways.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
