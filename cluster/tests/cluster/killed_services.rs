//! `kill -9` of each service, in mid-flight (I6).

use crate::harness::{Cluster, Config, Ids, Ledger, Plan, Report, Role};
use crate::place;

#[tokio::test]
async fn a_killed_service_loses_nothing_and_only_a_connectors_last_calls_are_repeated() {
    let config = Config::new(&[("whatsapp", 2), ("instagram", 2)]);
    let mut cluster = Cluster::start(place("killed_services"), config).await;
    let mut report = Report::new("kill -9 of each service");
    let plan =
        Plan { name: "kill", conversations: 500, messages: 10, per_second: 100, ids: Ids::Client };
    let sending = plan.start(&cluster);
    Ledger::reaches(&cluster, 200).await;
    for role in Role::SERVICES {
        if let Role::Connector(_) = role {
            let http = cluster.http.clone();
            cluster.service(role).in_mid_flight(&http, 3).await;
        }
        let (after, autopsy) = cluster.kill_and_restart(role).await;
        report.recovered(format!("{} goes on after", role.name()), after);
        if let Some(found) = autopsy {
            let bound = cluster.config.repeatable(found.platform);
            report.autopsy(found, bound);
        }
    }
    let mut traffic = [sending.done().await];
    report.settles(&cluster, &mut traffic).await;
    cluster.stop().await;
}
