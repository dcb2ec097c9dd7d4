//! The log away: the API says so in time, and takes messages again in time.

use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use crate::harness::{
    Cluster, Config, Ids, LastMoments, Plan, Report, Role, Server, Signal, Traffic, eventually,
};
use crate::place;

/// Within this an API without a log answers.
const ANSWER: Duration = Duration::from_secs(5);
/// Within this it takes messages again once the log is back.
const RETURN: Duration = Duration::from_secs(10);
/// Messages of one client while the log is away.
const ATTEMPTS: usize = 5;

#[tokio::test]
async fn without_its_log_the_api_answers_503_in_time_and_202_soon_after_its_return() {
    let config = Config::new(&[("whatsapp", 2), ("instagram", 2)]);
    let cluster = Cluster::start(place("log_away"), config).await;
    let mut report = Report::new("the log away");
    let plan =
        |name| Plan { name, conversations: 20, messages: 10, per_second: 40, ids: Ids::Client };
    let mut traffic = vec![plan("before").start(&cluster).done().await];
    let during = plan("during").start(&cluster);
    eventually("messages come in", async || (during.accepted() >= 20).then_some(())).await;
    let last = LastMoments::of(&cluster).await;
    cluster.stack.signal(Server::Kafka, Signal::Kill).await;
    let url = format!("{}/v1/messages", cluster.url(Role::Api));
    let mut body = json!({
        "conversation_id": "away", "receiver_id": "whatsapp:+5511999990000", "content": "Olá",
    });
    for _ in 0..ATTEMPTS {
        let asked = Instant::now();
        let answer = cluster.http.post(&url, &body).await.expect("an answer");
        let took = asked.elapsed();
        assert_eq!(answer.status, 503, "{}", answer.text);
        assert!(took < ANSWER, "answered after {took:?}");
        assert!(answer.headers.contains_key("retry-after"), "{:?}", answer.headers);
        let id = answer.json()["message_id"].clone();
        assert!(id.is_string(), "{}", answer.text);
        // The client goes on with the name that the server has given.
        assert!(body["message_id"] == Value::Null || body["message_id"] == id);
        body["message_id"] = id;
    }
    let accepted = last.accepted(&cluster).await;
    cluster.stack.start_again(Server::Kafka).await;
    let returned = Instant::now();
    eventually("a message is accepted", async || {
        let answer = cluster.http.post(&url, &body).await.ok()?;
        (answer.status == 202).then_some(())
    })
    .await;
    let took = returned.elapsed();
    report.recovered("202 again after", took);
    assert!(took < RETURN, "accepted again after {took:?}");
    traffic.push(during.done().await);
    traffic.push(Traffic::of_one(&cluster, &body));
    accepted.examine(&cluster, &mut report).await;
    report.settles(&cluster, &mut traffic).await;
    cluster.stop().await;
}
