//! SIGTERM and a new start, of everything in turn.

use crate::harness::{Cluster, Config, Ids, Ledger, Plan, Report, Role};
use crate::place;

#[tokio::test]
async fn a_rolling_restart_loses_and_repeats_nothing() {
    let config = Config::new(&[("whatsapp", 2), ("instagram", 2)]);
    let mut cluster = Cluster::start(place("rolling_restart"), config).await;
    let report = Report::new("rolling restart");
    let plan = Plan {
        name: "rolling",
        conversations: 500,
        messages: 10,
        per_second: 100,
        ids: Ids::Client,
    };
    let sending = plan.start(&cluster);
    Ledger::reaches(&cluster, 200).await;
    for round in ["first", "second"] {
        for role in Role::SERVICES {
            if let Role::Connector(_) = role {
                let http = cluster.http.clone();
                cluster.service(role).in_mid_flight(&http, 3).await;
            }
            let after = cluster.restart(role).await;
            report.recovered(format!("{} goes on after its {round} SIGTERM", role.name()), after);
        }
    }
    let mut traffic = [sending.done().await];
    let ledger = report.settles(&cluster, &mut traffic).await;
    assert_eq!(ledger.total("duplicates"), 0);
    cluster.stop().await;
}
