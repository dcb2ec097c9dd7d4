//! Where an open message waits, and why.

use std::collections::BTreeMap;
use std::sync::Arc;

use chat4all_contracts::{
    AccountCondition, AccountName, Message, Reason, Status, group, partition, topic,
};
use chat4all_eventlog::{LogError, TopicPartition};
use chat4all_store::StoredMessage;
use tokio::time::timeout;

use super::backlog::Backlog;
use crate::shared::Shared;

/// Where a message waits, and why, in words for people.
pub(super) struct Wait {
    pub(super) place: &'static str,
    pub(super) why: String,
}

/// The backlogs that the messages of a page may wait in; `None` = the log does not answer.
pub(super) struct Waits(Option<BTreeMap<TopicPartition, Backlog>>);

impl Shared {
    /// The platform and the account that a message goes out by.
    pub(super) fn way_of<'a>(&'a self, message: &'a Message) -> (&'a str, Option<&'a AccountName>) {
        let platform = message.receiver_id.platform();
        // A minimal record names no account: it goes out from the platform's default one.
        let default = || self.platforms.get(platform).map(|(_, spec)| &spec.default_account);
        (platform, message.account.as_ref().or_else(default))
    }

    fn routed_at(&self, message: &Message) -> TopicPartition {
        let key = message.conversation_id.as_str().as_bytes();
        TopicPartition::new(topic::MESSAGES, partition::for_key(key, self.messages_partitions))
    }

    /// The group and the partition of a message's connector; `None` if nobody serves it.
    fn delivered_at(&self, message: &Message) -> Option<(String, TopicPartition)> {
        let (platform, spec) = self.platforms.get(message.receiver_id.platform())?;
        let (_, account) = spec.account(message.account.as_ref())?;
        let at = TopicPartition::new(&topic::outbound(platform), account.partition);
        Some((group::connector(platform), at))
    }
}

impl Waits {
    /// Looks at the backlogs that open messages may wait in.
    pub(super) async fn look(api: &Arc<Shared>, open: &[StoredMessage]) -> Self {
        match timeout(api.settings.answer_timeout_ms.ms(), read(api, open)).await {
            Ok(Ok(backlogs)) => Self(Some(backlogs)),
            Ok(Err(error)) => {
                tracing::warn!(%error, "where open messages wait is not known");
                Self(None)
            }
            Err(_) => {
                tracing::warn!("where open messages wait is not known: no answer in time");
                Self(None)
            }
        }
    }

    pub(super) fn of(&self, api: &Shared, stored: &StoredMessage) -> Wait {
        let message = &stored.message;
        let wait = |place, why: &str| Wait { place, why: why.to_owned() };
        if stored.state.status() == Status::Unknown {
            let why = match stored.state.reason() {
                Some(Reason::PossibleDuplicate) => {
                    "a call was made and no answer came; it is called again unless a receipt comes"
                }
                _ => "a call was made and no answer came; a receipt may settle it",
            };
            return wait("in_doubt", why);
        }
        let Some(backlogs) = &self.0 else { return wait("unknown", "the log does not answer") };
        let waits_at =
            |at: &TopicPartition| backlogs.get(at).is_some_and(|backlog| backlog.holds(message));
        if waits_at(&api.routed_at(message)) {
            return wait("router_backlog", "the router has not come to it");
        }
        match api.delivered_at(message) {
            Some((_, at)) if waits_at(&at) => of_account(api, message),
            Some(_) => wait(
                "projection_behind",
                "router and connector are done with it; the store does not know its outcome yet",
            ),
            None => wait("projection_behind", "no connector serves it; the router says so"),
        }
    }
}

async fn read(
    api: &Shared,
    open: &[StoredMessage],
) -> Result<BTreeMap<TopicPartition, Backlog>, LogError> {
    let mut groups = BTreeMap::new();
    for stored in open.iter().filter(|stored| stored.state.status() == Status::Accepted) {
        groups.insert(api.routed_at(&stored.message), group::ROUTER.to_owned());
        groups.extend(api.delivered_at(&stored.message).map(|(group, at)| (at, group)));
    }
    let mut backlogs = BTreeMap::new();
    // The router first: what it hands on meanwhile is then seen at the connector, or at both.
    let (routers, connectors): (Vec<_>, Vec<_>) =
        groups.into_iter().partition(|(_, group)| group == group::ROUTER);
    for (at, group) in routers.into_iter().chain(connectors) {
        match Backlog::read(&*api.log, &group, &at).await {
            Ok(backlog) => drop(backlogs.insert(at, backlog)),
            // A platform without a topic has no connector yet.
            Err(LogError::UnknownPartition(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(backlogs)
}

/// Why a message waits at its connector, as that says of the account.
fn of_account(api: &Shared, message: &Message) -> Wait {
    let backlog = || Wait {
        place: "connector_backlog",
        why: "the connector has not come to it, is calling, or waits to call again".to_owned(),
    };
    let (platform, account) = api.way_of(message);
    let (Some((platform, _)), Some(account)) = (api.platforms.get(platform), account) else {
        return backlog();
    };
    let state = api.accounts.state(platform, account);
    let Some(state) = state else { return backlog() };
    let until = state.until.map(|until| format!(" until {}", until.to_rfc3339()));
    let until = until.unwrap_or_default();
    match state.state {
        AccountCondition::Active if state.parked == 0 => backlog(),
        AccountCondition::Active => Wait {
            place: "paced",
            why: format!("for the account's pace, or its receiver's: {} wait", state.parked),
        },
        parked => Wait { place: "parked", why: format!("the account is {}{until}", parked.word()) },
    }
}
