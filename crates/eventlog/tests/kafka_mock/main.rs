//! The log on a broker that errs on purpose: librdkafka's own mock of a cluster, in this process.
//! What a healthy broker does is the conformance suite's matter, on a real one.

// Helpers of tests are tests, which clippy sees only in functions marked as such.
#![allow(clippy::unwrap_used, clippy::panic)]

mod cluster;

use std::time::Duration;

use chat4all_eventlog::{AppendError, CommitError, Followed, Follower, LogError, Patience, append};
use rdkafka::mocking::MockCoordinator;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use cluster::{Cluster, GROUP, PATIENT, TOPIC, at, numbers, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_producer_keeps_its_order_through_produce_errors() {
    let cluster = Cluster::new(1);
    let producer = cluster.log().producer(PATIENT);
    // Known to the client first, so that the errors meet a stream and no beginning.
    append(&*producer, cluster.record(0)).await.unwrap();
    use RDKafkaRespErr::*;
    cluster.errors(
        RDKafkaApiKey::Produce,
        &[
            RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
            RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            RD_KAFKA_RESP_ERR__TRANSPORT,
            RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
            RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
        ],
    );
    let acks: Vec<_> = (1..300).map(|n| producer.enqueue(cluster.record(n)).unwrap()).collect();
    for ack in acks {
        ack.await.unwrap();
    }
    assert_eq!(cluster.values(300).await, numbers(300), "in order, none lost, none twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_gives_up_hears_that_the_record_is_in_doubt_and_who_waits_is_served() {
    let cluster = Cluster::new(1);
    let patient = cluster.log().producer(PATIENT);
    let patience = Patience::GiveUpAfter(Duration::from_millis(300));
    let hasty = cluster.log().producer(chat4all_eventlog::ProducerOptions { patience, ..PATIENT });
    append(&*patient, cluster.record(0)).await.unwrap();
    append(&*hasty, cluster.record(1)).await.unwrap();
    cluster.mock.broker_down(-1).unwrap();
    let waiting: Vec<_> = (2..10).map(|n| patient.enqueue(cluster.record(n)).unwrap()).collect();
    let error = append(&*hasty, cluster.record(99)).await.unwrap_err();
    assert!(error.is_in_doubt(), "{error}");
    cluster.mock.broker_up(-1).unwrap();
    for ack in waiting {
        ack.await.unwrap();
    }
    let mut values = cluster.values(10).await;
    values.retain(|value| value != "99");
    assert_eq!(values, numbers(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_the_broker_refuses_is_not_tried_for_ever() {
    let cluster = Cluster::new(1);
    let producer = cluster.log().producer(PATIENT);
    append(&*producer, cluster.record(0)).await.unwrap();
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster.errors(RDKafkaApiKey::Produce, &[refused]);
    let error = append(&*producer, cluster.record(1)).await.unwrap_err();
    assert!(matches!(error, AppendError::Unavailable(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_of_no_member_is_stale_and_one_that_failed_may_be_repeated() {
    let cluster = Cluster::new(1);
    cluster.append(5).await;
    let mut member = cluster.join().await;
    member.until_received(5).await;
    use RDKafkaRespErr::*;
    for error in [RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION] {
        cluster.errors(RDKafkaApiKey::OffsetCommit, &[error]);
        assert_eq!(member.commit(3, "").await, Ok(vec![CommitError::Stale(at())]), "{error:?}");
        // The client has left the group over it and joins again.
        member.until_assigned_again().await;
    }
    cluster.errors(RDKafkaApiKey::OffsetCommit, &[RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE]);
    assert_eq!(member.commit(3, "note").await, Ok(vec![CommitError::NoteTooLong(at())]));
    cluster.errors(RDKafkaApiKey::OffsetCommit, &[RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED]);
    let failed = member.commit(3, "").await;
    assert!(matches!(failed, Err(LogError::Unavailable(_))), "{failed:?}");
    assert_eq!(member.commit(3, "").await, Ok(vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_goes_on_when_its_coordinator_moves_or_is_away() {
    let cluster = Cluster::new(3);
    let to = |broker| {
        let group = MockCoordinator::Group(GROUP.to_owned());
        cluster.mock.coordinator(group, broker).unwrap();
    };
    to(1);
    cluster.append(3).await;
    let mut member = cluster.join().await;
    member.until_received(3).await;
    assert_eq!(member.commit(1, "").await, Ok(vec![]));
    to(2);
    member.until_committed(2).await;
    cluster.mock.broker_down(2).unwrap();
    to(3);
    member.until_committed(3).await;
    cluster.mock.broker_up(2).unwrap();
    cluster.append(2).await;
    member.until_received(5).await;
    assert_eq!(member.values(), ["0", "1", "2", "0", "1"], "nothing is skipped or repeated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_goes_on_when_the_brokers_come_back() {
    let cluster = Cluster::new(1);
    cluster.append(3).await;
    let mut member = cluster.join().await;
    member.until_received(3).await;
    cluster.mock.broker_down(-1).unwrap();
    let failed = cluster.log().check().await;
    assert!(matches!(failed, Err(LogError::Unavailable(_))), "{failed:?}");
    cluster.mock.broker_up(-1).unwrap();
    cluster.append(2).await;
    member.until_received(5).await;
    assert_eq!(member.values(), ["0", "1", "2", "0", "1"]);
    assert_eq!(cluster.log().check().await, Ok(()));
    assert_eq!(cluster.log().partitions(TOPIC).await, Ok(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_goes_on_when_the_brokers_come_back() {
    let cluster = Cluster::new(1);
    cluster.append(3).await;
    let mut follower = cluster.log().follow(&at()).await.unwrap();
    assert_eq!(followed(&mut *follower, 3).await, ["0", "1", "2"]);
    assert!(matches!(follower.next().await, Ok(Followed::CaughtUp)));
    cluster.mock.broker_down(-1).unwrap();
    let failed = cluster.log().check().await;
    assert!(matches!(failed, Err(LogError::Unavailable(_))), "{failed:?}");
    cluster.mock.broker_up(-1).unwrap();
    cluster.append(2).await;
    assert_eq!(followed(&mut *follower, 2).await, ["0", "1"]);
}

async fn followed(follower: &mut dyn Follower, count: usize) -> Vec<String> {
    let mut values = Vec::new();
    while values.len() < count {
        match tokio::time::timeout(Duration::from_secs(60), follower.next()).await.unwrap() {
            Ok(Followed::Records(records)) => values.extend(records.iter().map(text)),
            other => panic!("{other:?}"),
        }
    }
    values
}
