//! A log that takes its time: little is done that nobody would know of after a crash (I6).

use std::time::Duration;

use chat4all_process::Shutdown;
use tokio::time::sleep;

use crate::world::{ACCOUNTS, Pace, TOTAL, World, counted};

const CALLS: u64 = 10;
/// The least that may be unacknowledged of a partition, however few calls there may be.
const UNACKNOWLEDGED: usize = 64;

#[test]
fn no_call_starts_while_too_many_outcomes_are_unacknowledged() {
    let status = Duration::from_secs(20);
    let pace = Pace { status, max_in_flight: CALLS, ..Pace::of(Duration::from_millis(200)) };
    counted(async {
        let world = World::new(1, pace).await;
        let stops = Shutdown::new();
        let connector = world.start(&stops);
        world.route().await;
        sleep(status / 2).await; // sleep: simulated time
        let most = ACCOUNTS as usize * (UNACKNOWLEDGED + CALLS as usize);
        assert!((most / 2..=most).contains(&world.calls()), "{} calls", world.calls());
        for _ in 0..100 {
            if world.settled().await == TOTAL {
                break;
            }
            sleep(status / 2).await; // sleep: simulated time
        }
        assert_eq!(world.settled().await, TOTAL, "it goes on with every acknowledgement");
        stops.trigger();
        connector.await.unwrap().unwrap();
        assert_eq!(world.repeated(), 0);
    });
}
