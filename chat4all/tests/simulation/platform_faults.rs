//! What goes wrong between a connector and a platform: calls, the platform's code, receipts.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chat4all::installation::Installation;
use chat4all_connector_kit::platform::{
    Outcome, Platform, Refusal, ThrottleScope, Webhook, WebhookRefusal,
};
use chat4all_contracts::{AccountName, Message, MessageId, PlatformName};
use chat4all_eventlog::faulty::Gate;
use chat4all_process::http_client::{CallError, HttpPort};
use chat4all_simulator::{Fault as Planned, FaultKind, Simulator};
use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response, StatusCode};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::faults::{Dice, Fault};
use crate::log_faults::Injected;
use crate::watch::{Call, Watch};

/// Tells the platform's code to panic at an answer.
const PANIC: &str = "x-simulated-panic";

/// What one connector's process calls the platforms through.
#[derive(Clone)]
pub struct Calls {
    pub process: u64,
    pub inner: Arc<dyn HttpPort>,
    pub simulator: Simulator,
    pub platforms: Vec<Arc<dyn Platform>>,
    pub dice: Dice,
    pub watch: Watch,
    /// Closed while it stands still.
    pub moving: Arc<Gate>,
    /// Open once it is dead: nothing of it goes on.
    pub killed: Arc<Gate>,
    /// Platforms that are down.
    pub down: watch::Receiver<Option<String>>,
}

impl HttpPort for Calls {
    fn call(
        &self,
        request: Request<Bytes>,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<Response<Bytes>, CallError>> {
        Box::pin(async move {
            tokio::select! {
                biased;
                () = self.killed.until(true) => {}
                answer = self.attempt(request, timeout) => return answer,
            }
            std::future::pending().await
        })
    }
}

impl Calls {
    async fn attempt(
        &self,
        request: Request<Bytes>,
        timeout: Duration,
    ) -> Result<Response<Bytes>, CallError> {
        let id = request.headers().get("x-correlation-id").and_then(|id| id.to_str().ok());
        let id = id.and_then(|id| MessageId::new(id).ok());
        if !self.moving.is_open() {
            // What it was about to send is no longer wanted when it goes on.
            self.moving.until(true).await;
            id.iter().for_each(|id| self.watch.not_called(id));
            return Err(CallError::NotSent);
        }
        let call = id.and_then(|id| self.watch.call(self.process, &id));
        let platform = self.platform_of(&request);
        let answer = self.exchange(request, timeout, platform.as_deref()).await;
        let answer = answer.map(|answer| self.maybe_panic(answer));
        if let (Some(call), Some(platform)) = (call, platform) {
            self.ended(call, &*platform, &answer);
        }
        self.moving.until(true).await;
        answer
    }

    fn platform_of(&self, request: &Request<Bytes>) -> Option<Arc<dyn Platform>> {
        let path = request.uri().path().trim_start_matches('/');
        let is = |platform: &&Arc<dyn Platform>| path.starts_with(platform.name().as_str());
        self.platforms.iter().find(is).cloned()
    }

    async fn exchange(
        &self,
        request: Request<Bytes>,
        timeout: Duration,
        platform: Option<&dyn Platform>,
    ) -> Result<Response<Bytes>, CallError> {
        let name = platform.map(|platform| platform.name().as_str().to_owned()).unwrap_or_default();
        if self.down.borrow().as_ref() == Some(&name) {
            sleep(Duration::from_millis(30)).await; // sleep: a proxy's answer
            let mut down = Response::new(Bytes::new());
            *down.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            return Ok(down);
        }
        if self.dice.roll(Fault::ResetBefore) {
            return Err(CallError::NotSent);
        }
        if self.dice.roll(Fault::LyingLost) {
            return Ok(Response::new(Bytes::from_static(b"{}")));
        }
        self.plan(&request, &name);
        let answer = self.inner.call(request, timeout).await;
        if self.dice.roll(Fault::ResetAfter) {
            return Err(CallError::InDoubt("connection lost"));
        }
        match answer {
            Ok(answer) if answer.status().is_success() && self.dice.roll(Fault::LyingTaken) => {
                Ok(Response::new(Bytes::from_static(b"{\"messages\":[]}")))
            }
            answer => answer,
        }
    }

    /// Tells the simulator how to fail this call: of its conversation none other is under way.
    fn plan(&self, request: &Request<Bytes>, platform: &str) {
        let Some(kind) = self.kind(platform) else { return };
        let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let to = body["to"].as_str().or(body["recipient"]["id"].as_str()).unwrap_or_default();
        // Refused only when a thousand wait, and then enough goes wrong.
        let _full = self.simulator.add_fault(Planned::new(kind).platform(platform).recipient(to));
    }

    fn kind(&self, platform: &str) -> Option<FaultKind> {
        let random = self.dice.random();
        let half = || random.chance(1, 2);
        let vendor = |whatsapp, instagram, subcode, retry_after_s| FaultKind::Error {
            code: if platform == "whatsapp" { whatsapp } else { instagram },
            subcode: if platform == "whatsapp" { None } else { subcode },
            http_status: None,
            retry_after_s,
        };
        let kinds = [
            Fault::Slow,
            Fault::Error,
            Fault::Down,
            Fault::ThrottleAccount,
            Fault::ThrottleRecipient,
            Fault::RefuseAccount,
            Fault::RefuseMessage,
            Fault::Hang,
            Fault::Cut,
        ];
        let has = |fault: &Fault| platform == "whatsapp" || *fault != Fault::ThrottleRecipient;
        let fault = kinds.into_iter().filter(has).find(|fault| self.dice.roll(*fault))?;
        Some(match fault {
            Fault::Slow => FaultKind::Slow { delay_ms: random.between(1_000, 5_000) },
            Fault::Error => vendor(131_000, 2, None, None),
            Fault::ThrottleAccount => vendor(130_429, 613, None, half().then_some(2)),
            Fault::ThrottleRecipient => vendor(131_056, 0, None, None),
            Fault::RefuseAccount => vendor(190, 190, None, None),
            Fault::RefuseMessage => vendor(131_026, 551, None, None),
            Fault::Hang => FaultKind::Hang { accept: half() },
            Fault::Cut => FaultKind::Cut { accept: half() },
            _ => FaultKind::Down,
        })
    }

    fn maybe_panic(&self, mut answer: Response<Bytes>) -> Response<Bytes> {
        if self.dice.roll(Fault::PanicClassify) {
            answer.headers_mut().insert(PANIC, http::HeaderValue::from_static("now"));
        }
        answer
    }

    fn ended(
        &self,
        call: Call,
        platform: &dyn Platform,
        answer: &Result<Response<Bytes>, CallError>,
    ) {
        call.end(match answer {
            Err(CallError::NotSent) => "retryable",
            Err(CallError::InDoubt(_)) => "in_doubt",
            Ok(answer) if answer.headers().contains_key(PANIC) => "in_doubt",
            Ok(answer) => match platform.classify(answer) {
                Outcome::Throttled { scope: ThrottleScope::Recipient, .. } => "throttled recipient",
                outcome => outcome.word(),
            },
        });
    }
}

/// A platform's code that panics now and then.
pub struct Panics {
    inner: Arc<dyn Platform>,
    dice: Dice,
    watch: Watch,
}

impl Panics {
    /// Puts itself around every platform of an installation.
    pub fn around(installation: &mut Installation, dice: &Dice, watch: &Watch) {
        for served in installation.served.values_mut() {
            let inner = served.platform.clone();
            served.platform = Arc::new(Self { inner, dice: dice.clone(), watch: watch.clone() });
        }
    }
}

impl Platform for Panics {
    fn name(&self) -> &PlatformName {
        self.inner.name()
    }

    fn encode(&self, account: &AccountName, message: &Message) -> Result<Request<Bytes>, Refusal> {
        if self.dice.roll(Fault::PanicEncode) {
            self.watch.answered_without_call(&message.message_id);
            resume_unwind(Box::new(Injected));
        }
        self.inner.encode(account, message)
    }

    fn classify(&self, answer: &Response<Bytes>) -> Outcome {
        if answer.headers().contains_key(PANIC) {
            resume_unwind(Box::new(Injected));
        }
        self.inner.classify(answer)
    }

    fn confirm_webhook(&self, query: &[(String, String)]) -> Option<String> {
        self.inner.confirm_webhook(query)
    }

    fn read_webhook(&self, headers: &HeaderMap, body: &[u8]) -> Result<Webhook, WebhookRefusal> {
        self.inner.read_webhook(headers, body)
    }
}

/// What the simulator calls webhooks through.
pub struct Receipts {
    pub inner: Arc<dyn HttpPort>,
    pub dice: Dice,
}

impl HttpPort for Receipts {
    fn call(
        &self,
        request: Request<Bytes>,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<Response<Bytes>, CallError>> {
        Box::pin(async move {
            if self.dice.roll(Fault::ReceiptLate) {
                let late = Duration::from_secs(5);
                // sleep: the receipt's way
                sleep(self.dice.random().duration_between(Duration::ZERO, late)).await;
            }
            if self.dice.roll(Fault::ReceiptTwice) {
                // Its answer is the platform's own business.
                let _answer = self.inner.call(request.clone(), timeout).await;
            }
            self.inner.call(request, timeout).await
        })
    }
}
