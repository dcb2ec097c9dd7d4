//! Appends through an idempotent producer: acks=all, many sends in flight, order kept.
//!
//! The queue's bound is ours ([`Room`]), so that a full queue hands the record back and tells when
//! there is room again; librdkafka's own bound is above it. Each producer is a client of its own,
//! with the time limit of its [`Patience`].

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::util::Timeout;
use tokio::sync::oneshot;

use super::context::{Reporter, STATISTICS_MS};
use super::settings::KafkaSettings;
use crate::producer::{
    Ack, Admission, AppendError, Patience, Producer, ProducerOptions, ack_within,
};
use crate::record::{NewRecord, Position};
use crate::room::{Place, QueueBounds, Room};

/// What a record may be longer on the wire than [`NewRecord::size`] counts.
pub(super) const OVERHEAD_BYTES: usize = 4 << 10;

type Answer = Result<Position, AppendError>;

/// What librdkafka carries for a record until its end is known.
pub(super) struct InFlight {
    reply: oneshot::Sender<Answer>,
    /// Free again when this is dropped.
    _place: Place,
}

impl ProducerContext for Reporter {
    type DeliveryOpaque = Box<InFlight>;

    fn delivery(&self, result: &DeliveryResult<'_>, in_flight: Box<InFlight>) {
        let InFlight { reply, _place } = *in_flight;
        let answer = match result {
            Ok(message) => match u64::try_from(message.offset()) {
                Ok(offset) => Ok(Position { partition: message.partition() as u32, offset }),
                Err(_) => Err(unavailable("the broker named no offset")),
            },
            Err((error, _)) => Err(explain(error)),
        };
        // Whoever dropped the ack does not want the answer.
        let _dropped = reply.send(answer);
    }
}

fn unavailable(why: &str) -> AppendError {
    AppendError::Unavailable(why.to_owned())
}

fn explain(error: &KafkaError) -> AppendError {
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownTopicOrPartition,
        ) => AppendError::UnknownPartition,
        Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) => AppendError::Closed,
        Some(code) => AppendError::Unavailable(code.to_string()),
        None => AppendError::Unavailable(error.to_string()),
    }
}

type Client = BaseProducer<Reporter>;

/// How long the polling thread waits for an event before it looks for brokers.
const POLL: Duration = Duration::from_millis(100);

/// See the module.
pub(super) struct KafkaProducer {
    client: Arc<Client>,
    room: Room,
    patience: Patience,
    max_record_bytes: usize,
}

impl KafkaProducer {
    pub(super) fn new(
        settings: &KafkaSettings,
        options: ProducerOptions,
        max_record_bytes: usize,
        reporter: Reporter,
    ) -> Result<Self, KafkaError> {
        let bounds = QueueBounds {
            records: settings.queue_records.count(),
            bytes: settings.queue_mib.count() << 20,
        };
        let timeout_ms = match options.patience {
            // Kafka's word for never: n that is given up would be overtaken by n+1.
            Patience::Forever => 0,
            Patience::GiveUpAfter(after) => after.as_millis().clamp(1, i32::MAX as u128) as i32,
        };
        // Where a person waits, nothing is gathered; elsewhere a millisecond makes whole batches.
        let linger_ms = match options.admission {
            Admission::NewWork => 0,
            Admission::Progress => settings.gather_ms.map_or(1, |gather| gather.get()),
        };
        let mut config = settings.client(reporter.service);
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.timeout.ms", timeout_ms.to_string())
            .set("linger.ms", linger_ms.to_string())
            .set("compression.type", settings.compression.word())
            .set("message.max.bytes", (max_record_bytes + OVERHEAD_BYTES).to_string())
            .set("topic.metadata.propagation.max.ms", "10000")
            .set("statistics.interval.ms", STATISTICS_MS)
            .set("queue.buffering.max.messages", (bounds.records + 1).to_string())
            // In KiB, with the overhead of each record that `Room` does not count.
            .set(
                "queue.buffering.max.kbytes",
                (bounds.bytes / 512 + max_record_bytes / 1024 + 1024)
                    .min(i32::MAX as usize)
                    .to_string(),
            );
        let client = Arc::new(Client::from_config_and_context(&config, reporter)?);
        let polled = Arc::downgrade(&client);
        let thread = std::thread::Builder::new().name("kafka-produce".to_owned());
        let started = thread.spawn(move || poll(&polled));
        started.map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        let room = Room::new(bounds);
        Ok(Self { client, room, patience: options.patience, max_record_bytes })
    }

    /// Waits until every record's end is known. Blocks the thread.
    pub(super) fn flush(&self, limit: Duration) -> Result<(), KafkaError> {
        self.client.flush(Timeout::After(limit))
    }
}

/// Serves what becomes of records, until the producer is gone.
fn poll(client: &Weak<Client>) {
    while let Some(client) = client.upgrade() {
        client.poll(POLL);
        client.context().find_brokers(client.client());
    }
}

fn headers(record: &NewRecord) -> OwnedHeaders {
    let empty = OwnedHeaders::new_with_capacity(record.headers.len());
    record.headers.iter().fold(empty, |headers, (name, value)| {
        headers.insert(Header { key: name, value: Some(&value[..]) })
    })
}

impl Producer for KafkaProducer {
    fn enqueue(&self, record: NewRecord) -> Result<Ack, Box<NewRecord>> {
        let (bytes, max) = (record.size(), self.max_record_bytes);
        if bytes > max {
            return Ok(ready(Err(AppendError::TooLarge { bytes, max })).boxed());
        }
        let Some(place) = self.room.take(bytes) else { return Err(Box::new(record)) };
        let Ok(partition) = i32::try_from(record.to.partition) else {
            return Ok(ready(Err(AppendError::UnknownPartition)).boxed());
        };
        let (reply, answer) = oneshot::channel();
        let in_flight = Box::new(InFlight { reply, _place: place });
        let sent = self.client.send(
            BaseRecord::with_opaque_to(&record.to.topic, in_flight)
                .partition(partition)
                .key(&record.key[..])
                .payload(&record.value[..])
                .timestamp(i64::try_from(record.timestamp.as_ms()).unwrap_or(i64::MAX))
                .headers(headers(&record)),
        );
        match sent {
            // librdkafka looks for late records once a second only.
            Ok(()) => Ok(ack_within(self.patience, answer)),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                Err(Box::new(record))
            }
            Err((error, _)) => Ok(ready(Err(explain(&error))).boxed()),
        }
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        self.room.wait().boxed()
    }
}

/// Stands in where a client could not be made: the process is about to end.
pub(super) struct NoProducer(pub(super) Arc<str>);

impl Producer for NoProducer {
    fn enqueue(&self, _record: NewRecord) -> Result<Ack, Box<NewRecord>> {
        Ok(ready(Err(AppendError::Unavailable(self.0.to_string()))).boxed())
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }
}
