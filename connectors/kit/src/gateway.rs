//! Gateway: all calls of one account. Breaker, pace and number in flight are decided here; what
//! cannot start yet is parked. Nothing is skipped, nothing is counted as an attempt (I4).

mod call;
mod showing;

use std::time::Duration;

use chat4all_contracts::mutant::{self, Mutant};
use chat4all_contracts::{AccountName, AccountOrder, ReceiverId};
use chat4all_process::backoff::Backoff;
use chat4all_process::metric::{Contribution, Counters, Durations, Metric};
use chat4all_process::{Clock, Random};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::time::Instant;

use crate::breaker::{Breaker, BreakerPolicy, Denied, Permit, Transition};
use crate::delivery::Caller;
use crate::lease::Lease;
use crate::pacer::Pacer;
use crate::parked::Parked;
use crate::platform::Outcome;
use crate::settings::KitSettings;
use crate::steering::{Snapshot, Steering};
use crate::tasks::EpochTasks;
use crate::vitals::Vitals;

use call::CallUnderWay;
pub use call::{Job, Verdict};
use showing::History;

/// The actor.
pub struct Gateway;

/// How often parked messages are looked through while nothing can start: expiry is noticed this
/// late.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// How often an account that waits for the log (whose connector has no lease, or of which too much is
/// unacknowledged) looks whether it is back.
const LOG_LOOK: Duration = Duration::from_millis(20);

/// What it is told.
pub enum GatewayMsg {
    /// Deliver this, when possible.
    Deliver(Box<Job>),
    /// A call has ended.
    Finished {
        /// Its permit.
        permit: Permit,
        /// What it means for the account.
        verdict: Verdict,
        /// To whom it was.
        to: ReceiverId,
        /// When it began.
        began: Instant,
    },
    /// Look again whether something can start: the wake-up for this moment.
    Wake(Instant),
    /// A partition goes away: answer for what of it is parked.
    Sweep,
    /// An operator has given an order: see what may start now.
    Ordered(AccountOrder),
    /// Say how the account is.
    Show(RpcReplyPort<Snapshot>),
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
    /// The right to start calls.
    pub lease: Lease,
    /// Who is alive.
    pub vitals: Vitals,
    /// What operators want of the account, and where it shows itself.
    pub steering: Steering,
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
    /// How it is called in /health.
    name: String,
    breaker: Breaker,
    pacer: Pacer,
    /// At most a window of each partition that carries the account.
    parked: Parked<Box<Job>>,
    in_flight: usize,
    /// The tasks of the account's partition, under its last epoch.
    epoch: Option<EpochTasks>,
    /// The earliest wake-up under way.
    wake_at: Option<Instant>,
    /// When parked messages are looked through next.
    sweep_at: Instant,
    levels: Levels,
    counted: Counted,
    history: History,
}

/// What is counted with every call.
#[derive(Clone)]
struct Counted {
    outcomes: Counters,
    seconds: Durations,
}

impl Counted {
    fn new(service: &'static str, platform: &str) -> Self {
        let outcomes = Counters::new(Metric::Deliveries, service, &[platform], &Outcome::WORDS);
        let seconds = Durations::new(Metric::DeliverySeconds, service, &[platform]);
        Self { outcomes, seconds }
    }
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
        let policy = BreakerPolicy { failures, rate: args.settings.failure_rate(), open_for };
        Ok(GatewayState {
            name: format!("the gateway of account {}", args.account),
            breaker: Breaker::new(policy),
            pacer: Pacer::new(args.per_second, Instant::now()),
            parked: Parked::new(args.settings.recipient_pause()),
            in_flight: 0,
            epoch: None,
            wake_at: None,
            sweep_at: Instant::now(),
            levels: Levels::new(args.service, &args.platform),
            counted: Counted::new(args.service, &args.platform),
            history: History::default(),
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
            GatewayMsg::Deliver(job) => state.park(job),
            GatewayMsg::Finished { permit, verdict, to, began } => {
                state.finished(permit, verdict, to, began);
            }
            // A wake-up that was overtaken by an earlier one; its successor is under way.
            GatewayMsg::Wake(at) if state.wake_at != Some(at) => return Ok(()),
            GatewayMsg::Wake(_) => {
                state.wake_at = None;
                if Instant::now() >= state.sweep_at {
                    state.drop_what_will_not_start();
                }
            }
            GatewayMsg::Sweep => state.drop_what_will_not_start(),
            GatewayMsg::Ordered(AccountOrder::CloseBreaker) => state.try_now(),
            GatewayMsg::Ordered(AccountOrder::Pause | AccountOrder::Resume) => {}
            GatewayMsg::Show(reply) => {
                let _too_late = reply.send(state.snapshot());
                return Ok(());
            }
        }
        state.start_what_can(&myself);
        Ok(())
    }
}

impl GatewayState {
    /// A job that cannot start any more is answered at once: if it waited for the next look, the
    /// expired messages of one conversation would end one a look, each behind the one before it.
    fn park(&mut self, job: Box<Job>) {
        let now = self.args.clock.now();
        if job.cannot_start(now).is_some() {
            return job.answer_without_a_call(now);
        }
        self.epoch = Some(job.tasks.clone());
        self.parked.push(job.message.receiver_id.clone(), job, Instant::now());
    }

    fn finished(&mut self, permit: Permit, verdict: Verdict, to: ReceiverId, began: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let now = Instant::now();
        self.history.note(&verdict);
        let transition = match verdict {
            Verdict::Working => {
                self.parked.taken(&to, now);
                self.breaker.succeeded(permit, now)
            }
            Verdict::Failing => self.breaker.failed(permit, now),
            Verdict::Throttled(after) => {
                let pause = after.unwrap_or(self.args.settings.throttle_pause_ms.ms());
                self.pacer.throttled(began, pause, now);
                self.history.throttled_until = Some(now + pause);
                self.breaker.succeeded(permit, now)
            }
            Verdict::ThrottledRecipient(after) => {
                self.parked.throttled(to, began, after, now);
                self.breaker.succeeded(permit, now)
            }
            Verdict::Refused(_) => {
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
        for job in self.parked.remove_where(|job| job.cannot_start(now).is_some()) {
            job.answer_without_a_call(now);
        }
    }

    fn start_what_can(&mut self, myself: &ActorRef<GatewayMsg>) {
        self.parked.release(Instant::now());
        let now = self.args.clock.now();
        while self.parked.has_ready() {
            let permit = match self.permit() {
                Ok(permit) => permit,
                Err(_) if mutant::is_on(Mutant::SkipsWhenOpen) && !self.breaker.is_closed() => {
                    self.parked.take().into_iter().for_each(|job| job.skip());
                    continue;
                }
                Err(wait) => {
                    self.wake(wait, myself);
                    break;
                }
            };
            let is_probe = !self.breaker.is_closed();
            let next = if is_probe { self.parked.take_oldest() } else { self.parked.take() };
            match next {
                Some(job) if job.cannot_start(now).is_none() => self.start(job, permit, myself),
                job => {
                    // No call is made with it.
                    self.breaker.abandoned(permit);
                    job.into_iter().for_each(|job| job.answer_without_a_call(now));
                }
            }
        }
        if !self.parked.has_ready()
            && let Some(at) = self.parked.next_release()
        {
            self.wake(Some(at), myself);
        }
        self.levels.parked.set(self.parked.len());
        self.levels.in_flight.set(self.in_flight);
        self.args.steering.show(&self.args.account, self.sign());
        if !self.parked.is_empty() {
            self.args.vitals.beat(&self.name);
        } else {
            self.args.vitals.rest(&self.name);
        }
    }

    /// A permit, or when to ask again; `Err(None)` = after the next outcome.
    fn permit(&mut self) -> Result<Permit, Option<Instant>> {
        if self.in_flight >= self.args.settings.max_in_flight.count() {
            return Err(None);
        }
        if !self.args.steering.may_start(&self.args.account) {
            return Err(None);
        }
        let now = Instant::now();
        // Without the log, little is done that nobody would know of after a crash (I6).
        let epoch = self.epoch.as_ref().filter(|epoch| epoch.may_start());
        let unacknowledged = epoch.map_or(0, EpochTasks::unacknowledged);
        let is_log_slow = unacknowledged >= self.args.settings.most_unacknowledged();
        if is_log_slow || !self.args.lease.holds(now) {
            return Err(Some(now + LOG_LOOK));
        }
        self.pacer.check(now).map_err(Some)?;
        let (permit, transition) = self.breaker.permit(now, self.in_flight);
        self.report(transition);
        permit.map_err(|denied| match denied {
            Denied::Until(at) => Some(at),
            Denied::AfterAnOutcome => None,
        })
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
        self.pacer.take(Instant::now());
        let probe = !self.breaker.is_closed();
        let (caller, account) = (self.args.caller.clone(), self.args.account.clone());
        let counted = self.counted.clone();
        let tasks = job.tasks.clone();
        let call = CallUnderWay::new(myself.clone(), permit, job, probe);
        tasks.spawn_call(async move {
            let Some(message) = call.message() else { return };
            let started = Instant::now();
            let outcome = caller.call(&account, &message).await;
            counted.seconds.observe(started.elapsed());
            counted.outcomes.count(outcome.word());
            call.ended(outcome);
        });
    }
}

#[cfg(test)]
mod tests;
