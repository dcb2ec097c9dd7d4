//! A record that kills its worker every time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chat4all_contracts::Message;
use chat4all_eventlog::{
    Admission, EventLog, Patience, ProducerOptions, TopicPartition, append, topology,
};
use chat4all_process::Shutdown;
use metrics::{
    Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use tokio::time::sleep;

use crate::World;

/// Metrics, one of which kills whoever counts it: what a worker counts when it meets a message that
/// it has had before.
struct Deadly;

struct Kills;

impl CounterFn for Kills {
    fn increment(&self, value: u64) {
        // Its series is announced with 0.
        assert!(value == 0, "a panic for a test");
    }

    fn absolute(&self, _: u64) {}
}

impl Recorder for Deadly {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        match key.name() {
            "chat4all_duplicates_skipped_total" => Counter::from_arc(Arc::new(Kills)),
            _ => Counter::noop(),
        }
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

impl World {
    async fn route_one(&self, id: &str) {
        let producer = self.log.producer(ProducerOptions {
            patience: Patience::Forever,
            admission: Admission::Progress,
        });
        let text = format!(
            r#"{{"message_id":"{id}","conversation_id":"{id}","sender_id":"s",
                "receiver_id":"plain:r","content":"t"}}"#
        );
        let message = Message::parse(text.as_bytes(), self.clock.now()).unwrap();
        let at = TopicPartition::new("plain-outbound", 0);
        let record = topology::outbound(at, &message, Vec::new(), self.clock.now());
        append(&*producer, record).await.unwrap();
    }

    async fn sent(&self, id: &str) -> bool {
        self.statuses().await.iter().any(|update| update.message_id.as_str() == id)
    }
}

#[test]
fn a_poison_record_stops_its_partition_and_neither_its_neighbours_before_it_nor_the_process() {
    metrics::with_local_recorder(&Deadly, || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let world = World::new().await;
            let shutdown = Shutdown::new();
            let connector = world.start(&shutdown);
            for id in ["first", "second", "first", "behind"] {
                world.route_one(id).await;
            }
            sleep(Duration::from_secs(600)).await; // sleep: simulated time
            assert!(!connector.is_finished(), "no restart loop");
            assert!(world.sent("first").await && world.sent("second").await);
            assert!(!world.sent("behind").await, "nothing is skipped");
            assert_eq!(world.faults.committed.load(Ordering::Relaxed), 2, "up to the record");
            shutdown.trigger();
            connector.await.unwrap().unwrap();
        });
    });
}
