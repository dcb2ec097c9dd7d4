//! Claims: who comes first decides for all.

use std::time::Duration;

use chat4all_contracts::IdempotencyKey;
use futures::future::try_join_all;

use super::Factory;
use super::fixture::{SECOND, account, at, id, now, tenant};
use crate::{Claim, ClaimKey};

const KEEP: Duration = Duration::from_secs(7 * 24 * 60 * 60);

fn claim_of(n: u8) -> Claim {
    Claim {
        message_id: id(&format!("m{n}")),
        accepted_at: at(1_000 + u64::from(n)),
        expires_at: at(2_000 + u64::from(n)),
        account: account(),
        body_hash: [n; 32],
    }
}

/// All others hear what the winner fixed, value for value.
pub async fn of_fifty_claims_at_once_exactly_one_wins(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let (tenant, key) = (tenant(), ClaimKey::Message(id("m")));
    let claims: Vec<Claim> = (0..50).map(claim_of).collect();
    let asked = claims.iter().map(|claim| store.claim(&tenant, &key, claim, now(), KEEP));
    let answers = try_join_all(asked).await.unwrap();
    let winners: Vec<usize> = (0..50).filter(|n| answers[*n].is_none()).collect();
    assert_eq!(winners.len(), 1, "{winners:?}");
    let winner = &claims[winners[0]];
    assert!(answers.iter().flatten().all(|held| held == winner));
    let again = store.claim(&tenant, &key, winner, now(), KEEP).await.unwrap();
    assert_eq!(again.as_ref(), Some(winner));
}

/// A key that reads like a message id is another claim.
pub async fn a_message_id_and_a_key_are_claimed_apart(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let message = ClaimKey::Message(id("same"));
    let key = ClaimKey::Idempotency(IdempotencyKey::new("same").unwrap());
    let ask = async |key: &ClaimKey, n: u8| {
        store.claim(&tenant(), key, &claim_of(n), now(), KEEP).await.unwrap()
    };
    assert_eq!(ask(&message, 1).await, None);
    assert_eq!(ask(&key, 2).await, None);
    assert_eq!(ask(&message, 3).await, Some(claim_of(1)));
    assert_eq!(ask(&key, 3).await, Some(claim_of(2)));
}

/// The end is that of the first claim: asking again does not move it.
pub async fn a_claim_past_its_end_can_be_taken_again(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let key = ClaimKey::Message(id("m"));
    let ask = async |n: u8, after: Duration| {
        store.claim(&tenant(), &key, &claim_of(n), now().plus(after), KEEP).await.unwrap()
    };
    assert_eq!(ask(1, Duration::ZERO).await, None);
    assert_eq!(ask(2, KEEP - SECOND).await, Some(claim_of(1)));
    assert_eq!(ask(3, KEEP + SECOND).await, None);
    assert_eq!(ask(4, KEEP + KEEP).await, Some(claim_of(3)));
}
