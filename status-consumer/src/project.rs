//! What the status-consumer does with one record.

use std::sync::Arc;

use chat4all_contracts::event::{DeadLetter, Message, Receipt, StatusUpdate};
use chat4all_contracts::{EpochMs, FieldError, topic};
use chat4all_eventlog::group_loop::{Effect, Full, Handler, Retry};
use chat4all_eventlog::{Producer, Record, TopicPartition, append, topology};
use chat4all_process::Clock;
use chat4all_process::metric::Metric;
use chat4all_store::letters::{project_failure, project_letter};
use chat4all_store::projection::{self, Projected};
use chat4all_store::{MessageStore, StoreError, Tenant};
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::held::Held;
use crate::{SERVICE, tenant};

/// Brings records to the projection.
pub(crate) struct Project {
    store: Arc<dyn MessageStore>,
    producer: Arc<dyn Producer>,
    clock: Clock,
    tenant: Tenant,
    held: Held,
}

/// A readable event of one of our topics.
enum Event {
    Message(Message),
    StatusUpdate(StatusUpdate),
    Receipt(Receipt),
    /// With the timestamp of its record.
    Letter(Box<DeadLetter>, EpochMs),
}

impl Event {
    fn parse(record: &Record) -> Result<Self, FieldError> {
        match &*record.topic {
            topic::STATUS_UPDATES => StatusUpdate::parse(&record.value).map(Self::StatusUpdate),
            topic::RECEIPTS => Receipt::parse(&record.value).map(Self::Receipt),
            name if topic::is_dead_letters(name) => DeadLetter::parse(&record.value)
                .map(|letter| Self::Letter(Box::new(letter), record.timestamp)),
            _ => Message::parse(&record.value, record.timestamp).map(Self::Message),
        }
    }
}

impl Project {
    pub(crate) fn new(
        store: Arc<dyn MessageStore>,
        producer: Arc<dyn Producer>,
        clock: Clock,
        held: Held,
    ) -> Self {
        Self { store, producer, clock, tenant: tenant(), held }
    }

    fn give_up(&self, record: &Record, why: &FieldError) -> Effect {
        let (at, offset) = (record.partition, record.offset);
        if topic::is_dead_letters(&record.topic) {
            // A letter about a letter would have no end. The record stays in its topic.
            tracing::error!(partition = %record.at(), offset, %why, "an unreadable dead letter");
            Metric::LettersUnreadable.count(SERVICE, &[&record.topic]);
            return async { Ok(()) }.boxed();
        }
        let letter = DeadLetter::unreadable(&record.topic, at, offset, &record.value, why);
        tracing::warn!(partition = %record.at(), offset, %why, "unreadable: to the dead letters");
        let new = topology::dead_letter(record, &letter, self.clock.now());
        let (producer, topic) = (self.producer.clone(), record.topic.clone());
        Box::pin(async move {
            append(&*producer, new).await.map_err(|error| Retry(error.to_string()))?;
            Metric::DeadLetters.count(SERVICE, &[&topic, &letter.reason]);
            Ok(())
        })
    }
}

impl Handler for Project {
    fn start(&self, record: &Record) -> Result<Effect, Full> {
        self.held.saw(record.timestamp);
        let event = match Event::parse(record) {
            Ok(event) => event,
            Err(why) => return Ok(self.give_up(record, &why)),
        };
        let (store, tenant, clock) = (self.store.clone(), self.tenant.clone(), self.clock.clone());
        let at = (record.topic.clone(), record.partition, record.offset);
        Ok(Box::pin(async move {
            let result = apply(&*store, &tenant, &event, &at, &clock).await;
            let projected = result.map_err(|error| Retry(error.to_string()))?;
            count(&event, projected);
            Ok(())
        }))
    }

    fn held(&self, at: &TopicPartition, position: Option<u64>) {
        self.held.set(at, position);
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        // Nothing here refuses work: the loop's own bound is the bound.
        async {}.boxed()
    }
}

async fn apply(
    store: &dyn MessageStore,
    tenant: &Tenant,
    event: &Event,
    (topic, partition, offset): &(Arc<str>, u32, u64),
    clock: &Clock,
) -> Result<Projected, StoreError> {
    let now = clock.now();
    match event {
        Event::Message(message) => projection::project_message(store, tenant, message, now).await,
        Event::StatusUpdate(update) => {
            project_failure(store, tenant, update, (topic, *partition, *offset), now).await?;
            projection::project_status(store, tenant, update, now).await
        }
        Event::Receipt(receipt) => projection::project_receipt(store, tenant, receipt, now).await,
        Event::Letter(letter, recorded_at) => {
            project_letter(store, tenant, letter, *recorded_at, now).await?;
            Ok(Projected::Merged)
        }
    }
}

fn count(event: &Event, projected: Projected) {
    let kind = match event {
        Event::Message(_) => "message",
        Event::StatusUpdate(update) => {
            Metric::StatusesProjected.count(SERVICE, &[update.status.word()]);
            "status"
        }
        Event::Receipt(_) => "receipt",
        Event::Letter(..) => "letter",
    };
    if projected == Projected::Early {
        Metric::EarlyArrivals.count(SERVICE, &[kind]);
    }
}
