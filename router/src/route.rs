//! What the router does with one record.

use std::sync::Arc;

use chat4all_contracts::{
    DeadLetter, Message, PlatformName, Platforms, Reason, Status, StatusUpdate, topic,
};
use chat4all_eventlog::group_loop::{Effect, Full, Handler, Retry};
use chat4all_eventlog::{
    AppendError, NewRecord, Producer, Record, TopicPartition, Topology, append, topology,
};
use chat4all_process::Clock;
use chat4all_process::metric::Metric;
use futures::future::BoxFuture;

use crate::SERVICE;

/// Decides where a record goes.
#[derive(Clone)]
pub(crate) struct Route {
    platforms: Arc<Platforms>,
    topology: Topology,
    producer: Arc<dyn Producer>,
    clock: Clock,
}

/// What becomes of a record.
enum Destination {
    Outbound(PlatformName),
    Failed(Reason),
    DeadLetter(String),
}

impl Destination {
    fn count(&self, topic: &str) {
        match self {
            Self::Outbound(platform) => {
                Metric::MessagesRouted.count(SERVICE, &[platform.as_str()]);
            }
            Self::Failed(reason) => {
                let failed = Status::Failed.word();
                tracing::warn!(%reason, "a message cannot be routed");
                Metric::StatusesPublished.count(SERVICE, &["none", failed]);
            }
            Self::DeadLetter(reason) => Metric::DeadLetters.count(SERVICE, &[topic, reason]),
        }
    }
}

impl Route {
    pub(crate) fn new(
        platforms: Arc<Platforms>,
        topology: Topology,
        producer: Arc<dyn Producer>,
        clock: Clock,
    ) -> Self {
        Self { platforms, topology, producer, clock }
    }

    fn decide(&self, record: &Record) -> (NewRecord, Destination) {
        let message = match Message::parse(&record.value, record.timestamp) {
            Ok(message) => message,
            Err(why) => {
                let letter = DeadLetter::unreadable(
                    &record.topic,
                    record.partition,
                    record.offset,
                    &record.value,
                    &why,
                );
                return self.give_up(record, letter);
            }
        };
        let Some((platform, spec)) = self.platforms.get(message.receiver_id.platform()) else {
            return self.fail(&message, None, Reason::UnknownPlatform);
        };
        let Some((account, account_spec)) = spec.account(message.account.as_ref()) else {
            return self.fail(&message, Some(platform), Reason::UnknownAccount);
        };
        let at = TopicPartition::new(&topic::outbound(platform), account_spec.partition);
        let message = Message { account: Some(account.clone()), ..message };
        let headers = topology::carried_headers(record);
        let outbound = topology::outbound(at, &message, headers, self.clock.now());
        (outbound, Destination::Outbound(platform.clone()))
    }

    fn fail(
        &self,
        message: &Message,
        platform: Option<&PlatformName>,
        reason: Reason,
    ) -> (NewRecord, Destination) {
        let now = self.clock.now();
        let mut update = StatusUpdate::minimal(message.message_id.clone(), Status::Failed, now);
        update.conversation_id = Some(message.conversation_id.clone());
        update.accepted_at = Some(message.accepted_at);
        update.expires_at = Some(message.expires_at);
        update.generation = message.generation;
        update.platform = platform.cloned();
        update.account = message.account.clone();
        update.reason = Some(reason);
        (self.topology.status_update(&update, now), Destination::Failed(reason))
    }

    /// A record that fits `messages` and, with what we add, no longer fits the next topic. The
    /// API's limits are far below; only another producer can get here.
    async fn too_large(&self, record: &Record) -> Result<(), Retry> {
        let Ok(message) = Message::parse(&record.value, record.timestamp) else {
            // Dead letters are cut to fit, so this says that the log's own limit is wrong.
            return Err(Retry("the log refuses a dead letter as too large".to_owned()));
        };
        let (update, destination) = self.fail(&message, None, Reason::UnsupportedContent);
        append(&*self.producer, update).await.map_err(|error| Retry(error.to_string()))?;
        destination.count(&record.topic);
        Ok(())
    }

    fn give_up(&self, record: &Record, letter: DeadLetter) -> (NewRecord, Destination) {
        let new = topology::dead_letter(record, &letter, self.clock.now());
        (new, Destination::DeadLetter(letter.reason))
    }
}

impl Handler for Route {
    fn start(&self, record: &Record) -> Result<Effect, Full> {
        let (new, destination) = self.decide(record);
        let ack = self.producer.enqueue(new).map_err(|_| Full)?;
        let (route, record) = (self.clone(), record.clone());
        Ok(Box::pin(async move {
            match ack.await {
                Ok(_) => {
                    destination.count(&record.topic);
                    Ok(())
                }
                Err(AppendError::TooLarge { .. }) => route.too_large(&record).await,
                Err(error) => Err(Retry(error.to_string())),
            }
        }))
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        self.producer.room()
    }
}
