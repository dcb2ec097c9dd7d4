//! What a gateway does with what it cannot start.

use std::sync::Arc;

use bytes::Bytes;
use chat4all_contracts::{
    AccountSpec, ConversationId, EpochMs, Message, PlatformName, PlatformSpec,
};
use chat4all_process::http_client::{CallError, HttpPort};
use futures::future::BoxFuture;
use http::{Request, Response};
use tokio::sync::mpsc;

use super::*;
use crate::lanes::LaneKey;
use crate::outcome::CallResult;
use crate::partition_worker::WorkerMsg;
use crate::platform::{Detail, Outcome, Platform, Refusal, Webhook, WebhookRefusal};
use crate::steering::Orders;
use crate::tasks::EpochTasks;

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
        Outcome::InDoubt { detail: Detail::default() }
    }
    fn confirm_webhook(&self, _: &[(String, String)]) -> Option<String> {
        None
    }
    fn read_webhook(&self, _: &axum::http::HeaderMap, _: &[u8]) -> Result<Webhook, WebhookRefusal> {
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

/// Operators want nothing of the account.
fn free() -> Steering {
    let steering = unread();
    steering.has_read();
    steering
}

/// Nobody knows yet what operators want.
fn unread() -> Steering {
    let main = AccountName::new("main").unwrap();
    let spec = PlatformSpec {
        recipient: regex::Regex::new("^.+$").unwrap(),
        recipient_rule: "anything".to_owned(),
        has_receipts: true,
        accounts: [(main.clone(), AccountSpec { partition: 0 })].into(),
        default_account: main,
    };
    Steering::new(&spec)
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
        Self::with(Lease::default(), free()).await
    }

    async fn with(lease: Lease, steering: Steering) -> Self {
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
            lease: lease.clone(),
            vitals: Vitals::default(),
            steering,
            per_second: 80,
            clock: clock.clone(),
            random: Random::seeded(1),
        };
        let (gateway, _) = Actor::spawn(None, Gateway, args).await.unwrap();
        Self { gateway, worker, told, clock, tasks: EpochTasks::new("test", "silent") }
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

#[tokio::test(start_paused = true)]
async fn without_a_lease_nothing_is_called_and_a_message_may_still_expire() {
    let lease = Lease::default();
    lease.begin(Some(Duration::from_secs(45)), Duration::from_secs(15)).unwrap();
    let mut scene = Scene::with(lease.clone(), free()).await;
    scene.deliver(0, Duration::from_secs(60));
    assert_eq!(scene.told().await, (0, CallResult::Expired), "it was never called");
    lease.renew(Instant::now());
    scene.deliver(1, Duration::from_secs(3));
    scene.deliver(2, Duration::from_secs(3));
    assert_eq!(scene.told().await, (2, CallResult::Expired), "the first one is being called");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_waits_in_a_paused_account_expires_and_is_never_called() {
    let steering = free();
    let main = AccountName::new("main").unwrap();
    steering.order(&main, Orders { paused: true, applied: Some(3) });
    let mut scene = Scene::with(Lease::default(), steering).await;
    scene.deliver(0, Duration::from_secs(60));
    let before = Instant::now();
    assert_eq!(scene.told().await, (0, CallResult::Expired));
    assert!(before.elapsed() <= Duration::from_secs(62), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_conversation_that_expires_while_its_account_is_paused_ends_at_once() {
    let steering = free();
    let main = AccountName::new("main").unwrap();
    steering.order(&main, Orders { paused: true, applied: Some(3) });
    let mut scene = Scene::with(Lease::default(), steering).await;
    let before = Instant::now();
    // As a worker does: the next message of a lane comes once the one before has its end.
    for offset in 0..100 {
        let life = Duration::from_secs(60).saturating_sub(before.elapsed());
        scene.deliver(offset, life);
        assert_eq!(scene.told().await, (offset, CallResult::Expired));
    }
    assert!(before.elapsed() <= Duration::from_secs(62), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_called_before_the_orders_have_been_read() {
    let steering = unread();
    let mut scene = Scene::with(Lease::default(), steering.clone()).await;
    scene.deliver(0, Duration::from_secs(300));
    tokio::time::sleep(Duration::from_secs(200)).await;
    let snapshot = ractor::call!(scene.gateway, GatewayMsg::Show).unwrap();
    assert_eq!((snapshot.sign.parked, snapshot.sign.in_flight), (1, 0));
    steering.has_read();
    scene.gateway.send_message(GatewayMsg::Ordered(AccountOrder::Resume)).unwrap();
    let snapshot = ractor::call!(scene.gateway, GatewayMsg::Show).unwrap();
    assert_eq!((snapshot.sign.parked, snapshot.sign.in_flight), (0, 1));
    // Whoever is called does not expire.
    scene.deliver(1, Duration::from_secs(1));
    assert_eq!(scene.told().await, (1, CallResult::Expired));
}
