//! What a store does while its database is away, and afterwards.

use std::sync::Arc;
use std::time::Duration;

use chat4all_contracts::{
    AccountName, ConversationId, EpochMs, Generation, Message, MessageId, ReceiverId, SenderId,
};
use chat4all_process::config::Bounded;
use chat4all_process::{Clock, Random};
use chat4all_store::cassandra::{CassandraSettings, CassandraStore, ConnectError};
use chat4all_store::{Claim, ClaimKey, MessageStore, StoreError, Tenant};
use chat4all_wire::{Condition, Wire};
use futures::FutureExt;

use crate::server::{self, KEYSPACE, address, connect, open, operator, settings};

const KEEP: Duration = Duration::from_secs(60);

fn now() -> EpochMs {
    EpochMs::saturating(1_700_000_000_000)
}

fn tenant() -> Tenant {
    Tenant(server::unique().into())
}

pub fn message(id: &str) -> Message {
    Message {
        message_id: MessageId::new(id).unwrap(),
        conversation_id: ConversationId::new("c").unwrap(),
        sender_id: SenderId::new("shop").unwrap(),
        receiver_id: ReceiverId::new("whatsapp:+5511999990000").unwrap(),
        content: "content".to_owned(),
        file_id: None,
        account: Some(AccountName::new("main").unwrap()),
        accepted_at: now(),
        expires_at: now(),
        generation: Generation::FIRST,
    }
}

fn claim(n: u8) -> Claim {
    Claim {
        message_id: MessageId::new(&format!("m{n}")).unwrap(),
        accepted_at: now(),
        expires_at: now(),
        account: AccountName::new("main").unwrap(),
        body_hash: [n; 32],
    }
}

fn key() -> ClaimKey {
    ClaimKey::Message(MessageId::new("m").unwrap())
}

/// A store behind a wire; the tables are there already.
async fn behind_a_wire(change: impl FnOnce(&mut CassandraSettings)) -> (Wire, Arc<CassandraStore>) {
    drop(connect().await);
    let wire = Wire::to(address()).await.unwrap();
    let mut settings = settings(KEYSPACE);
    settings.contact_points = vec![wire.address().to_string()];
    settings.request_timeout_ms = Bounded::new(3_000);
    change(&mut settings);
    let store = open(&settings).await;
    (wire, store)
}

fn assert_away<T: std::fmt::Debug>(result: &Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
}

/// Asks until the store answers; every other answer must be that it is away.
async fn until_it_answers(store: &CassandraStore) {
    let healed = tokio::time::timeout(Duration::from_secs(60), async {
        while let Err(error) = store.check().await {
            assert_away::<()>(&Err(error));
            // sleep: the driver connects again when it likes, and tells nobody.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    healed.await.expect("the store heals");
}

#[tokio::test]
async fn a_store_that_was_cut_off_is_unavailable_and_heals_by_itself() {
    let (wire, store) = behind_a_wire(|_| {}).await;
    let (tenant, message) = (tenant(), message("m"));
    store.put_message(&tenant, &message).await.unwrap();
    wire.set(Condition::Cut);
    assert_away(&store.put_message(&tenant, &message).await);
    assert_away(&store.page(&tenant, &message.conversation_id, None, 5).await);
    assert_away(&store.claim(&tenant, &key(), &claim(1), now(), KEEP).await);
    assert_away(&store.check().await);
    wire.set(Condition::Whole);
    until_it_answers(&store).await;
    store.put_message(&tenant, &message).await.unwrap();
    let page = store.page(&tenant, &message.conversation_id, None, 5).await.unwrap();
    assert_eq!(page.messages.len(), 1);
}

#[tokio::test]
async fn a_server_without_a_word_costs_a_call_its_time_limit() {
    let (wire, store) = behind_a_wire(|settings| {
        settings.request_timeout_ms = Bounded::new(200);
        settings.max_in_flight = Bounded::new(1);
    })
    .await;
    let (tenant, message) = (tenant(), message("m"));
    wire.set(Condition::Deaf);
    // One at a time: the second one's wait for its turn counts, so both end.
    let calls = [store.put_message(&tenant, &message), store.put_message(&tenant, &message)];
    for result in futures::future::join_all(calls).await {
        assert_away(&result);
    }
    wire.set(Condition::Whole);
    until_it_answers(&store).await;
    store.put_message(&tenant, &message).await.unwrap();
}

/// Its own claim is in the table then, and it must not take it for another's.
#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_still_its_callers() {
    let (wire, store) = behind_a_wire(|settings| {
        settings.request_timeout_ms = Bounded::new(60_000);
    })
    .await;
    let tenant = tenant();
    wire.set(Condition::Deaf);
    let (key, ours) = (key(), claim(1));
    let mut asked = store.claim(&tenant, &key, &ours, now(), KEEP);
    let session = operator().await;
    let select = format!(
        "SELECT kept_until FROM {KEYSPACE}.claims \
         WHERE tenant = ? AND kind = 'message' AND key = 'm'"
    );
    loop {
        let rows = session.query_unpaged(select.as_str(), (&*tenant.0,)).await.unwrap();
        if rows.into_rows_result().unwrap().rows_num() == 1 {
            break;
        }
        assert!((&mut asked).now_or_never().is_none(), "nobody answers");
        tokio::task::yield_now().await;
    }
    wire.set(Condition::Cut);
    tokio::task::yield_now().await;
    wire.set(Condition::Whole);
    assert_eq!(asked.await, Ok(None));
    let again = store.claim(&tenant, &key, &claim(2), now(), KEEP).await;
    assert_eq!(again, Ok(Some(claim(1))));
}

/// Answers are lost again and again while many ask: at most one hears that it has the key, and all
/// others that are answered hear what it fixed.
#[tokio::test]
async fn of_many_claims_on_a_bad_wire_at_most_one_wins() {
    let (wire, store) = behind_a_wire(|_| {}).await;
    let random = Random::seeded(7);
    for round in 0..5 {
        let tenant = Tenant(format!("{}-{round}", server::unique()).into());
        let (key, claims) = (key(), (0..20).map(claim).collect::<Vec<_>>());
        let asked = claims.iter().map(|claim| store.claim(&tenant, &key, claim, now(), KEEP));
        let trouble = async {
            for _ in 0..3 {
                for condition in [Condition::Deaf, Condition::Cut, Condition::Whole] {
                    wire.set(condition);
                    // sleep: trouble that lasts for any time; the claims need not be under way.
                    tokio::time::sleep(Duration::from_millis(random.between(1, 60))).await;
                }
            }
        };
        let (answers, ()) = tokio::join!(futures::future::join_all(asked), trouble);
        until_it_answers(&store).await;
        let winners: Vec<usize> = (0..20).filter(|n| answers[*n] == Ok(None)).collect();
        assert!(winners.len() <= 1, "{winners:?}");
        let fixed = store.claim(&tenant, &key, &claim(99), now(), KEEP).await.unwrap();
        if let Some(winner) = winners.first() {
            assert_eq!(fixed.as_ref(), Some(&claims[*winner]));
        }
        for answer in answers {
            match answer {
                Ok(None) => {}
                Ok(held) => assert_eq!(held, fixed),
                error => assert_away(&error),
            }
        }
    }
}

#[tokio::test]
async fn a_database_that_is_away_at_the_start_is_no_wrong_configuration() {
    let wire = Wire::to(address()).await.unwrap();
    wire.set(Condition::Cut);
    let mut settings = settings(KEYSPACE);
    settings.contact_points = vec![wire.address().to_string()];
    let connected = CassandraStore::connect(&settings, Clock::system(), Random::system()).await;
    assert!(matches!(connected, Err(ConnectError::Away(_))));
}
