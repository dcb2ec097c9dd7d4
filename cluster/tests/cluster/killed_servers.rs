//! `kill -9` of Kafka, then of Cassandra, each away for ten seconds.

use tokio::time::{Duration, Instant};

use crate::harness::{
    Cluster, Config, Ids, LastMoments, Ledger, Plan, Report, Role, Server, Signal,
};
use crate::place;

/// From the kill to the next start.
const AWAY: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_killed_log_or_store_loses_nothing() {
    let config = Config::new(&[("whatsapp", 2), ("instagram", 2)]);
    let mut cluster = Cluster::start(place("killed_servers"), config).await;
    let mut report = Report::new("kill -9 of Kafka and Cassandra");
    let plan = Plan {
        name: "servers",
        conversations: 500,
        messages: 10,
        per_second: 100,
        ids: Ids::Client,
    };
    let sending = plan.start(&cluster);
    let mut settled = 200;
    for server in [Server::Kafka, Server::Cassandra] {
        Ledger::reaches(&cluster, settled).await;
        let connector = Role::Connector("whatsapp");
        let http = cluster.http.clone();
        cluster.service(connector).in_mid_flight(&http, 3).await;
        let before: Vec<Option<u64>> = dones(&cluster).await;
        let last = match server {
            Server::Kafka => LastMoments::of(&cluster).await,
            Server::Cassandra => LastMoments::default(),
        };
        cluster.stack.signal(server, Signal::Kill).await;
        let killed = Instant::now();
        // sleep: this is how long the server is away
        tokio::time::sleep_until(killed + AWAY).await;
        let accepted = last.accepted(&cluster).await;
        cluster.stack.start_again(server).await;
        let returned = Instant::now();
        for (role, before) in Role::SERVICES.into_iter().zip(before) {
            cluster.recovers(role, before).await;
        }
        report.recovered(
            format!("after the return of {server:?} everything goes on within"),
            returned.elapsed(),
        );
        accepted.examine(&cluster, &mut report).await;
        settled = Ledger::messages(&cluster).await + 200;
    }
    let mut traffic = [sending.done().await];
    report.settles(&cluster, &mut traffic).await;
    cluster.stop().await;
}

async fn dones(cluster: &Cluster) -> Vec<Option<u64>> {
    let mut dones = Vec::new();
    for role in Role::SERVICES {
        dones.push(cluster.done(role).await);
    }
    dones
}
