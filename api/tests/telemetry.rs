//! What a request leaves behind in metrics and logs: routes, classes and message ids; never what a
//! person wrote or who they are (I10).
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)] // a test fails by panicking

mod support;

use std::collections::BTreeMap;
use std::future::Future;
use std::io::Write;
use std::sync::{Arc, Mutex};

use chat4all_eventlog::AppendError;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use serde_json::json;
use support::log::LogFault;
use support::store::{Op, StoreFault};
use support::{World, body, body_with};
use tracing_subscriber::fmt::MakeWriter;

fn in_runtime(work: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(work);
}

/// The counters by name and label values, and how often each histogram was added to.
fn measured(work: impl Future<Output = ()>) -> BTreeMap<String, u64> {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || in_runtime(work));
    let shown = |(key, _, _, value): (metrics_util::CompositeKey, _, _, DebugValue)| {
        let labels: Vec<&str> = key.key().labels().map(|label| label.value()).collect();
        let value = match value {
            DebugValue::Counter(n) => n,
            DebugValue::Histogram(values) => values.len() as u64,
            DebugValue::Gauge(_) => 0,
        };
        (format!("{} {}", key.key().name(), labels.join(" ")), value)
    };
    snapshotter.snapshot().into_vec().into_iter().map(shown).collect()
}

#[test]
fn requests_are_counted_by_route_and_class_and_messages_by_platform() {
    let counts = measured(async {
        let world = World::new();
        world.post(&body_with(json!({"message_id": "m1"}))).await.accepted();
        world.post(&body_with(json!({"message_id": "m1"}))).await.accepted();
        world.post(&json!({})).await.refused(400, "missing_field");
        world.get("/v1/messages/m1").await;
        world.get("/v1/messages/m2").await;
        world.get("/v1/secret").await;
        world.get("/health").await;
    });
    let expected = [
        ("chat4all_http_requests_total api /v1/messages 2xx", 2),
        ("chat4all_http_requests_total api /v1/messages 4xx", 1),
        ("chat4all_http_requests_total api /v1/messages/{message_id} 2xx", 1),
        ("chat4all_http_requests_total api /v1/messages/{message_id} 4xx", 1),
        ("chat4all_http_requests_total api unmatched 4xx", 1),
        ("chat4all_http_requests_total api /health 2xx", 1),
        ("chat4all_http_request_seconds api /v1/messages", 3),
        ("chat4all_http_request_seconds api /v1/messages/{message_id}", 2),
        ("chat4all_http_request_seconds api unmatched", 1),
        ("chat4all_http_request_seconds api /health", 1),
        ("chat4all_messages_accepted_total api whatsapp", 1),
    ];
    let expected = expected.map(|(name, n)| (name.to_owned(), n));
    let happened: BTreeMap<_, _> = counts.into_iter().filter(|(_, n)| *n > 0).collect();
    assert_eq!(happened, BTreeMap::from(expected));
}

#[test]
fn series_of_the_routes_of_messages_exist_before_the_first_request() {
    let counts = measured(async { drop(World::new()) });
    for name in [
        "chat4all_http_requests_total api /v1/messages 5xx",
        "chat4all_http_requests_total api /v1/messages/{message_id} 5xx",
        "chat4all_http_requests_total api /v1/conversations/{conversation_id}/messages 5xx",
        "chat4all_messages_accepted_total api instagram",
        "chat4all_start_time_seconds api",
    ] {
        assert_eq!(counts.get(name), Some(&0), "{name} in {counts:?}");
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[test]
fn logs_name_the_message_and_nothing_personal() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(lines.clone())
        .with_ansi(false)
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        in_runtime(async {
            let world = World::new();
            let personal = json!({"conversation_id": "S3CRET-c", "content": "S3CRET-t",
                "sender_id": "S3CRET-s", "file_id": "S3CRET-f", "message_id": "m1",
                "receiver_id": "whatsapp:+5577777777777"});
            let request = body_with(personal);
            world.store.fail(&[Op::Write], StoreFault::Away);
            world.post_keyed("S3CRET-k", &request).await.accepted();
            world.log.fail(LogFault::Refuses(AppendError::Full));
            world.post_keyed("S3CRET-k", &request).await.refused(503, "log_full");
            world.store.fail(&Op::ALL, StoreFault::Hangs);
            world.post_keyed("S3CRET-k", &request).await.refused(503, "store_unavailable");
            world.get("/v1/conversations/S3CRET-c/messages").await;
            world.get("/v1/messages/m1").await;
            world.post(&body()).await.refused(503, "log_full");
        });
    });
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("m1"), "{text}");
    assert!(!text.contains("S3CRET") && !text.contains("77777"), "{text}");
}
