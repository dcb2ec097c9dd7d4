//! Accounts that an operator pauses: nothing goes out, through restarts too, nothing is lost or
//! counted, and everybody can see it.

use std::time::Duration;

use chat4all_contracts::{
    AccountCommand, AccountCondition, AccountName, AccountOrder, AccountRecord, AccountState,
    Status,
};
use chat4all_eventlog::{
    Admission, EventLog, Patience, ProducerOptions, TopicPartition, append, topology,
};
use chat4all_process::Shutdown;
use tokio::time::{Instant, sleep};

use super::{CONVERSATIONS, MESSAGES, World, name};

impl World {
    /// Gives a command; answers its offset.
    async fn command(&self, account: &str, command: AccountOrder) -> u64 {
        let command = AccountCommand {
            platform: name("plain"),
            account: AccountName::new(account).unwrap(),
            command,
            at: self.clock.now(),
            by: "maria".to_owned(),
            reason: None,
        };
        let patience = Patience::Forever;
        let producer =
            self.log.producer(ProducerOptions { patience, admission: Admission::Progress });
        append(&*producer, topology::account_command(&command)).await.unwrap().offset
    }

    /// Every state that was published.
    async fn states(&self) -> Vec<AccountState> {
        let records = self.log.read(&topology::accounts(), 0, 100_000).await.unwrap();
        let state = |record: chat4all_eventlog::Record| match AccountRecord::parse(
            &record.key,
            &record.value,
        )
        .unwrap()
        {
            Some(AccountRecord::State(state)) => Some(state),
            _ => None,
        };
        records.into_iter().filter_map(state).collect()
    }

    /// The first state after now that fits.
    async fn until_it_says(&self, fits: impl Fn(&AccountState) -> bool) -> AccountState {
        let (began, now) = (Instant::now(), self.clock.now());
        loop {
            let last = self.states().await.pop().filter(|state| state.at >= now);
            match last.filter(&fits) {
                Some(state) => return state,
                None => sleep(Duration::from_millis(100)).await, // sleep: simulated time
            }
            assert!(began.elapsed() < Duration::from_secs(120), "it never says so");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_account_sends_nothing_also_after_a_restart_and_everything_once_resumed() {
    let world = World::new().await;
    let paused_at = world.command("main", AccountOrder::Pause).await;
    world.route().await;
    for _restart in 0..3 {
        let shutdown = Shutdown::new();
        let connector = world.start(&shutdown);
        let state = world.until_it_says(|state| state.parked > 0).await;
        assert_eq!((state.state, state.applied), (AccountCondition::Paused, Some(paused_at)));
        assert!(state.oldest_parked_at.is_some());
        sleep(Duration::from_secs(60)).await; // sleep: simulated time
        shutdown.trigger();
        connector.await.unwrap().unwrap();
        assert_eq!(world.answers.calls(), 0, "a paused account calls nobody");
        let is_paused = |state: &AccountState| state.state == AccountCondition::Paused;
        assert!(world.states().await.iter().all(is_paused), "it never says that it is active");
    }
    let at = TopicPartition::new("plain-outbound", 0);
    let committed = world.log.committed("plain-connector-group", &[at]).await.unwrap();
    assert!(committed[0].as_ref().is_none_or(|committed| committed.offset == 0), "{committed:?}");
    let shutdown = Shutdown::new();
    let connector = world.start(&shutdown);
    world.until_it_says(|state| state.state == AccountCondition::Paused).await;
    let resumed_at = world.command("main", AccountOrder::Resume).await;
    world.settled().await;
    world.until_it_says(|state| state.applied == Some(resumed_at) && state.in_flight == 0).await;
    shutdown.trigger();
    connector.await.unwrap().unwrap();
    world.answers.assert_in_order(CONVERSATIONS, MESSAGES);
    assert_eq!(world.answers.calls(), CONVERSATIONS * MESSAGES, "each of them once");
    for status in world.statuses().await {
        assert_eq!((status.status, status.attempt), (Status::Sent, Some(1)), "no attempt counted");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_under_way_end_and_no_other_begins_when_an_account_is_paused() {
    let world = World::new().await;
    let shutdown = Shutdown::new();
    let connector = world.start(&shutdown);
    world.route().await;
    sleep(Duration::from_millis(300)).await; // sleep: simulated time
    let offset = world.command("main", AccountOrder::Pause).await;
    let is_quiet = |state: &AccountState| state.applied == Some(offset) && state.in_flight == 0;
    world.until_it_says(is_quiet).await;
    let calls = world.answers.calls();
    assert!(0 < calls && calls < CONVERSATIONS * MESSAGES, "{calls} calls");
    sleep(Duration::from_secs(300)).await; // sleep: simulated time
    assert_eq!(world.answers.calls(), calls);
    world.command("main", AccountOrder::Resume).await;
    world.settled().await;
    shutdown.trigger();
    connector.await.unwrap().unwrap();
    world.answers.assert_in_order(CONVERSATIONS, MESSAGES);
}

#[tokio::test(start_paused = true)]
async fn a_command_to_an_account_that_is_not_there_changes_nothing() {
    let world = World::new().await;
    world.command("other", AccountOrder::Pause).await;
    world.run().await;
    assert_eq!(world.answers.calls(), CONVERSATIONS * MESSAGES);
}

#[tokio::test(start_paused = true)]
async fn an_account_says_how_it_is_when_that_changes_and_once_a_minute() {
    let world = World::new().await;
    let shutdown = Shutdown::new();
    let connector = world.start(&shutdown);
    sleep(Duration::from_secs(330)).await; // sleep: simulated time
    let quiet = world.states().await;
    assert_eq!(quiet.len(), 6, "at the start, and five minutes");
    world.route().await;
    world.settled().await;
    sleep(Duration::from_secs(2)).await; // sleep: simulated time
    shutdown.trigger();
    connector.await.unwrap().unwrap();
    let states = world.states().await;
    let last = states.last().unwrap();
    assert_eq!((last.state, last.parked, last.in_flight), (AccountCondition::Active, 0, 0));
    assert_eq!(last.owner, "test");
    let busy = &states[quiet.len()..];
    assert!(busy.iter().any(|state| state.in_flight > 0));
    let apart = |pair: &[AccountState]| pair[1].at.since(pair[0].at) >= Duration::from_secs(1);
    assert!(states[..states.len() - 1].windows(2).all(apart), "at most once a second");
}
