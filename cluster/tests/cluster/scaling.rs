//! One connector becomes three, and one again, while messages flow.

use tokio::time::Instant;

use crate::harness::{Cluster, Config, Ids, Ledger, OUTLASTED, Plan, Report, Role, eventually};
use crate::place;

const CONNECTOR: Role = Role::Connector("whatsapp");
const ACCOUNTS: usize = 6;
const ASSIGNED: &str = "chat4all_partitions_assigned";

/// Waits until the instances have so many partitions each.
async fn share(cluster: &mut Cluster, names: &[&str], partitions: usize) {
    let http = cluster.http.clone();
    for name in names {
        let service = cluster.named(name);
        eventually(&format!("{name} has {partitions} partitions"), async || {
            let assigned = service.metric(&http, ASSIGNED, "").await?;
            (assigned == partitions as u64).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn scaling_a_connector_loses_nothing_and_repeats_only_calls_that_outlast_the_drain() {
    let config = Config::new(&[("whatsapp", ACCOUNTS), ("instagram", 1)]).only_to("whatsapp");
    let mut cluster = Cluster::start(place("scaling"), config).await;
    let mut report = Report::new("scaling 1 -> 3 -> 1");
    let plan = Plan {
        name: "scaling",
        conversations: 200,
        messages: 10,
        per_second: 60,
        ids: Ids::Client,
    };
    let (first, second, third) = (CONNECTOR.name(), "second", "third");
    let sending = plan.start(&cluster);
    Ledger::reaches(&cluster, 100).await;
    let began = Instant::now();
    cluster.spawn(CONNECTOR, second);
    cluster.spawn(CONNECTOR, third);
    share(&mut cluster, &[&first, second, third], ACCOUNTS / 3).await;
    report.recovered("three share the accounts after", began.elapsed());
    let now = Ledger::messages(&cluster).await;
    Ledger::reaches(&cluster, now + 200).await;
    let http = cluster.http.clone();
    let began = Instant::now();
    for name in [second, third] {
        let (code, outlasted) = cluster.named(name).terminate_reading(&http, OUTLASTED).await;
        assert_eq!(code, Some(0), "{name} drains and ends well");
        report.allow(outlasted);
    }
    share(&mut cluster, &[&first], ACCOUNTS).await;
    report.recovered("one has all accounts again after", began.elapsed());
    let mut traffic = [sending.done().await];
    let outlasted = cluster.named(&first).metric(&http, OUTLASTED, "").await;
    report.allow(outlasted.expect("metrics"));
    report.settles(&cluster, &mut traffic).await;
    cluster.stop().await;
}
