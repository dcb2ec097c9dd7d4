//! StatusPublisher: the one producer of a connector's tree.
//!
//! It queues a record and answers with the acknowledgement to wait for. If it dies, the caller's
//! answer is dropped, which the caller takes for an error and repeats.

use std::sync::Arc;
use std::time::Duration;

use chat4all_eventlog::{Ack, NewRecord, Producer};
use chat4all_process::Random;
use chat4all_process::backoff::{Backoff, BackoffPolicy};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};

use crate::directory::Directory;

/// The actor.
pub struct StatusPublisher;

/// What it is told.
pub enum PublisherMsg {
    /// Queue this record; the answer is its acknowledgement, or `None` if the queue is full.
    Publish(Box<NewRecord>, RpcReplyPort<Option<Ack>>),
}

impl Actor for StatusPublisher {
    type Msg = PublisherMsg;
    type State = Arc<dyn Producer>;
    type Arguments = Arc<dyn Producer>;

    async fn pre_start(
        &self,
        _: ActorRef<PublisherMsg>,
        producer: Arc<dyn Producer>,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(producer)
    }

    async fn handle(
        &self,
        _: ActorRef<PublisherMsg>,
        message: PublisherMsg,
        producer: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let PublisherMsg::Publish(record, reply) = message;
        // A caller that no longer waits was reaped; its record is not wanted any more.
        if !reply.is_closed() {
            let ack = producer.enqueue(*record).ok();
            let _gone_meanwhile = reply.send(ack);
        }
        Ok(())
    }
}

/// How long a refused or lost publication waits before the next try.
const RETRY: BackoffPolicy = BackoffPolicy::new(Duration::from_millis(50), Duration::from_secs(5));

/// Publishes records one after the other, each until it is acknowledged.
pub async fn publish_until_acked(directory: &Directory, records: Vec<NewRecord>, random: &Random) {
    for record in records {
        let mut backoff = Backoff::new(RETRY, random.clone());
        while !publish_once(directory, &record).await {
            tokio::time::sleep(backoff.next_wait()).await;
        }
    }
}

async fn publish_once(directory: &Directory, record: &NewRecord) -> bool {
    let Some(publisher) = directory.publisher() else { return false };
    let publish = |reply| PublisherMsg::Publish(Box::new(record.clone()), reply);
    match ractor::call!(publisher, publish) {
        Ok(Some(ack)) => match ack.await {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(%error, topic = %record.to, "publishing again");
                false
            }
        },
        Ok(None) | Err(_) => false,
    }
}
