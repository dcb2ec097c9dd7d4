//! A connector that is frozen past its session and then goes on (the lease).

use tokio::time::Instant;

use crate::harness::{
    Cluster, Config, Group, Ids, LastMoment, Ledger, OUTLASTED, Plan, Report, Role,
};
use crate::place;

const FROZEN: Role = Role::Connector("whatsapp");

#[tokio::test]
async fn a_connector_that_wakes_up_after_its_session_starts_nothing_that_another_has_taken_over() {
    let config = Config::new(&[("whatsapp", 3), ("instagram", 1)]);
    let mut cluster = Cluster::start(place("frozen_connector"), config).await;
    let mut report = Report::new("SIGSTOP of a connector");
    let plan = Plan {
        name: "freeze",
        conversations: 500,
        messages: 10,
        per_second: 100,
        ids: Ids::Client,
    };
    let sending = plan.start(&cluster);
    Ledger::reaches(&cluster, 200).await;
    let http = cluster.http.clone();
    cluster.service(FROZEN).in_mid_flight(&http, 5).await;
    cluster.freeze(&FROZEN.name());
    let frozen = Instant::now();
    let last = LastMoment::of(&cluster, "whatsapp").await;
    cluster.spawn(FROZEN, "successor");
    let accepted = Ledger::accepted(&cluster, last.platform).await;
    let found = last.examine(&cluster, &accepted).await;
    report.autopsy(found, cluster.config.repeatable("whatsapp"));
    let group = Group::of(&cluster, FROZEN).expect("connectors read the log");
    let before = group.done().await;
    cluster.named("successor").started().await;
    group.passes(before).await;
    report.recovered("a second instance takes over after", frozen.elapsed());
    // The successor is at work when the frozen one wakes up with what it had in hand.
    cluster.named("successor").in_mid_flight(&http, 5).await;
    cluster.thaw(&FROZEN.name());
    let mut traffic = [sending.done().await];
    // Back in the group, the woken one gets some partitions again.
    let outlasted = cluster.named("successor").metric(&http, OUTLASTED, "").await;
    report.allow(outlasted.expect("metrics"));
    report.settles(&cluster, &mut traffic).await;
    assert_eq!(cluster.named("successor").terminate().await, Some(0));
    cluster.stop().await;
}
