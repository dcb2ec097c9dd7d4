//! The floor: the least that the work can cost, on the bare clients.
//!
//! Records, keyed lanes, calls, status records that are acknowledged, contiguous commits: one call
//! of a conversation at a time, nothing committed whose status is not in the log. No breaker, no
//! retries, no pace, no recognition of duplicates, no metrics, no supervision: what fails, ends it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chat4all_process::descriptors;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc};

use crate::Failure;

/// The bare loop's part of `connector`; started by it.
#[derive(clap::Args)]
pub(crate) struct BareArgs {
    /// The brokers
    #[arg(long)]
    kafka: String,
    /// What it delivers
    #[arg(long)]
    topic: String,
    /// Its consumer group
    #[arg(long)]
    group: String,
    /// Where statuses go
    #[arg(long)]
    statuses: String,
    /// The platform's address, as a URL
    #[arg(long)]
    platform: String,
    /// The most calls at once
    #[arg(long)]
    in_flight: usize,
}

/// The most records between their receipt and the acknowledgement of their status, over all
/// partitions: about as many as the connector allows.
const WINDOW: usize = 100_000;
/// The most statuses whose acknowledgement is awaited.
const STATUSES: usize = 100_000;
const COMMIT_EVERY: Duration = Duration::from_millis(100);

/// A message, as it lies in the topic.
#[derive(Deserialize)]
struct Outbound {
    message_id: String,
    conversation_id: String,
    receiver_id: String,
    content: String,
    accepted_at: u64,
}

struct Job {
    message: Outbound,
    partition: i32,
    offset: i64,
}

struct Bare {
    args: BareArgs,
    client: Client<HttpConnector, Full<Bytes>>,
    producer: FutureProducer,
    permits: Semaphore,
    window: Semaphore,
    /// The messages that wait behind one that is being called. Never iterated.
    lanes: Mutex<HashMap<Arc<str>, VecDeque<Job>>>,
    /// By partition, the first offset that is not done, and whether those from it on are.
    done: Mutex<BTreeMap<i32, (i64, VecDeque<bool>)>>,
    acks: mpsc::Sender<(rdkafka::producer::DeliveryFuture, i32, i64)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Delivers until the process is ended.
pub(crate) async fn run(args: BareArgs) -> Result<(), Failure> {
    descriptors::raise_limit();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &args.kafka);
    let producer: FutureProducer =
        config.clone().set("enable.idempotence", "true").set("acks", "all").create()?;
    let consumer: StreamConsumer = config
        .set("group.id", &args.group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .create()?;
    consumer.subscribe(&[&args.topic])?;
    let consumer = Arc::new(consumer);
    let (acks, acked) = mpsc::channel(STATUSES);
    let bare = Arc::new(Bare {
        client: Client::builder(TokioExecutor::new()).build_http(),
        producer,
        permits: Semaphore::new(args.in_flight),
        window: Semaphore::new(WINDOW),
        lanes: Mutex::default(),
        done: Mutex::default(),
        acks,
        args,
    });
    let (consumed, counting, committing) = (
        tokio::spawn(bare.clone().consume(consumer.clone())),
        tokio::spawn(bare.clone().count(acked)),
        tokio::spawn(bare.commit(consumer)),
    );
    tokio::select! {
        biased;
        end = consumed => end?,
        end = counting => end?,
        end = committing => end?,
    }
}

impl Bare {
    async fn consume(self: Arc<Self>, consumer: Arc<StreamConsumer>) -> Result<(), Failure> {
        loop {
            let record = consumer.recv().await?;
            let message: Outbound = serde_json::from_slice(record.payload().unwrap_or_default())?;
            let (partition, offset) = (record.partition(), record.offset());
            self.window.acquire().await?.forget();
            lock(&self.done)
                .entry(partition)
                .or_insert((offset, VecDeque::new()))
                .1
                .push_back(false);
            let key: Arc<str> = message.conversation_id.as_str().into();
            let job = Job { message, partition, offset };
            let waiting = match lock(&self.lanes).entry(key.clone()) {
                std::collections::hash_map::Entry::Occupied(mut lane) => {
                    lane.get_mut().push_back(job);
                    continue;
                }
                std::collections::hash_map::Entry::Vacant(lane) => {
                    lane.insert(VecDeque::new());
                    job
                }
            };
            tokio::spawn(self.clone().lane(key, waiting));
        }
    }

    /// The messages of a conversation, one after the other.
    async fn lane(self: Arc<Self>, key: Arc<str>, first: Job) {
        let mut next = Some(first);
        while let Some(Job { message, partition, offset }) = next {
            let called = {
                let Ok(_permit) = self.permits.acquire().await else { return };
                self.call(&message).await
            };
            // One that fails is missed by whoever counts.
            let Ok(()) = called else { return };
            let Ok(()) = self.publish(&message, partition, offset).await else { return };
            let mut lanes = lock(&self.lanes);
            next = lanes.get_mut(&key).and_then(VecDeque::pop_front);
            if next.is_none() {
                lanes.remove(&key);
            }
        }
    }

    async fn call(&self, message: &Outbound) -> Result<(), Failure> {
        let (name, address) = message.receiver_id.split_once(':').ok_or("no receiver")?;
        let callback = serde_json::to_string(&Callback {
            a: message.accepted_at,
            c: &message.conversation_id,
            g: 0,
            m: &message.message_id,
        })?;
        let body = serde_json::to_vec(&Call {
            biz_opaque_callback_data: &callback,
            messaging_product: name,
            recipient_type: "individual",
            text: Text { body: &message.content, preview_url: false },
            to: address,
            r#type: "text",
        })?;
        let request = Request::post(format!("{}/v26.0/default/messages", self.args.platform))
            .header(header::AUTHORIZATION, "Bearer simulated")
            .header(header::CONTENT_TYPE, "application/json")
            .header("x-correlation-id", &message.message_id)
            .body(Full::new(Bytes::from(body)))?;
        let answer = self.client.request(request).await?;
        let is_taken = answer.status().is_success();
        let body = answer.into_body().collect().await?.to_bytes();
        let taken: Accepted = serde_json::from_slice(&body)?;
        if is_taken && !taken.messages.is_empty() { Ok(()) } else { Err("refused".into()) }
    }

    /// Queues the status; whoever awaits the acknowledgement is told.
    async fn publish(
        &self,
        message: &Outbound,
        partition: i32,
        offset: i64,
    ) -> Result<(), Failure> {
        let payload = serde_json::to_vec(&Update {
            message_id: &message.message_id,
            status: "SENT",
            timestamp: message.accepted_at,
            conversation_id: &message.conversation_id,
            accepted_at: message.accepted_at,
            expires_at: message.accepted_at,
            generation: 0,
            platform: "bench",
            account: "default",
            external_id: "bench.HBgNNTUxMTk5OTk5MDAwMBUCABEYEjhBNEQ",
            attempt: 1,
        })?;
        let record =
            FutureRecord::to(&self.args.statuses).key(&message.message_id).payload(&payload);
        let ack = self.producer.send_result(record).map_err(|(error, _)| error)?;
        Ok(self.acks.send((ack, partition, offset)).await?)
    }

    async fn count(
        self: Arc<Self>,
        mut acked: mpsc::Receiver<(rdkafka::producer::DeliveryFuture, i32, i64)>,
    ) -> Result<(), Failure> {
        while let Some((ack, partition, offset)) = acked.recv().await {
            ack.await?.map_err(|(error, _)| error)?;
            self.window.add_permits(1);
            let mut done = lock(&self.done);
            let Some((first, marks)) = done.get_mut(&partition) else { continue };
            if let Some(mark) = marks.get_mut((offset - *first) as usize) {
                *mark = true;
            }
            while marks.front() == Some(&true) {
                marks.pop_front();
                *first += 1;
            }
        }
        Ok(())
    }

    async fn commit(self: Arc<Self>, consumer: Arc<StreamConsumer>) -> Result<(), Failure> {
        let mut ticks = tokio::time::interval(COMMIT_EVERY);
        let mut committed = BTreeMap::new();
        loop {
            ticks.tick().await;
            let mut list = TopicPartitionList::new();
            for (partition, (first, _)) in lock(&self.done).iter() {
                if committed.insert(*partition, *first) != Some(*first) {
                    let topic = &self.args.topic;
                    list.add_partition_offset(topic, *partition, Offset::Offset(*first))?;
                }
            }
            if list.count() > 0 {
                let consumer = consumer.clone();
                let commit = move || consumer.commit(&list, CommitMode::Sync);
                tokio::task::spawn_blocking(commit).await??;
            }
        }
    }
}

#[derive(Serialize)]
struct Call<'a> {
    biz_opaque_callback_data: &'a str,
    messaging_product: &'a str,
    recipient_type: &'a str,
    text: Text<'a>,
    to: &'a str,
    r#type: &'a str,
}

#[derive(Serialize)]
struct Text<'a> {
    body: &'a str,
    preview_url: bool,
}

#[derive(Serialize)]
struct Callback<'a> {
    a: u64,
    c: &'a str,
    g: u32,
    m: &'a str,
}

#[derive(Deserialize)]
struct Accepted {
    messages: Vec<serde::de::IgnoredAny>,
}

/// As long as what the connector writes.
#[derive(Serialize)]
struct Update<'a> {
    message_id: &'a str,
    status: &'a str,
    timestamp: u64,
    conversation_id: &'a str,
    accepted_at: u64,
    expires_at: u64,
    generation: u32,
    platform: &'a str,
    account: &'a str,
    external_id: &'a str,
    attempt: u32,
}
