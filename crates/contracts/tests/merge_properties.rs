//! I5: any order and any duplication of the same events gives the same state, and the shown
//! status of one generation never goes back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use chat4all_contracts::status::{Rank, write_timestamp};
use chat4all_contracts::{
    EpochMs, ExternalId, Generation, MessageId, Reason, Status, StatusState, StatusUpdate,
};
use proptest::prelude::*;

fn status_update() -> impl Strategy<Value = StatusUpdate> {
    let status = prop::sample::select(Status::ALL.to_vec());
    let reason = prop::option::of(prop::sample::select(Reason::ALL.to_vec()));
    // Few times, generations and ids, so that ties and conflicts are frequent.
    let external_id = prop::option::of(prop::sample::select(vec!["a", "b", "aa"]));
    (status, 0_u64..4, 0_u64..3, reason, external_id, any::<bool>()).prop_map(
        |(status, at, generation, reason, external_id, possible_duplicate)| {
            let id = MessageId::new("m").unwrap();
            let mut update = StatusUpdate::minimal(id, status, EpochMs::new(at).unwrap());
            update.generation = Generation::new(generation).unwrap();
            update.reason = reason;
            update.possible_duplicate = possible_duplicate;
            update.external_id = external_id.map(|id| ExternalId::new(id).unwrap());
            update
        },
    )
}

#[test]
fn an_acceptance_that_may_be_the_second_one_says_so_until_a_redrive() {
    let mut sent =
        StatusUpdate::minimal(MessageId::new("m").unwrap(), Status::Sent, EpochMs::new(1).unwrap());
    assert!(!StatusState::of(&sent).is_possible_duplicate());
    sent.possible_duplicate = true;
    let mut state = StatusState::of(&sent);
    assert!(state.is_possible_duplicate() && state.reason().is_none());
    state.merge(&StatusState::accepted(Generation::new(1).unwrap()));
    assert!(!state.is_possible_duplicate());
}

fn update(status: Status, reason: Option<Reason>, external_id: Option<&str>) -> StatusUpdate {
    let at = EpochMs::new(1).unwrap();
    let mut update = StatusUpdate::minimal(MessageId::new("m").unwrap(), status, at);
    update.reason = reason;
    update.external_id = external_id.map(|id| ExternalId::new(id).unwrap());
    update
}

#[test]
fn a_doubt_that_was_told_marks_the_acceptance_of_another_call_but_not_a_receipt() {
    let doubt = update(Status::Unknown, Some(Reason::PossibleDuplicate), None);
    let called = update(Status::Sent, None, Some("a"));
    assert!(fold([&doubt, &called]).is_possible_duplicate());
    let receipt = update(Status::Sent, None, None);
    assert!(!fold([&doubt, &receipt]).is_possible_duplicate());
    // At most once: no other call was made.
    let doubt = update(Status::Unknown, Some(Reason::InDoubt), None);
    assert!(!fold([&doubt, &called]).is_possible_duplicate());
}

#[test]
fn who_gives_up_without_knowing_of_a_doubt_fails_in_doubt() {
    let doubt = update(Status::Unknown, Some(Reason::PossibleDuplicate), None);
    for reason in [Reason::Expired, Reason::Exhausted] {
        let failed = update(Status::Failed, Some(reason), None);
        assert_eq!(fold([&failed]).reason(), Some(reason));
        assert_eq!(fold([&doubt, &failed]).reason(), Some(Reason::InDoubt));
    }
    let refused = update(Status::Failed, Some(Reason::Refused), None);
    assert_eq!(fold([&doubt, &refused]).reason(), Some(Reason::Refused));
}

fn fold<'a>(events: impl IntoIterator<Item = &'a StatusUpdate>) -> StatusState {
    let mut state = StatusState::default();
    for event in events {
        state.merge(&StatusState::of(event));
    }
    state
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_and_duplication_do_not_matter(
        (events, shuffled, again) in prop::collection::vec(status_update(), 0..12).prop_flat_map(|events| {
            let shuffled = Just(events.clone()).prop_shuffle();
            let again = prop::collection::vec(any::<prop::sample::Index>(), 0..12);
            (Just(events), shuffled, again)
        })
    ) {
        let mut replayed: Vec<&StatusUpdate> = shuffled.iter().collect();
        if !events.is_empty() {
            replayed.extend(again.iter().map(|index| index.get(&events)));
        }
        prop_assert_eq!(fold(&events), fold(replayed));
    }

    #[test]
    fn merging_halves_equals_merging_one_by_one(
        left in prop::collection::vec(status_update(), 0..8),
        right in prop::collection::vec(status_update(), 0..8),
    ) {
        let mut joined = fold(&left);
        joined.merge(&fold(&right));
        prop_assert_eq!(joined, fold(left.iter().chain(&right)));
    }

    #[test]
    fn the_shown_status_never_goes_back_within_a_generation(
        events in prop::collection::vec(status_update(), 0..16),
    ) {
        let mut state = StatusState::default();
        for event in &events {
            let before = (state.generation, state.rank());
            state.merge(&StatusState::of(event));
            if state.generation == before.0 {
                prop_assert!(state.rank() >= before.1, "{:?} -> {:?}", before.1, state.rank());
            } else {
                prop_assert!(state.generation > before.0);
            }
        }
    }

    #[test]
    fn a_write_timestamp_prefers_the_higher_generation_then_the_first_report(
        a in (0_u64..1 << 20, 0_u64..1 << 43), b in (0_u64..1 << 20, 0_u64..1 << 43),
    ) {
        let stamp = |(g, at): (u64, u64)| {
            write_timestamp(Generation::new(g).unwrap(), EpochMs::new(at).unwrap())
        };
        prop_assert!(stamp(a) >= 0);
        prop_assert_eq!(stamp(a).cmp(&stamp(b)), a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
    }
}

fn event(status: Status, generation: u64, reason: Option<Reason>) -> StatusUpdate {
    let id = MessageId::new("m").unwrap();
    let mut update = StatusUpdate::minimal(id, status, EpochMs::new(5).unwrap());
    update.generation = Generation::new(generation).unwrap();
    update.reason = reason;
    update
}

#[test]
fn acceptance_overrules_our_failure_but_not_the_platforms() {
    let ours = event(Status::Failed, 0, Some(Reason::Exhausted));
    let theirs = event(Status::Failed, 0, Some(Reason::Rejected));
    let sent = event(Status::Sent, 0, None);
    assert_eq!(fold([&sent, &ours]).rank(), Rank::Sent);
    assert_eq!(fold([&theirs, &sent]).rank(), Rank::RejectedByPlatform);
    assert_eq!(fold([&theirs, &sent]).reason(), Some(Reason::Rejected));
}

#[test]
fn a_redrive_starts_again_but_keeps_evidence_of_delivery() {
    let failed = event(Status::Failed, 0, Some(Reason::Exhausted));
    let redrive = event(Status::Accepted, 1, None);
    assert_eq!(fold([&failed, &redrive]).status(), Status::Accepted);
    let delivered = event(Status::Delivered, 0, None);
    assert_eq!(fold([&failed, &redrive, &delivered]).status(), Status::Delivered);
}
