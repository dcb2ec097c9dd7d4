//! The store away for a minute: it costs no message, and makes no client send twice.

use std::sync::atomic::Ordering;

use tokio::time::{Duration, Instant};

use crate::harness::{Cluster, Config, Ids, Ledger, Plan, Report, Server, Signal};
use crate::place;

const AWAY: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_store_away_for_a_minute_costs_no_message_and_makes_no_client_send_twice() {
    let config = Config::new(&[("whatsapp", 2), ("instagram", 2)]);
    let cluster = Cluster::start(place("store_away"), config).await;
    let report = Report::new("a store away for a minute");
    let plan = |name, conversations, ids| {
        let (messages, per_second) = (10, 10);
        Plan { name, conversations, messages, per_second, ids }
    };
    let frozen = plan("before", 10, Ids::Client).start(&cluster);
    let mut traffic = vec![frozen.done().await];
    // Frozen, not killed: connections stay, and nothing answers on them.
    cluster.stack.signal(Server::Cassandra, Signal::Stop).await;
    let gone = Instant::now();
    let uuids = plan("uuids", 15, Ids::ClientUuids).start(&cluster);
    let minted = plan("minted", 15, Ids::Server).start(&cluster);
    let named = plan("named", 5, Ids::ClientNames).start(&cluster);
    let once = [uuids.done().await, minted.done().await];
    for traffic in &once {
        let repeated = traffic.counts.unavailable.load(Ordering::Relaxed)
            + traffic.counts.unanswered.load(Ordering::Relaxed);
        assert_eq!(repeated, 0, "nobody who needs no claim has to send twice");
    }
    let sent = once.iter().map(|traffic| traffic.accepted()).sum::<usize>();
    traffic.extend(once);
    assert!(gone.elapsed() < AWAY, "they were sent while the store was away");
    // They are delivered although nobody can write down that they are.
    Ledger::reaches(&cluster, (sent + 100) as u64).await;
    assert_eq!(named.accepted(), 0, "a claim needs the store");
    assert!(named.counts.unavailable.load(Ordering::Relaxed) > 0);
    // sleep: this is how long the store is away
    tokio::time::sleep_until(gone + AWAY).await;
    cluster.stack.signal(Server::Cassandra, Signal::Cont).await;
    let returned = Instant::now();
    traffic.push(named.done().await);
    report.recovered("messages that need a claim are accepted after", returned.elapsed());
    let ledger = report.settles(&cluster, &mut traffic).await;
    report.recovered("every row is there after", returned.elapsed());
    assert_eq!(ledger.total("duplicates"), 0);
    cluster.stop().await;
}
