//! A follower: a client of its own that is assigned one partition, read by a thread of its own.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use tokio::sync::mpsc;

use super::context::Reporter;
use super::queue::record;
use super::reader::{is_final, open_at_start, unavailable};
use super::settings::KafkaSettings;
use crate::LogError;
use crate::consumer::TopicPartition;
use crate::follower::{Followed, Follower, MAX_BATCH};

/// How long a silent thread takes to notice that nobody follows any more.
const LOOK: Duration = Duration::from_millis(200);
/// How many events wait for the one who follows; then the thread waits, and librdkafka with it.
const QUEUE: usize = 2;

/// See the module.
pub(super) struct KafkaFollower(mpsc::Receiver<Result<Followed, LogError>>);

impl KafkaFollower {
    /// Begins at the start of `at`, which must exist.
    pub(super) fn new(
        settings: &KafkaSettings,
        reporter: Reporter,
        at: &TopicPartition,
    ) -> Result<Self, LogError> {
        let client = open_at_start(settings, reporter, at)?;
        let (sender, receiver) = mpsc::channel(QUEUE);
        let thread = Thread { client, at: at.clone(), sender, caught_up: false };
        let name = format!("follow-{}", at.topic);
        let started = std::thread::Builder::new().name(name).spawn(move || thread.run());
        match started {
            // It ends when the receiver is gone.
            Ok(_detached) => Ok(Self(receiver)),
            Err(error) => Err(LogError::Unavailable(format!("no thread: {error}"))),
        }
    }
}

impl Follower for KafkaFollower {
    fn next(&mut self) -> BoxFuture<'_, Result<Followed, LogError>> {
        async move { self.0.recv().await.unwrap_or(Err(LogError::Closed)) }.boxed()
    }
}

struct Thread {
    client: BaseConsumer<Reporter>,
    at: TopicPartition,
    sender: mpsc::Sender<Result<Followed, LogError>>,
    caught_up: bool,
}

impl Thread {
    fn run(mut self) {
        while !self.sender.is_closed() {
            // A following that nobody wants any more ends with the next look.
            let _closed = match self.look() {
                Ok(events) => {
                    events.into_iter().try_for_each(|event| self.sender.blocking_send(Ok(event)))
                }
                Err(error) => {
                    let _closed = self.sender.blocking_send(Err(error));
                    return;
                }
            };
        }
    }

    /// Waits a little for a first record, and takes what else is there.
    fn look(&mut self) -> Result<Vec<Followed>, LogError> {
        let (mut records, mut wait) = (Vec::new(), LOOK);
        let mut at_end = false;
        while records.len() < MAX_BATCH && !at_end {
            match self.client.poll(wait) {
                None => break,
                Some(Ok(message)) => records.push(record(&self.at, &message)),
                Some(Err(KafkaError::PartitionEOF(_))) => at_end = true,
                Some(Err(error)) if is_final(&error) => return Err(unavailable(error)),
                // Reported by the context; the client goes on by itself.
                Some(Err(_)) => {}
            }
            wait = Duration::ZERO;
        }
        self.client.context().find_brokers(self.client.client());
        let mut events = Vec::new();
        if !records.is_empty() {
            events.push(Followed::Records(records));
        }
        if at_end && !self.caught_up {
            self.caught_up = true;
            events.push(Followed::CaughtUp);
        }
        Ok(events)
    }
}
