//! Gateway: all calls of one account. Breaker, pace and number in flight are decided here; what
//! cannot start yet is parked, in order. Nothing is skipped, nothing is counted as an attempt (I4).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use chat4all_contracts::{AccountName, Message};
use chat4all_process::backoff::Backoff;
use chat4all_process::metric::{Contribution, Metric};
use chat4all_process::{Clock, Random};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;

use crate::breaker::{Breaker, BreakerPolicy, Denied, Permit, Transition};
use crate::delivery::Caller;
use crate::lanes::LaneKey;
use crate::pacer::Pacer;
use crate::partition_worker::{CallResult, WorkerMsg};
use crate::platform::{Outcome, ThrottleScope};
use crate::settings::KitSettings;
use crate::tasks::EpochTasks;

/// The actor.
pub struct Gateway;

/// A message to deliver.
pub struct Job {
    /// The message.
    pub message: Arc<Message>,
    /// Its lane, for the answer.
    pub lane: LaneKey,
    /// Its offset, for the answer.
    pub offset: u64,
    /// The tasks of its epoch: the call becomes one of them.
    pub tasks: EpochTasks,
    /// Who is told.
    pub worker: ActorRef<WorkerMsg>,
    /// Whether the worker has been told.
    pub answered: bool,
}

impl Job {
    fn answer(mut self: Box<Self>, result: CallResult) {
        self.tell(result);
    }

    fn tell(&mut self, result: CallResult) {
        self.answered = true;
        let lane = self.lane.clone();
        // A worker that is gone has been replaced, and its successor has the record again.
        let _gone =
            self.worker.send_message(WorkerMsg::Called { lane, offset: self.offset, result });
    }
}

impl Drop for Job {
    /// A gateway that dies drops what it had parked; the worker must hear of it.
    fn drop(&mut self) {
        if !self.answered {
            self.tell(CallResult::GatewayLost);
        }
    }
}

/// How often parked messages are looked through while nothing can start: expiry is noticed this
/// late.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What it is told.
pub enum GatewayMsg {
    /// Deliver this, when possible.
    Deliver(Box<Job>),
    /// A call has ended.
    Finished(Permit, Verdict),
    /// Look again whether something can start: the wake-up for this moment.
    Wake(Instant),
    /// A partition goes away: answer for what of it is parked.
    Sweep,
}

/// What a call's end means for the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The platform works.
    Working,
    /// The platform fails.
    Failing,
    /// The platform asks the account to slow down.
    Throttled(Option<Duration>),
    /// The platform refuses the account.
    Refused,
    /// We cut the call off.
    Abandoned,
}

impl From<&Outcome> for Verdict {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Throttled { after, scope: ThrottleScope::Account, .. } => {
                Self::Throttled(*after)
            }
            Outcome::Account { .. } => Self::Refused,
            outcome if outcome.shows_a_working_platform() => Self::Working,
            _ => Self::Failing,
        }
    }
}

/// What a gateway stands on.
#[derive(Clone)]
pub struct GatewayArgs {
    /// The service's name in metrics.
    pub service: &'static str,
    /// The platform's name in metrics.
    pub platform: String,
    /// The account.
    pub account: AccountName,
    /// Makes the calls.
    pub caller: Caller,
    /// The connector's policy.
    pub settings: KitSettings,
    /// The account's pace.
    pub per_second: u32,
    /// The time of day, for the end of a message's life.
    pub clock: Clock,
    /// For the breaker's jitter.
    pub random: Random,
}

/// See the module.
pub struct GatewayState {
    args: GatewayArgs,
    breaker: Breaker,
    pacer: Pacer,
    /// At most a window of each partition that carries the account.
    parked: VecDeque<Box<Job>>,
    in_flight: usize,
    /// The earliest wake-up under way.
    wake_at: Option<Instant>,
    /// When parked messages are looked through next.
    sweep_at: Instant,
    levels: Levels,
}

/// The account's part of the platform's gauges.
struct Levels {
    parked: Contribution,
    in_flight: Contribution,
    breakers_open: Contribution,
}

impl Levels {
    fn new(service: &'static str, platform: &str) -> Self {
        let level = |metric| Contribution::new(metric, service, &[platform]);
        Self {
            parked: level(Metric::DeliveriesParked),
            in_flight: level(Metric::DeliveriesInFlight),
            breakers_open: level(Metric::BreakersOpen),
        }
    }
}

impl Actor for Gateway {
    type Msg = GatewayMsg;
    type State = GatewayState;
    type Arguments = GatewayArgs;

    async fn pre_start(
        &self,
        _: ActorRef<GatewayMsg>,
        args: GatewayArgs,
    ) -> Result<GatewayState, ActorProcessingErr> {
        let open_for = Backoff::new(args.settings.breaker(), args.random.clone());
        let failures = args.settings.breaker_failures.get() as u32;
        Ok(GatewayState {
            breaker: Breaker::new(BreakerPolicy { failures, open_for }),
            pacer: Pacer::new(args.per_second, Instant::now()),
            parked: VecDeque::new(),
            in_flight: 0,
            wake_at: None,
            sweep_at: Instant::now(),
            levels: Levels::new(args.service, &args.platform),
            args,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<GatewayMsg>,
        message: GatewayMsg,
        state: &mut GatewayState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            GatewayMsg::Deliver(job) => state.parked.push_back(job),
            GatewayMsg::Finished(permit, verdict) => state.finished(permit, verdict),
            // A wake-up that was overtaken by an earlier one; its successor is under way.
            GatewayMsg::Wake(at) if state.wake_at != Some(at) => return Ok(()),
            GatewayMsg::Wake(_) => {
                state.wake_at = None;
                if Instant::now() >= state.sweep_at {
                    state.drop_what_will_not_start();
                }
            }
            GatewayMsg::Sweep => state.drop_what_will_not_start(),
        }
        state.start_what_can(&myself);
        Ok(())
    }
}

impl GatewayState {
    fn finished(&mut self, permit: Permit, verdict: Verdict) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let now = Instant::now();
        let transition = match verdict {
            Verdict::Working => self.breaker.succeeded(permit),
            Verdict::Failing => self.breaker.failed(permit, now),
            Verdict::Throttled(after) => {
                let pause = after.unwrap_or(self.args.settings.throttle_pause_ms.ms());
                self.pacer.pause_until(now + pause);
                self.breaker.succeeded(permit)
            }
            Verdict::Refused => {
                let pause = self.args.settings.refused_account_pause_ms.ms();
                tracing::error!(account = %self.args.account, "the platform refuses the account");
                self.breaker.open_for(permit, now, pause)
            }
            Verdict::Abandoned => {
                self.breaker.abandoned(permit);
                None
            }
        };
        self.report(transition);
    }

    fn report(&mut self, transition: Option<Transition>) {
        let Some(transition) = transition else { return };
        let GatewayArgs { service, platform, account, .. } = &self.args;
        Metric::BreakerTransitions.count(service, &[platform, transition.word()]);
        tracing::info!(%account, to = transition.word(), "the circuit breaker changed");
        self.levels.breakers_open.set(usize::from(!self.breaker.is_closed()));
    }

    /// Parked messages whose life ended, or whose partition goes away, must not wait for the
    /// breaker to hear of it.
    fn drop_what_will_not_start(&mut self) {
        self.sweep_at = Instant::now() + SWEEP_EVERY;
        let now = self.args.clock.now();
        let parked = std::mem::take(&mut self.parked);
        for job in parked {
            if !job.tasks.may_start() {
                job.answer(CallResult::NotStarted);
            } else if now >= job.message.expires_at {
                job.answer(CallResult::Expired);
            } else {
                self.parked.push_back(job);
            }
        }
    }

    fn start_what_can(&mut self, myself: &ActorRef<GatewayMsg>) {
        while let Some(job) = self.parked.front() {
            let expired = self.args.clock.now() >= job.message.expires_at;
            if expired || !job.tasks.may_start() {
                let result = if expired { CallResult::Expired } else { CallResult::NotStarted };
                if let Some(job) = self.parked.pop_front() {
                    job.answer(result);
                }
                continue;
            }
            match self.permit() {
                Ok(permit) => {
                    if let Some(job) = self.parked.pop_front() {
                        self.start(job, permit, myself);
                    }
                }
                Err(wait) => {
                    self.wake(wait, myself);
                    break;
                }
            }
        }
        self.levels.parked.set(self.parked.len());
        self.levels.in_flight.set(self.in_flight);
    }

    /// A permit, or when to ask again; `Err(None)` = after the next outcome.
    fn permit(&mut self) -> Result<Permit, Option<Instant>> {
        if self.in_flight >= self.args.settings.max_in_flight.count() {
            return Err(None);
        }
        let now = Instant::now();
        let (permit, transition) = self.breaker.permit(now, self.in_flight);
        self.report(transition);
        let permit = permit.map_err(|denied| match denied {
            Denied::Until(at) => Some(at),
            Denied::AfterAnOutcome => None,
        })?;
        match self.pacer.take(now) {
            Ok(()) => Ok(permit),
            Err(at) => {
                self.breaker.abandoned(permit);
                Err(Some(at))
            }
        }
    }

    fn wake(&mut self, at: Option<Instant>, myself: &ActorRef<GatewayMsg>) {
        let now = Instant::now();
        // Neither a long pause nor calls that do not end may hide that a parked message's life
        // does.
        let sweep_at = now + SWEEP_EVERY;
        let at = at.map_or(sweep_at, |at| at.min(sweep_at));
        if self.wake_at.is_some_and(|earlier| earlier <= at) {
            return;
        }
        self.wake_at = Some(at);
        let wait = at.saturating_duration_since(now);
        drop(myself.send_after(wait, move || GatewayMsg::Wake(at)));
    }

    fn start(&mut self, job: Box<Job>, permit: Permit, myself: &ActorRef<GatewayMsg>) {
        self.in_flight += 1;
        let probe = !self.breaker.is_closed();
        let (caller, account) = (self.args.caller.clone(), self.args.account.clone());
        let (service, platform) = (self.args.service, self.args.platform.clone());
        let tasks = job.tasks.clone();
        let gateway = myself.clone();
        let call = CallUnderWay { gateway, permit: Some(permit), job: Some(job), probe };
        tasks.spawn(async move {
            let Some(message) = call.message() else { return };
            let started = Instant::now();
            let outcome = caller.call(&account, &message).await;
            Metric::DeliverySeconds.observe(service, &[&platform], started.elapsed());
            Metric::Deliveries.count(service, &[&platform, outcome.word()]);
            call.ended(outcome);
        });
    }
}

/// Gives the permit back and answers the worker when the call ends, however it ends.
struct CallUnderWay {
    gateway: ActorRef<GatewayMsg>,
    permit: Option<Permit>,
    job: Option<Box<Job>>,
    probe: bool,
}

impl CallUnderWay {
    fn message(&self) -> Option<Arc<Message>> {
        self.job.as_ref().map(|job| job.message.clone())
    }

    fn ended(mut self, outcome: Outcome) {
        self.report(Verdict::from(&outcome), outcome);
    }

    fn report(&mut self, verdict: Verdict, outcome: Outcome) {
        if let Some(permit) = self.permit.take() {
            // A gateway that is gone has been replaced by one that counts from zero.
            let _gone = self.gateway.send_message(GatewayMsg::Finished(permit, verdict));
        }
        if let Some(job) = self.job.take() {
            job.answer(CallResult::Outcome { outcome, probe: self.probe });
        }
    }
}

impl Drop for CallUnderWay {
    /// Reaped (then nobody listens any more), or ended by a panic below the platform's code.
    fn drop(&mut self) {
        let outcome = Outcome::InDoubt { detail: "the call was cut off by us".to_owned() };
        self.report(Verdict::Abandoned, outcome);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chat4all_contracts::{ConversationId, EpochMs, PlatformName};
    use chat4all_process::http_client::{CallError, HttpPort};
    use futures::future::BoxFuture;
    use http::{Request, Response};
    use tokio::sync::mpsc;

    use super::*;
    use crate::platform::{Platform, Refusal, Webhook, WebhookRefusal};

    /// A worker that passes on what it is told.
    struct Listener;

    impl Actor for Listener {
        type Msg = WorkerMsg;
        type State = mpsc::Sender<WorkerMsg>;
        type Arguments = mpsc::Sender<WorkerMsg>;

        async fn pre_start(
            &self,
            _: ActorRef<WorkerMsg>,
            sender: Self::Arguments,
        ) -> Result<Self::State, ActorProcessingErr> {
            Ok(sender)
        }

        async fn handle(
            &self,
            _: ActorRef<WorkerMsg>,
            message: WorkerMsg,
            sender: &mut Self::State,
        ) -> Result<(), ActorProcessingErr> {
            sender.send(message).await.map_err(Into::into)
        }
    }

    /// A platform that never answers.
    struct Silent(PlatformName);

    impl Platform for Silent {
        fn name(&self) -> &PlatformName {
            &self.0
        }
        fn encode(&self, _: &AccountName, _: &Message) -> Result<Request<Bytes>, Refusal> {
            Ok(Request::new(Bytes::new()))
        }
        fn classify(&self, _: &Response<Bytes>) -> Outcome {
            Outcome::InDoubt { detail: String::new() }
        }
        fn confirm_webhook(&self, _: &[(String, String)]) -> Option<String> {
            None
        }
        fn read_webhook(
            &self,
            _: &axum::http::HeaderMap,
            _: &[u8],
        ) -> Result<Webhook, WebhookRefusal> {
            Err(WebhookRefusal::Body)
        }
    }

    impl HttpPort for Silent {
        fn call(
            &self,
            _: Request<Bytes>,
            _: Duration,
        ) -> BoxFuture<'_, Result<Response<Bytes>, CallError>> {
            Box::pin(std::future::pending())
        }
    }

    struct Scene {
        gateway: ActorRef<GatewayMsg>,
        worker: ActorRef<WorkerMsg>,
        told: mpsc::Receiver<WorkerMsg>,
        clock: Clock,
        tasks: EpochTasks,
    }

    impl Scene {
        /// A gateway with room for one call, which never ends.
        async fn new() -> Self {
            let (sender, told) = mpsc::channel(10);
            let (worker, _) = Actor::spawn(None, Listener, sender).await.unwrap();
            let silent = || Arc::new(Silent(PlatformName::new("silent").unwrap()));
            let clock = Clock::simulated(EpochMs::saturating(1_000));
            let settings = KitSettings {
                max_in_flight: chat4all_process::config::Bounded::new(1),
                ..KitSettings::default()
            };
            let args = GatewayArgs {
                service: "test",
                platform: "silent".to_owned(),
                account: AccountName::new("main").unwrap(),
                caller: Caller::new(silent(), silent(), Duration::from_secs(900)),
                settings,
                per_second: 80,
                clock: clock.clone(),
                random: Random::seeded(1),
            };
            let (gateway, _) = Actor::spawn(None, Gateway, args).await.unwrap();
            Self { gateway, worker, told, clock, tasks: EpochTasks::new() }
        }

        fn deliver(&self, offset: u64, lifetime: Duration) {
            let record = r#"{"message_id":"m","conversation_id":"c","sender_id":"s",
                "receiver_id":"p:r","content":"t"}"#;
            let now = self.clock.now();
            let message = Message::parse(record.as_bytes(), now).unwrap();
            let message = Message { expires_at: now.plus(lifetime), ..message };
            let lane = LaneKey {
                account: AccountName::new("main").unwrap(),
                conversation: ConversationId::new("c").unwrap(),
            };
            let (tasks, worker) = (self.tasks.clone(), self.worker.clone());
            let message = Arc::new(message);
            let job = Job { message, lane, offset, tasks, worker, answered: false };
            self.gateway.send_message(GatewayMsg::Deliver(Box::new(job))).unwrap();
        }

        async fn told(&mut self) -> (u64, CallResult) {
            match self.told.recv().await {
                Some(WorkerMsg::Called { offset, result, .. }) => (offset, result),
                _ => panic!("told something else"),
            }
        }
    }

    const DAY: Duration = Duration::from_secs(86_400);

    #[tokio::test(start_paused = true)]
    async fn a_gateway_that_dies_answers_for_what_it_had_parked() {
        let mut scene = Scene::new().await;
        scene.deliver(0, DAY);
        scene.deliver(1, DAY);
        tokio::time::sleep(Duration::from_secs(1)).await;
        scene.gateway.kill();
        assert_eq!(scene.told().await, (1, CallResult::GatewayLost));
    }

    #[tokio::test(start_paused = true)]
    async fn a_partition_that_goes_away_takes_its_parked_messages_along() {
        let mut scene = Scene::new().await;
        scene.deliver(0, DAY);
        scene.deliver(1, DAY);
        scene.tasks.drain();
        scene.gateway.send_message(GatewayMsg::Sweep).unwrap();
        let (offset, result) = scene.told().await;
        assert_eq!(result, CallResult::NotStarted);
        assert!(offset <= 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_parked_message_expires_while_nothing_can_start() {
        let mut scene = Scene::new().await;
        scene.deliver(0, DAY);
        scene.deliver(1, DAY);
        scene.deliver(2, Duration::from_secs(60));
        let before = Instant::now();
        assert_eq!(scene.told().await, (2, CallResult::Expired));
        assert!(before.elapsed() <= Duration::from_secs(62), "{:?}", before.elapsed());
    }
}
