//! One call to a platform's API, from its arrival to its answer.
//!
//! Whether the message is accepted is decided, and written down, as soon as the call has arrived;
//! the latency follows. So a client that goes away early has sent its message all the same.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chat4all_process::Random;
use chat4all_sqlite::DbError;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

use crate::answer;
use crate::fault::FaultKind;
use crate::identity::{Identity, identify};
use crate::ledger::{self, Entry};
use crate::pending::Known;
use crate::plan;
use crate::platform::{Incoming, Message, Parsed, Platform, REGISTRY, Stage, VendorError};
use crate::receipts::NewReceipt;
use crate::simulator::Inner;

/// How long a hanging call is held.
const HANG: Duration = Duration::from_secs(300);

/// The longest that a call waits for the answer to its early receipt.
const EARLY_WAIT: Duration = Duration::from_secs(5);

/// Receipts are due on a grid, so that a busy sender looks for them a hundred times a second.
const GRID_MS: u64 = 10;

/// A call that has arrived.
struct Call<'a> {
    inner: &'a Arc<Inner>,
    platform: &'static dyn Platform,
    index: usize,
    arrived: Instant,
    arrived_ms: u64,
    random: Random,
    latency: Duration,
}

/// Answers a call to the platform at `index` of the registry.
pub(crate) async fn handle(inner: &Arc<Inner>, index: usize, incoming: &Incoming<'_>) -> Response {
    let random = inner.calls.fork();
    let call = Call {
        inner,
        platform: REGISTRY[index],
        index,
        arrived: Instant::now(),
        arrived_ms: inner.clock.now().as_ms(),
        latency: plan::latency(&inner.settings, &random),
        random,
    };
    match call.platform.parse(incoming) {
        Parsed::Other(body) => {
            sleep_until(call.arrived + call.latency).await;
            answer::json(StatusCode::OK, &body)
        }
        Parsed::Unusable { account, refusal } => {
            let entry = call.entry(account, None);
            if let Err(error) = call.record(entry, None).await {
                return unrecorded(&error);
            }
            sleep_until(call.arrived + call.latency).await;
            call.error(&refusal)
        }
        Parsed::Send { message, refusal } => {
            let identity = identify(&message, incoming.headers);
            call.send(message, identity, refusal).await
        }
    }
}

/// The ledger must not miss a call, so one that it cannot take has not happened.
fn unrecorded(error: &DbError) -> Response {
    tracing::error!(%error, "a call was not recorded and is answered with 503");
    answer::down()
}

impl Call<'_> {
    async fn send(
        &self,
        message: Message,
        identity: Identity,
        refusal: Option<VendorError>,
    ) -> Response {
        let Inner { settings, faults, in_flight, .. } = &**self.inner;
        let name = self.platform.name();
        // Held until the answer is ready.
        let in_flight = in_flight.enter(name, &message.account, &identity.conversation);
        let fault = match &refusal {
            Some(_) => None,
            None => faults
                .take(name, &message.account, &identity.recipient)
                .or_else(|| plan::random_fault(settings, &self.random, self.platform)),
        };
        let delay = fault.as_ref().map_or(Duration::ZERO, FaultKind::delay);
        let accepted = refusal.is_none() && fault.as_ref().is_none_or(FaultKind::accepts);
        let mut entry = self.entry(message.account.clone(), Some(identity));
        entry.overlaps = in_flight.overlaps;
        let external_id = self.platform.external_id(entry.sequence, self.random.next_u64());
        let early = if accepted {
            entry.external_id = Some(external_id.clone());
            self.add_receipts(&mut entry, &message, self.latency + delay)
        } else {
            None
        };
        let (told, early_answered) = oneshot::channel();
        let known = accepted.then(|| Known {
            address: self.platform.address(&message.recipient).0,
            left: entry.receipts.len(),
            early: early.map(|stage| (stage, told)),
        });
        if let Err(error) = self.record(entry, known).await {
            self.inner.pending.forget(&external_id);
            return unrecorded(&error);
        }
        sleep_until(self.arrived + self.latency + delay).await;
        if early.is_some() {
            // Told, forgotten or too late: the answer goes out in each case.
            let _ = timeout(EARLY_WAIT, early_answered).await;
        }
        self.reply(&message, &external_id, refusal, fault).await
    }

    fn entry(&self, account: String, identity: Option<Identity>) -> Entry {
        Entry {
            platform: self.platform.name(),
            account,
            sequence: self.inner.next_sequence(),
            identity,
            external_id: None,
            overlaps: false,
            receipts: Vec::new(),
            receipts_lost: 0,
            address: None,
            opaque: None,
        }
    }

    /// Plans the receipts of an accepted message; returns the one to wait for.
    fn add_receipts(
        &self,
        entry: &mut Entry,
        message: &Message,
        answered: Duration,
    ) -> Option<Stage> {
        let settings = &self.inner.settings;
        settings.webhook(self.platform.name(), &message.account)?;
        let stages = self.platform.stages();
        let plan = plan::receipts(settings, &self.random, stages, answered);
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        entry.receipts_lost = plan.lost;
        entry.receipts = plan
            .planned
            .iter()
            .map(|receipt| {
                let at_ms = self.arrived_ms.saturating_add(ms(receipt.after));
                let due_ms = at_ms.saturating_add(ms(receipt.delay));
                let at_once = due_ms == self.arrived_ms;
                let due_ms = if at_once { due_ms } else { due_ms.next_multiple_of(GRID_MS) };
                NewReceipt { stage: receipt.stage, at_ms, due_ms }
            })
            .collect();
        let (address, storable) = self.platform.address(&message.recipient);
        entry.address = storable.then_some(address);
        entry.opaque.clone_from(&message.opaque);
        plan.early
    }

    /// Writes the call down and wakes the sender, also if the client goes away meanwhile.
    async fn record(&self, entry: Entry, known: Option<Known>) -> Result<(), DbError> {
        let earliest_ms = entry.receipts.iter().map(|receipt| receipt.due_ms).min();
        let wake = Wake { inner: self.inner.clone(), index: self.index, earliest_ms };
        let write = self.inner.database.write(move |tx| {
            ledger::record(tx, &entry)?;
            // Before the commit: the sender must not see a receipt that memory does not know.
            if let (Some(known), Some(external_id)) = (known, &entry.external_id) {
                wake.inner.pending.remember(external_id, known);
            }
            // Dropped after the commit, by whoever gets it.
            Ok(wake)
        });
        write.await.map(drop)
    }

    async fn reply(
        &self,
        message: &Message,
        external_id: &str,
        refusal: Option<VendorError>,
        fault: Option<FaultKind>,
    ) -> Response {
        if let Some(refusal) = refusal {
            return self.error(&refusal);
        }
        let accepted = || self.platform.accepted(message, external_id);
        match fault {
            None | Some(FaultKind::Slow { .. }) => answer::json(StatusCode::OK, &accepted()),
            Some(FaultKind::Cut { .. }) => answer::cut(StatusCode::OK, &accepted()),
            Some(FaultKind::Down) => answer::down(),
            Some(FaultKind::Hang { .. }) => {
                sleep_until(self.arrived + HANG).await;
                answer::nothing()
            }
            Some(FaultKind::Error { code, subcode, http_status, retry_after_s }) => {
                let details = String::new();
                self.error(&VendorError { code, subcode, details, http_status, retry_after_s })
            }
        }
    }

    fn error(&self, error: &VendorError) -> Response {
        let mut trace = [0; 16];
        trace[..8].copy_from_slice(&self.random.next_u64().to_be_bytes());
        trace[8..].copy_from_slice(&self.random.next_u64().to_be_bytes());
        let trace_id = format!("A{}", URL_SAFE_NO_PAD.encode(trace));
        let (status, body) = self.platform.error(error, &trace_id);
        let mut response = answer::json(status, &body);
        if let Some(seconds) = error.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Wakes the sender when dropped.
struct Wake {
    inner: Arc<Inner>,
    index: usize,
    earliest_ms: Option<u64>,
}

impl Drop for Wake {
    fn drop(&mut self) {
        if let Some(earliest_ms) = self.earliest_ms {
            self.inner.alarms[self.index].due(earliest_ms);
        }
    }
}
