//! What is delivered: topics of this run's own, filled beforehand or at a steady rate, and gone
//! after it.

use std::time::Duration;

use chat4all_process::Clock;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::util::Timeout;
use serde::Serialize;
use tokio::task::JoinSet;

use super::ledger::Called;
use super::scenario::{PARTITIONS, Place, Scenario};
use crate::{Failure, PATIENCE};

/// As the router writes it; without an account, so that the platform's default serves it wherever
/// it lies.
#[derive(Serialize)]
struct Outbound<'a> {
    message_id: &'a str,
    conversation_id: &'a str,
    sender_id: &'static str,
    receiver_id: &'a str,
    content: &'a str,
    accepted_at: u64,
    expires_at: u64,
    generation: u32,
}

const DAY_MS: u64 = 86_400_000;

/// Writes the messages of runs.
pub(super) struct Load {
    admin: AdminClient<DefaultClientContext>,
    producer: FutureProducer,
    receiver: String,
    seed: u64,
    clock: Clock,
    /// Keeps the topics and groups of this run apart from those of others.
    stamp: String,
    topics: Vec<String>,
}

impl Load {
    pub(super) fn new(kafka: &str, receiver: &str, seed: u64) -> Result<Self, Failure> {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", kafka);
        let clock = Clock::system();
        let stamp = format!("{:x}", clock.now().as_ms() / 1_000 % 0x100_0000);
        Ok(Self {
            admin: client.create()?,
            producer: client
                .set("acks", "all")
                .set("enable.idempotence", "true")
                // The partitioner of every Java client: a conversation stays in one partition.
                .set("partitioner", "murmur2_random")
                .set("linger.ms", "0")
                .create()?,
            receiver: receiver.to_owned(),
            seed,
            clock,
            stamp,
            topics: Vec::new(),
        })
    }

    /// A name that no other run has.
    pub(super) fn name(&self, of: &str) -> String {
        format!("bench-{}-{of}", self.stamp)
    }

    /// Makes a topic that every service's start accepts.
    pub(super) async fn make_topic(&mut self, of: &str) -> Result<String, Failure> {
        let name = self.name(of);
        let topic = NewTopic::new(&name, PARTITIONS, TopicReplication::Fixed(1))
            .set("cleanup.policy", "delete")
            .set("retention.ms", "604800000")
            .set("max.message.bytes", "1114112");
        let results = self.admin.create_topics([&topic], &AdminOptions::new()).await?;
        for result in results {
            result.map_err(|(topic, code)| format!("{topic} cannot be created: {code}"))?;
        }
        self.topics.push(name.clone());
        Ok(name)
    }

    /// Deletes what was made here, and the dead letters that a connector has made beside it.
    pub(super) async fn clean(&mut self) -> Result<(), Failure> {
        let names: Vec<String> = std::mem::take(&mut self.topics)
            .into_iter()
            .flat_map(|name| [format!("{name}-dead-letters"), name])
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        // A bare loop makes no dead letters, so some of these need not be there.
        let _results = self.admin.delete_topics(&names, &AdminOptions::new()).await?;
        Ok(())
    }

    /// Writes all messages of a scenario, as fast as it goes.
    pub(super) async fn fill(&self, topic: &str, scenario: &Scenario) -> Result<(), Failure> {
        self.write_all(topic, scenario.places(self.seed), 0).await
    }

    /// Writes messages that are not measured, one after those that are, in as many conversations.
    pub(super) async fn warm_up(&self, topic: &str, scenario: &Scenario) -> Result<(), Failure> {
        let place = |n| Place { conversation: scenario.conversations + n, sequence: 1 };
        self.write_all(topic, (0..WARM_UP).map(place).collect(), scenario.messages).await
    }

    async fn write_all(&self, topic: &str, places: Vec<Place>, first: u32) -> Result<(), Failure> {
        let mut acks = Vec::with_capacity(1_000);
        for (number, place) in (first..).zip(places) {
            acks.push(self.enqueue(topic, number, place, 0).await?);
            if acks.len() == 1_000 {
                wait_for(&mut acks).await?;
            }
        }
        wait_for(&mut acks).await
    }

    /// Writes the messages at their times, from now on.
    pub(super) async fn write_steadily(
        &self,
        topic: &str,
        scenario: &Scenario,
        rate: u32,
    ) -> Result<(), Failure> {
        let (begun, begun_ms) = (tokio::time::Instant::now(), self.clock.now().as_ms());
        let mut acks = JoinSet::new();
        for (number, place) in (0..).zip(scenario.places(self.seed)) {
            let after = Duration::from_secs_f64(f64::from(number) / f64::from(rate));
            tokio::time::sleep_until(begun + after).await;
            let intended_ms = begun_ms + after.as_millis() as u64;
            let ack = self.enqueue(topic, number, place, intended_ms).await?;
            acks.spawn(ack);
            while let Some(ack) = acks.try_join_next() {
                ack??.map_err(|(error, _)| error)?;
            }
        }
        while let Some(ack) = acks.join_next().await {
            ack??.map_err(|(error, _)| error)?;
        }
        Ok(())
    }

    async fn enqueue(
        &self,
        topic: &str,
        number: u32,
        place: Place,
        intended_ms: u64,
    ) -> Result<rdkafka::producer::DeliveryFuture, Failure> {
        let Place { conversation, sequence } = place;
        let called = Called { number, conversation, sequence, intended_ms };
        let now = self.clock.now().as_ms();
        // As long as the ids of the API.
        let message_id = format!("019a0000-0000-7000-8000-{number:012}");
        let conversation_id = format!("conversation-{conversation:08}");
        let payload = serde_json::to_vec(&Outbound {
            message_id: &message_id,
            conversation_id: &conversation_id,
            sender_id: "bench",
            receiver_id: &self.receiver,
            content: &called.text(),
            accepted_at: now,
            expires_at: now + DAY_MS,
            generation: 0,
        })?;
        let record = FutureRecord::to(topic).key(&conversation_id).payload(&payload);
        self.producer.send_result(record).map_err(|(error, _)| error.into())
    }

    /// Waits until everything is written.
    pub(super) async fn flush(&self) -> Result<(), Failure> {
        let producer = self.producer.clone();
        let flush = move || producer.flush(Timeout::After(PATIENCE));
        Ok(tokio::task::spawn_blocking(flush).await??)
    }
}

/// How many messages warm up before a steady load.
pub(super) const WARM_UP: u32 = 600;

async fn wait_for(acks: &mut Vec<rdkafka::producer::DeliveryFuture>) -> Result<(), Failure> {
    for ack in acks.drain(..) {
        ack.await?.map_err(|(error, _)| error)?;
    }
    Ok(())
}
