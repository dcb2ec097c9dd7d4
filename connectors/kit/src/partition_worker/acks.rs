//! What a worker has published and the log has not acknowledged yet. One task awaits all of it, and
//! tells the worker in one message of everything that is acknowledged by then.

use std::sync::Arc;

use chat4all_eventlog::{Ack, NewRecord};
use chat4all_process::metric::{Counters, Metric};
use futures::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use ractor::ActorRef;
use tokio::sync::mpsc;

use super::WorkerMsg;

/// A record that counts once what became of it is acknowledged (I3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Its offset.
    pub offset: u64,
    /// What it takes of memory.
    pub bytes: usize,
}

/// A status that is queued. Dropped before its end is known, its call may be made again by the next
/// owner: that is counted.
pub(super) struct Queued {
    service: &'static str,
    platform: Arc<str>,
    is_known: bool,
    done: Done,
    status: &'static str,
    record: NewRecord,
    ack: Ack,
}

/// A status that was not acknowledged.
pub(super) struct Again {
    pub(super) done: Done,
    pub(super) status: &'static str,
    pub(super) record: NewRecord,
}

impl Queued {
    /// `record` is what `ack` is about, for another try.
    pub(super) fn new(
        (service, platform): (&'static str, Arc<str>),
        (done, status): (Done, &'static str),
        record: NewRecord,
        ack: Ack,
    ) -> Self {
        Self { service, platform, is_known: false, done, status, record, ack }
    }

    async fn end(mut self) -> Result<(Done, &'static str), Again> {
        let acked = (&mut self.ack).await;
        self.is_known = true;
        match acked {
            Ok(_) => Ok((self.done, self.status)),
            Err(error) => {
                tracing::warn!(%error, topic = %self.record.to, "publishing again");
                let (done, status, record) = (self.done, self.status, self.record.clone());
                Err(Again { done, status, record })
            }
        }
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        if !self.is_known {
            Metric::CallsOutlastedDrain.count(self.service, &[&self.platform]);
        }
    }
}

/// Tells a worker that the task has panicked: what it awaited must be read again from the log.
struct Alarm(ActorRef<WorkerMsg>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _gone = self.0.send_message(WorkerMsg::AcksLost);
        }
    }
}

/// Awaits what comes through `queued` until the worker is gone, and counts it. A status that was not
/// acknowledged is handed to `again`.
pub(super) async fn await_all(
    mut queued: mpsc::Receiver<Queued>,
    worker: ActorRef<WorkerMsg>,
    published: Counters,
    again: impl Fn(Again),
) {
    let alarm = Alarm(worker);
    let mut waiting = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(first) = waiting.next() => {
                let mut acknowledged = Vec::new();
                let mut next = Some(first);
                while let Some(ended) = next {
                    match ended {
                        Ok((done, status)) => {
                            published.count(status);
                            acknowledged.push(done);
                        }
                        Err(failed) => again(failed),
                    }
                    next = waiting.next().now_or_never().flatten();
                }
                let _gone = alarm.0.send_message(WorkerMsg::Settled(acknowledged));
            }
            one = queued.recv() => match one {
                Some(one) => waiting.push(one.end()),
                None => return,
            }
        }
    }
}
