//! A broker that is frozen for longer than its own session with the controller: the controller takes
//! every partition from it, also those that the groups live in, and gives them back when it wakes.

use tokio::time::{Duration, Instant};

use crate::harness::{
    Cluster, Config, Ids, LastMoments, Ledger, Plan, Report, Role, Server, Signal,
};
use crate::place;

/// Kafka gives a broker up after nine seconds.
const FROZEN: Duration = Duration::from_secs(12);
/// So the members of groups are still members when it wakes.
const SESSION_MS: u32 = 30_000;

#[tokio::test]
async fn a_frozen_log_that_wakes_up_stops_nobody() {
    let config = Config::new(&[("whatsapp", 2), ("instagram", 2)])
        .set("kafka.session_timeout_ms", SESSION_MS)
        .set("kafka.heartbeat_interval_ms", 500);
    let mut cluster = Cluster::start(place("frozen_log"), config).await;
    let mut report = Report::new("SIGSTOP of Kafka");
    let plan =
        Plan { name: "frozen", conversations: 500, messages: 5, per_second: 100, ids: Ids::Client };
    let sending = plan.start(&cluster);
    Ledger::reaches(&cluster, 200).await;
    let http = cluster.http.clone();
    cluster.service(Role::Connector("whatsapp")).in_mid_flight(&http, 3).await;
    let mut before = Vec::new();
    for role in Role::SERVICES {
        before.push(cluster.done(role).await);
    }
    let last = LastMoments::of(&cluster).await;
    cluster.stack.signal(Server::Kafka, Signal::Stop).await;
    let frozen = Instant::now();
    // sleep: this is how long the broker is frozen
    tokio::time::sleep_until(frozen + FROZEN).await;
    let accepted = last.accepted(&cluster).await;
    cluster.stack.signal(Server::Kafka, Signal::Cont).await;
    let woken = Instant::now();
    for (role, before) in Role::SERVICES.into_iter().zip(before) {
        cluster.recovers(role, before).await;
        report.recovered(format!("{} goes on after", role.name()), woken.elapsed());
    }
    accepted.examine(&cluster, &mut report).await;
    let mut traffic = [sending.done().await];
    report.settles(&cluster, &mut traffic).await;
    cluster.stop().await;
}
