//! What a connector does after every kind of answer, seen from the platform and from the log.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

mod scripted;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chat4all_connector_kit::{InDoubtPolicy, KitSettings};
use chat4all_contracts::{Reason, Status, StatusState};
use chat4all_process::Shutdown;
use chat4all_process::config::Bounded;
use tokio::time::{Instant, sleep};

use scripted::{Say, World};

const SECOND: Duration = Duration::from_secs(1);

fn seconds_between(calls: &[Instant]) -> Vec<u64> {
    calls.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_receipt_settles_a_call_in_doubt_without_another_call() {
    let world = World::new(|_, _| Say::Doubt).await;
    let (stop, settings) = (Shutdown::new(), KitSettings::default());
    let connector = world.start(settings, &stop);
    world.route(0, "m", "c", "r").await;
    sleep(5 * SECOND).await; // sleep: simulated time
    assert_eq!(world.status_of("m").await, None, "nothing is known yet");
    world.report_taken("m").await;
    world.settled(1).await;
    let update = world.status_of("m").await.unwrap();
    assert_eq!((update.status, update.possible_duplicate), (Status::Sent, false));
    sleep(600 * SECOND).await; // sleep: simulated time
    assert_eq!(world.calls().len(), 1);
    stop.trigger();
    connector.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_receipt_that_overtakes_the_end_of_its_call_settles_it_too() {
    let world = World::new(|_, _| Say::Nothing).await;
    let (stop, settings) = (Shutdown::new(), KitSettings::default());
    let connector = world.start(settings, &stop);
    world.route(0, "m", "c", "r").await;
    sleep(SECOND).await; // sleep: simulated time
    world.report_taken("m").await;
    world.settled(1).await;
    assert_eq!(world.status_of("m").await.unwrap().status, Status::Sent);
    assert_eq!(world.calls().len(), 1);
    stop.trigger();
    connector.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_a_receipt_a_call_in_doubt_is_repeated_in_place_and_marked() {
    let world =
        World::new(|id, nth| if id == "m" && nth < 2 { Say::Doubt } else { Say::Accepted }).await;
    let (stop, settings) = (Shutdown::new(), KitSettings::default());
    let connector = world.start(settings, &stop);
    world.route(0, "m", "c", "r").await;
    world.route(0, "n", "c", "r").await;
    world.settled(2).await;
    assert_eq!(seconds_between(&world.calls_of("m")), [10, 20], "in_doubt_wait_ms, and its double");
    assert!(world.calls_of("n")[0] > world.calls_of("m")[2], "in order (I2)");
    assert!(world.status_of("m").await.unwrap().possible_duplicate);
    assert!(!world.status_of("n").await.unwrap().possible_duplicate);
    assert_eq!([world.doubts_of("m").await, world.doubts_of("n").await], [1, 0]);
    stop.trigger();
    connector.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_stops_has_told_the_doubt_that_its_successor_does_not_know() {
    let world = World::new(|_, nth| if nth == 0 { Say::Nothing } else { Say::Accepted }).await;
    let (stop, settings) = (Shutdown::new(), KitSettings::default());
    let connector = world.start(settings.clone(), &stop);
    world.route(0, "m", "c", "r").await;
    sleep(SECOND).await; // sleep: simulated time
    assert_eq!(world.calls().len(), 1, "it is under way");
    stop.trigger();
    connector.await.unwrap().unwrap();
    assert_eq!(world.doubts_of("m").await, 1, "its end was waited for");
    assert_eq!(world.status_of("m").await, None, "it is not done");
    let stop = Shutdown::new();
    let successor = world.start(settings, &stop);
    world.settled(1).await;
    let sent = world.status_of("m").await.unwrap();
    assert!(!sent.possible_duplicate, "it does not know");
    let mut state = StatusState::default();
    for update in world.statuses().await {
        state.merge(&StatusState::of(&update));
    }
    assert!(state.is_possible_duplicate() && state.status() == Status::Sent, "{state:?}");
    stop.trigger();
    successor.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn at_most_once_reports_the_doubt_and_goes_on() {
    let world = World::new(|id, _| if id == "m" { Say::Doubt } else { Say::Accepted }).await;
    let settings = KitSettings { in_doubt: InDoubtPolicy::Report, ..KitSettings::default() };
    let stop = Shutdown::new();
    let connector = world.start(settings, &stop);
    world.route(0, "m", "c", "r").await;
    world.route(0, "n", "c", "r").await;
    world.settled(2).await;
    let unknown = world.status_of("m").await.unwrap();
    assert_eq!((unknown.status, unknown.reason), (Status::Unknown, Some(Reason::InDoubt)));
    assert_eq!(world.status_of("n").await.unwrap().status, Status::Sent);
    sleep(600 * SECOND).await; // sleep: simulated time
    assert_eq!(world.calls_of("m").len(), 1);
    stop.trigger();
    connector.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_receiver_whom_the_platform_protects_waits_longer_each_time_and_alone() {
    let world =
        World::new(
            |id, nth| {
                if id == "m" && nth < 4 { Say::ThrottledRecipient } else { Say::Accepted }
            },
        )
        .await;
    let (stop, settings) = (Shutdown::new(), KitSettings::default());
    let connector = world.start(settings, &stop);
    world.route(0, "m", "c", "r").await;
    sleep(SECOND).await; // sleep: simulated time
    // Another conversation with the same receiver waits as well, another receiver does not.
    world.route(0, "same receiver", "d", "r").await;
    world.route(0, "other receiver", "e", "s").await;
    let before = Instant::now();
    world.settled(1).await;
    assert!(before.elapsed() < SECOND);
    assert_eq!(world.statuses().await[0].message_id.as_str(), "other receiver");
    world.settled(3).await;
    assert_eq!(seconds_between(&world.calls_of("m"))[..4], [4, 16, 64, 256]);
    assert_eq!(world.status_of("m").await.unwrap().attempt, Some(1), "throttles are no attempts");
    stop.trigger();
    connector.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_not_made_before_the_platform_wants_it() {
    let world =
        World::new(|_, nth| if nth == 0 { Say::FailingFor(77) } else { Say::Accepted }).await;
    let (stop, settings) = (Shutdown::new(), KitSettings::default());
    let connector = world.start(settings, &stop);
    world.route(0, "m", "c", "r").await;
    world.settled(1).await;
    assert_eq!(seconds_between(&world.calls_of("m")), [77]);
    stop.trigger();
    connector.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_throttled_account_slows_down_and_recovers_by_itself() {
    let world =
        World::new(
            |id, nth| if id == "0" && nth == 0 { Say::ThrottledAccount } else { Say::Accepted },
        )
        .await;
    let (stop, settings) = (Shutdown::new(), KitSettings::default());
    let connector = world.start(settings, &stop);
    for n in 0..8_000 {
        world.route(0, &n.to_string(), &n.to_string(), &n.to_string()).await;
    }
    let begin = Instant::now();
    world.settled(8_000).await;
    let rate = |from: u32, to: u32| {
        let (from, to) = (begin + from * SECOND, begin + to * SECOND);
        let calls = world.calls();
        calls.iter().filter(|at| from <= **at && **at < to).count()
    };
    // 80 a second, then 2 s of nothing, then half of it, and all of it again after half a minute.
    assert!((40..50).contains(&(rate(5, 6))), "{} in the sixth second", rate(5, 6));
    assert!((79..=81).contains(&(rate(60, 70) / 10)), "{} a second later on", rate(60, 70) / 10);
    stop.trigger();
    connector.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_burst_does_not_starve_a_conversation_behind_it() {
    let world = World::new(|_, _| Say::Accepted).await;
    let (stop, settings) = (Shutdown::new(), KitSettings::default());
    let connector = world.start(settings, &stop);
    for n in 0..10_000 {
        world.route(0, &format!("burst-{n}"), &format!("b-{n}"), &n.to_string()).await;
    }
    sleep(SECOND).await; // sleep: simulated time
    let mut longest = Duration::ZERO;
    for n in 0..60 {
        let (id, before) = (format!("dialogue-{n}"), Instant::now());
        world.route(0, &id, "dialogue", "d").await;
        sleep(SECOND).await; // sleep: simulated time
        let called = world.calls_of(&id);
        longest = longest.max(called.first().expect("within its second").duration_since(before));
    }
    assert!(longest < Duration::from_millis(200), "{longest:?}");
    assert!(world.calls().len() < 6_000, "the burst is still under way");
    stop.trigger();
    connector.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_account_whose_calls_hang_costs_the_other_nothing() {
    let world =
        World::new(|id, _| if id.starts_with("dead") { Say::Nothing } else { Say::Accepted }).await;
    let (stop, settings) = (Shutdown::new(), KitSettings::default());
    let connector = world.start(settings, &stop);
    for n in 0..20_000 {
        world.route(0, &format!("dead-{n}"), &format!("d-{n}"), &n.to_string()).await;
    }
    for n in 0..100 {
        let (id, before) = (format!("alive-{n}"), Instant::now());
        world.route(1, &id, "alive", "r").await;
        sleep(SECOND).await; // sleep: simulated time
        let called = world.calls_of(&id);
        assert!(called.first().unwrap().duration_since(before) < Duration::from_millis(50));
    }
    stop.trigger();
    // Calls that hang outlast the drain; they are said to, and left uncommitted.
    connector.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_outage_costs_a_probe_a_minute_and_no_message() {
    let is_down = Arc::new(AtomicBool::new(true));
    let down = is_down.clone();
    let world = World::new(
        move |_, _| {
            if down.load(Ordering::Relaxed) { Say::Failing } else { Say::Accepted }
        },
    )
    .await;
    let (stop, settings) = (Shutdown::new(), KitSettings::default());
    let connector = world.start(settings, &stop);
    for n in 0..1_000 {
        world.route(0, &n.to_string(), &format!("c-{}", n % 100), &n.to_string()).await;
    }
    sleep(1_800 * SECOND).await; // sleep: simulated time
    let probes = world.calls().len();
    // At first as many calls as the pace lets through before the answers come; then, with a
    // breaker that stays open for half a minute to a minute, one at a time.
    assert!((30..100).contains(&probes), "{probes} calls in half an hour");
    assert_eq!(world.statuses().await, [], "nothing is given up");
    is_down.store(false, Ordering::Relaxed);
    let returned = Instant::now();
    world.settled(1_000).await;
    assert!(world.statuses().await.iter().all(|update| update.status == Status::Sent));
    // No thundering start: the first second after the first success takes what the ramp allows.
    let first = world.calls().into_iter().filter(|at| *at > returned).min().unwrap();
    let of = |seconds: u32| {
        let end = first + seconds * SECOND;
        world.calls().into_iter().filter(|at| (first..end).contains(at)).count()
    };
    assert!(of(1) <= 81 && of(10) <= 811, "{} and {}", of(1), of(10));
    for c in 0..100 {
        let of_conversation = (0..10).map(|n| (n * 100 + c).to_string());
        let last: Vec<Instant> =
            of_conversation.map(|id| *world.calls_of(&id).last().unwrap()).collect();
        assert!(last.is_sorted(), "conversation {c} was overtaken (I2)");
    }
    stop.trigger();
    connector.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_call_starts_after_the_end_of_a_life_whatever_a_message_waits_for() {
    for (say, reason) in [
        (Say::FailingFor(3_600), Reason::Expired),
        (Say::ThrottledRecipient, Reason::Expired),
        (Say::ThrottledAccount, Reason::Expired),
        (Say::Doubt, Reason::InDoubt),
    ] {
        let world = World::new(move |_, _| say).await;
        let settings =
            KitSettings { throttle_pause_ms: Bounded::new(600_000), ..KitSettings::default() };
        let stop = Shutdown::new();
        let connector = world.start(settings, &stop);
        let end = Instant::now() + 15 * SECOND;
        world.route_with_life(0, "m", "c", "r", 15 * SECOND).await;
        world.settled(1).await;
        assert!(Instant::now() < end + 2 * SECOND, "{say:?}: late");
        let update = world.status_of("m").await.unwrap();
        assert_eq!((update.status, update.reason), (Status::Failed, Some(reason)), "{say:?}");
        assert!(world.calls().into_iter().all(|at| at < end), "{say:?}: called after its life");
        stop.trigger();
        connector.await.unwrap().unwrap();
    }
}
