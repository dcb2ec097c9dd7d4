//! Sends one platform's receipts, each until its webhook answers 200.
//!
//! The database is the queue; memory holds one batch of it. Between receipts the loop sleeps until
//! the next one is due, or until a call writes one that is due sooner.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use chat4all_process::Shutdown;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use http::{Request, StatusCode, header};
use secrecy::ExposeSecret;
use tokio::time::{sleep, timeout};

use crate::platform::{Event, Platform, REGISTRY};
use crate::receipts::{self, Receipt};
use crate::settings::Settings;
use crate::signature::{sign, vendor_json};
use crate::simulator::Inner;

/// Receipts read at once.
const BATCH: usize = 500;
/// The first pause after a vain attempt; doubled by each further one.
const FIRST_PAUSE_MS: u64 = 1_000;
const LONGEST_PAUSE_MS: u64 = 60_000;
/// How long a receipt is repeated.
const LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long receipts under way may take once the order to stop is given.
const DRAIN: Duration = Duration::from_secs(5);

/// An attempt that has ended: the receipt, and when it is due again, if it is.
type Attempt = (i64, Option<u64>);

struct Sender<'a> {
    inner: &'a Inner,
    index: usize,
    queue: VecDeque<Receipt>,
    under_way: FuturesUnordered<BoxFuture<'a, Attempt>>,
    /// The receipts under way: the database still shows them as due.
    ids: BTreeSet<i64>,
    /// When to look into the database again; `None` = when the alarm rings.
    look_at_ms: Option<u64>,
}

/// Sends the receipts of the platform at `index` of the registry until `shutdown`.
pub(crate) async fn run(inner: &Inner, index: usize, shutdown: &Shutdown) {
    let mut sender = Sender {
        inner,
        index,
        queue: VecDeque::new(),
        under_way: FuturesUnordered::new(),
        ids: BTreeSet::new(),
        look_at_ms: Some(0),
    };
    while !shutdown.is_triggered() {
        sender.refill().await;
        sender.start();
        let pause = sender.pause();
        tokio::select! {
            biased;
            () = shutdown.wait() => break,
            Some(attempt) = sender.under_way.next(), if !sender.under_way.is_empty() => {
                sender.ended(attempt);
            }
            () = inner.alarms[index].rings() => sender.look_at_ms = Some(0),
            () = sleep(pause.unwrap_or_default()), if pause.is_some() => {}
        }
    }
    let drain = async { while sender.under_way.next().await.is_some() {} };
    if timeout(DRAIN, drain).await.is_err() {
        tracing::info!("receipts still under way will be sent again after the next start");
    }
}

impl<'a> Sender<'a> {
    fn platform(&self) -> &'static dyn Platform {
        REGISTRY[self.index]
    }

    /// How long until it is worth looking again; `None` while a queue waits for room.
    fn pause(&self) -> Option<Duration> {
        let now_ms = self.inner.clock.now().as_ms();
        let look_at_ms = self.look_at_ms.filter(|_| self.queue.is_empty())?;
        Some(Duration::from_millis(look_at_ms.saturating_sub(now_ms)))
    }

    /// Reads what is due once the last batch has been started.
    async fn refill(&mut self) {
        let now_ms = self.inner.clock.now().as_ms();
        if !self.queue.is_empty() || self.look_at_ms.is_none_or(|at_ms| at_ms > now_ms) {
            return;
        }
        let alarm = &self.inner.alarms[self.index];
        alarm.looking();
        let (name, limit) = (self.platform().name(), BATCH + self.ids.len());
        let read = move |connection: &_| receipts::due(connection, name, now_ms, limit);
        match self.inner.database.read(read).await {
            Ok(due) => {
                let more = due.receipts.len() == limit;
                self.look_at_ms = if more { Some(now_ms) } else { due.next_ms };
                let ids = &self.ids;
                let fresh = due.receipts.into_iter().filter(|receipt| !ids.contains(&receipt.id));
                self.queue.extend(fresh);
            }
            Err(error) => {
                tracing::warn!(%error, "the due receipts cannot be read");
                self.look_at_ms = Some(now_ms + FIRST_PAUSE_MS);
            }
        }
        alarm.looks_again(self.look_at_ms);
    }

    /// Starts receipts while there is room.
    fn start(&mut self) {
        while self.under_way.len() < self.inner.settings.webhook_concurrency.count() {
            let Some(receipt) = self.queue.pop_front() else { return };
            self.ids.insert(receipt.id);
            self.under_way.push(attempt(self.inner, self.platform(), receipt).boxed());
        }
    }

    fn ended(&mut self, (id, again_ms): Attempt) {
        self.ids.remove(&id);
        if let Some(again_ms) = again_ms {
            let sooner = self.look_at_ms.is_none_or(|at_ms| again_ms < at_ms);
            self.look_at_ms = if sooner { Some(again_ms) } else { self.look_at_ms };
        }
    }
}

/// Sends a receipt once and writes down what came of it.
async fn attempt(inner: &Inner, platform: &'static dyn Platform, receipt: Receipt) -> Attempt {
    let answered = call(inner, platform, &receipt).await;
    let now_ms = inner.clock.now().as_ms();
    let life_ms = u64::try_from(LIFE.as_millis()).unwrap_or(u64::MAX);
    let given_up = !answered && now_ms >= receipt.at_ms.saturating_add(life_ms);
    let id = receipt.id;
    let again_ms = now_ms + pause_ms(inner, receipt.attempts);
    let name = platform.name();
    let written = if answered || given_up {
        inner.database.write(move |tx| receipts::finish(tx, name, id, answered)).await
    } else {
        inner.database.write(move |tx| receipts::put_off(tx, id, again_ms)).await
    };
    if let Err(error) = written {
        // The row is as it was: the receipt will be sent again.
        tracing::debug!(%error, platform = name, "the outcome of a receipt was not recorded");
        return (id, Some(again_ms));
    }
    if given_up {
        tracing::warn!(platform = name, "a receipt was not answered for seven days: given up");
    }
    if answered || given_up {
        inner.pending.finished(&receipt.external_id, receipt.stage);
        return (id, None);
    }
    (id, Some(again_ms))
}

/// 1 s, doubled to 60 s, less up to a quarter of it.
fn pause_ms(inner: &Inner, attempts: u64) -> u64 {
    let doublings = u32::try_from(attempts.min(6)).unwrap_or(6);
    let longest = (FIRST_PAUSE_MS << doublings).min(LONGEST_PAUSE_MS);
    inner.jitter.between(longest * 3 / 4, longest)
}

/// Whether the webhook answered 200.
async fn call(inner: &Inner, platform: &dyn Platform, receipt: &Receipt) -> bool {
    let remembered = inner.pending.address(&receipt.external_id);
    let event = Event {
        account: &receipt.account,
        external_id: &receipt.external_id,
        stage: receipt.stage,
        recipient: &receipt.recipient,
        address: remembered.as_deref().or(receipt.address.as_deref()),
        opaque: receipt.opaque.as_deref(),
        at_ms: receipt.at_ms,
    };
    let body = vendor_json(&platform.webhook(&event));
    let Some(request) = request(&inner.settings, platform.name(), &receipt.account, body) else {
        return false;
    };
    match inner.http.call(request, inner.settings.webhook_timeout()).await {
        Ok(response) if response.status() == StatusCode::OK => true,
        Ok(response) => {
            let status = response.status().as_u16();
            tracing::debug!(status, platform = platform.name(), "a receipt was not taken");
            false
        }
        Err(error) => {
            tracing::debug!(%error, platform = platform.name(), "a receipt was not answered");
            false
        }
    }
}

/// `None` if the settings no longer say where receipts go.
fn request(
    settings: &Settings,
    platform: &str,
    account: &str,
    body: String,
) -> Option<Request<Bytes>> {
    let (url, app_secret) = settings.webhook(platform, account)?;
    Request::post(url)
        .header(header::CONTENT_TYPE, "application/json")
        .header("x-hub-signature-256", sign(app_secret.expose_secret(), body.as_bytes()))
        .body(Bytes::from(body))
        .ok()
}
