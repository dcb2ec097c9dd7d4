//! The way of one message through processes that each know only their part.

use serde_json::json;

use crate::harness::{Cluster, Config, Ledger, Role, eventually};
use crate::place;

const PLATFORMS: [&str; 2] = ["whatsapp", "instagram"];

/// What a connector's file says: nothing of the other platform, of the API or of the store.
fn part_of(config: &Config, platform: &str) -> String {
    let (data, connector) = (format!("platforms.{platform}"), format!("connectors.{platform}"));
    config.part(&["kafka", "simulation.url", &data, &connector])
}

#[tokio::test]
async fn a_message_to_each_platform_is_read_and_each_connector_knows_only_its_own() {
    let config = Config::new(&[("whatsapp", 1), ("instagram", 1)])
        .set("simulation.simulator.read_per_mille", 1_000);
    let mut cluster = Cluster::without_services(place("one_message"), config).await;
    for role in Role::SERVICES {
        match role {
            Role::Connector(platform) => {
                let text = part_of(&cluster.config, platform);
                let other = PLATFORMS.iter().find(|other| **other != platform).expect("another");
                assert!(text.contains(platform) && !text.contains(other), "{text}");
                let file = cluster.write_config(&format!("{platform}.toml"), &text);
                cluster.spawn_with(role, &role.name(), &file);
            }
            _ => cluster.spawn(role, &role.name()),
        }
    }
    for role in Role::SERVICES {
        cluster.service(role).started().await;
    }
    for receiver in ["whatsapp:+5511999990000", "instagram:17841400000000000"] {
        let url = format!("{}/v1/messages", cluster.url(Role::Api));
        let body = json!({"conversation_id": receiver, "receiver_id": receiver, "content": "Olá"});
        let sent = cluster.http.post(&url, &body).await.expect("an answer");
        assert_eq!(sent.status, 202, "{}", sent.text);
        let id = sent.json()["message_id"].as_str().expect("an id").to_owned();
        let url = format!("{url}/{id}");
        let read = eventually(&format!("{receiver} has read the message"), async || {
            let message = cluster.http.get(&url).await?;
            (message["status"] == "READ").then_some(message)
        })
        .await;
        assert_eq!((&read["content"], &read["simulated"]), (&json!("Olá"), &json!(true)));
    }
    let ledger = Ledger::read(&cluster).await;
    for (name, expected) in [("calls", 2), ("messages", 2), ("duplicates", 0), ("refused", 0)] {
        assert_eq!(ledger.total(name), expected, "{name}");
    }
    cluster.stop().await;
}
