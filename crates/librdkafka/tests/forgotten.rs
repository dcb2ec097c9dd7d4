//! A broker whose metadata names no broker for a while: what a client makes of it, and what helps.
//! A broker that is paused for longer than its session does so when it wakes; this one, librdkafka's
//! own mock behind a proxy, does it on order.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chat4all_librdkafka::name_brokers;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::{ClientConfig, ClientContext, Offset, Statistics, TopicPartitionList};
use tokio::time::Instant;

/// Only bounds a failure.
const PATIENCE: Duration = Duration::from_secs(30);
const TIMES: usize = 10;
/// Longer than a client takes to ask again.
const FORGOTTEN: Duration = Duration::from_millis(500);
const TOPIC: &str = "topic";
const RECORDS: usize = 10;

const FETCH: i16 = 1;
const LIST_OFFSETS: i16 = 2;
const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;
const UNSUPPORTED_VERSION: i16 = 35;

/// A proxy that answers for metadata itself.
struct Broker {
    address: String,
    is_forgotten: Arc<AtomicBool>,
    _behind: MockCluster<'static, DefaultProducerContext>,
}

impl Broker {
    fn start() -> Self {
        let behind = MockCluster::new(1).unwrap();
        behind.create_topic(TOPIC, 1, 1).unwrap();
        let mock = behind.bootstrap_servers();
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", &mock).create().unwrap();
        for _ in 0..RECORDS {
            producer.send(BaseRecord::<str, str>::to(TOPIC).partition(0).payload("x")).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_forgotten = Arc::new(AtomicBool::new(false));
        let forgotten = is_forgotten.clone();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (forgotten, mock) = (forgotten.clone(), mock.clone());
                std::thread::spawn(move || serve(stream.unwrap(), &mock, port, &forgotten));
            }
        });
        Self { address: format!("127.0.0.1:{port}"), is_forgotten, _behind: behind }
    }
}

/// A request or an answer, without its length.
fn receive(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut size = [0; 4];
    from.read_exact(&mut size).ok()?;
    let mut body = vec![0; u32::from_be_bytes(size) as usize];
    from.read_exact(&mut body).ok()?;
    Some(body)
}

fn send(to: &mut TcpStream, body: &[u8]) -> Option<()> {
    let size = u32::try_from(body.len()).unwrap().to_be_bytes();
    to.write_all(&[&size, body].concat()).ok()
}

/// Answers until the client is gone.
fn serve(mut client: TcpStream, mock: &str, port: u16, forgotten: &AtomicBool) -> Option<()> {
    let mut mock = TcpStream::connect(mock).ok()?;
    loop {
        let request = receive(&mut client)?;
        let short = |at: usize| i16::from_be_bytes([request[at], request[at + 1]]);
        let own = match (short(0), short(2)) {
            (API_VERSIONS, 1..) => {
                Some([&UNSUPPORTED_VERSION.to_be_bytes()[..], &0_i32.to_be_bytes()].concat())
            }
            (METADATA, _) => Some(metadata(port, forgotten.load(Ordering::SeqCst))),
            _ => None,
        };
        let answer = match own {
            Some(body) => [&request[4..8], &body].concat(),
            None => {
                send(&mut mock, &request)?;
                let answer = receive(&mut mock)?;
                if short(0) == API_VERSIONS { few_versions(&answer) } else { answer }
            }
        };
        send(&mut client, &answer)?;
    }
}

/// An answer about versions, with nothing that names a broker but metadata, in the version that
/// [`metadata`] writes.
fn few_versions(answer: &[u8]) -> Vec<u8> {
    // Correlation, error, count; then key, least and most of each.
    let (head, entries) = (&answer[..6], answer[10..].chunks_exact(6));
    let of_key = |key: i16| entries.clone().find(|entry| entry[..2] == key.to_be_bytes());
    let kept = [LIST_OFFSETS, API_VERSIONS].map(|key| of_key(key).unwrap().to_vec()).concat();
    // Old enough to name topics by their names.
    let fetch = [FETCH, 0, 11].map(i16::to_be_bytes).concat();
    let metadata = [METADATA, 0, 1].map(i16::to_be_bytes).concat();
    [head, &4_i32.to_be_bytes(), &kept, &fetch, &metadata].concat()
}

/// Itself with its topic, or nobody, in version 1 of the answer.
fn metadata(port: u16, is_forgotten: bool) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as i16).to_be_bytes()[..], text.as_bytes()].concat();
    let long = |number: i32| number.to_be_bytes().to_vec();
    let none = (-1_i16).to_be_bytes().to_vec();
    let one = long(1);
    let brokers = if is_forgotten {
        long(0)
    } else {
        [one.clone(), one.clone(), text("127.0.0.1"), long(i32::from(port)), none].concat()
    };
    let leader = if is_forgotten { long(-1) } else { one.clone() };
    let ok = 0_i16.to_be_bytes().to_vec();
    let partition =
        [ok.clone(), long(0), leader.clone(), one.clone(), one.clone(), one.clone(), one.clone()];
    let topic = [ok, text(TOPIC), vec![0], one.clone(), partition.concat()].concat();
    [brokers, leader, one, topic].concat()
}

/// Keeps the states of the brokers that the client's last statistics name.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Option<Vec<String>>>>);

impl ClientContext for Shown {
    fn stats(&self, statistics: Statistics) {
        let brokers = statistics.brokers.into_values();
        let brokers = brokers.filter(|it| !matches!(&*it.source, "internal" | "logical"));
        *self.0.lock().unwrap() = Some(brokers.map(|broker| broker.state).collect());
    }
}

impl ConsumerContext for Shown {}

struct Client {
    client: BaseConsumer<Shown>,
    shown: Shown,
}

impl Client {
    fn new(broker: &Broker) -> Self {
        let shown = Shown::default();
        let client = BaseConsumer::from_config_and_context(
            ClientConfig::new()
                .set("bootstrap.servers", &broker.address)
                .set("reconnect.backoff.ms", "10")
                .set("reconnect.backoff.max.ms", "50")
                .set("group.id", "group")
                // Nobody coordinates it: leaving would wait for so long.
                .set("session.timeout.ms", "500")
                .set("heartbeat.interval.ms", "100")
                .set("fetch.wait.max.ms", "10")
                .set("statistics.interval.ms", "50"),
            shown.clone(),
        );
        let client = client.unwrap();
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_offset(TOPIC, 0, Offset::Beginning).unwrap();
        client.assign(&partitions).unwrap();
        Self { client, shown }
    }

    /// How many brokers metadata names; `None` = nobody answers.
    fn ask(&self, limit: Duration) -> Option<usize> {
        let answer = self.client.fetch_metadata(None, limit).ok()?;
        Some(answer.brokers().len())
    }

    fn finds_a_broker(&self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if self.ask(Duration::from_millis(200)) == Some(1) {
                return true;
            }
        }
        false
    }

    /// The states of brokers in statistics that are told from now on.
    fn states(&self) -> Vec<String> {
        self.shown.0.lock().unwrap().take();
        loop {
            let _nothing = self.client.poll(Duration::from_millis(10));
            if let Some(states) = self.shown.0.lock().unwrap().take() {
                return states;
            }
        }
    }
}

/// Whether a client that metadata leaves without brokers stays so; if it does, it is helped.
fn is_lost(broker: &Broker) -> bool {
    let client = Client::new(broker);
    assert!(client.finds_a_broker(PATIENCE));
    // What it has fetched, and nobody has done with, keeps the forgotten broker from going.
    let first = client.client.poll(PATIENCE).expect("a record").unwrap();
    assert!(client.states().contains(&"UP".to_owned()));
    broker.is_forgotten.store(true, Ordering::SeqCst);
    let end = Instant::now() + FORGOTTEN;
    while Instant::now() < end {
        let _nobody = client.ask(Duration::from_millis(50));
    }
    broker.is_forgotten.store(false, Ordering::SeqCst);
    let is_lost = !client.finds_a_broker(Duration::from_secs(1));
    if is_lost {
        assert!(!client.states().contains(&"UP".to_owned()));
        assert!(name_brokers(client.client.client(), &broker.address));
        assert!(client.finds_a_broker(PATIENCE));
    }
    drop(first);
    is_lost
}

#[test]
fn a_client_that_has_forgotten_every_broker_goes_on_when_they_are_named_again() {
    let broker = Broker::start();
    // Threads of the client decide; nearly always it is lost. If it never is any more, librdkafka has
    // learned to help itself, and this crate can go.
    assert!((0..TIMES).any(|_| is_lost(&broker)));
}
