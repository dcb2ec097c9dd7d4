//! What is kept, for whom and how long.

use std::sync::Arc;
use std::time::Duration;

use chat4all_contracts::{
    FileId, IdempotencyKey, Message, Reason, ReceiverId, SenderId, Status, StatusState,
};
use futures::StreamExt;
use futures::stream;

use super::Factory;
use super::fixture::{
    SECOND, account, at, conversation, external, external_place, full, id, insert, message,
    minimal, now, pages, receipt, shown, tenant, with_external,
};
use crate::projection::{project_message, project_receipt, project_status};
use crate::{Claim, ClaimKey, MeetingPlace, MessageStore, RowAddress, StoredMessage, Tenant};

fn claim_of(message: &Message) -> Claim {
    Claim {
        message_id: message.message_id.clone(),
        accepted_at: message.accepted_at,
        expires_at: message.expires_at,
        account: account(),
        body_hash: [7; 32],
    }
}

/// The same ids, keys and conversations belong to each apart.
pub async fn tenants_do_not_see_each_other(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let (ours, theirs) = (Tenant("ours".into()), Tenant("theirs".into()));
    let message = message("c", 1_000, "m");
    let place = MeetingPlace::Message(message.message_id.clone());
    insert(&*store, &ours, &message).await;
    let sent = StatusState::of(&full(&message, Status::Sent, 2_000));
    store.merge_status(&ours, &RowAddress::of(&message), &sent).await.unwrap();
    store.arrive_report(&ours, &place, &sent, now(), SECOND).await.unwrap();
    let key = ClaimKey::Message(message.message_id.clone());
    let claim = claim_of(&message);
    assert_eq!(store.claim(&ours, &key, &claim, now(), SECOND).await, Ok(None));

    assert_eq!(store.message(&theirs, &message.message_id).await, Ok(None));
    let page = store.page(&theirs, &message.conversation_id, None, 5).await.unwrap();
    assert_eq!((page.messages.len(), page.next), (0, None));
    assert_eq!(store.look(&theirs, &place, now()).await, Ok(Default::default()));
    assert_eq!(store.claim(&theirs, &key, &claim, now(), SECOND).await, Ok(None));

    let other = Message { content: "theirs".to_owned(), ..message.clone() };
    insert(&*store, &theirs, &other).await;
    let seen = async |tenant| store.message(tenant, &message.message_id).await.unwrap().unwrap();
    assert_eq!(seen(&ours).await, StoredMessage { message: message.clone(), state: sent });
    assert_eq!(seen(&theirs).await, StoredMessage { message: other, state: Default::default() });
}

/// The longest ids, text outside ASCII, text that looks like syntax, content of 10,240 bytes.
pub async fn long_and_unusual_texts_come_back_unchanged(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let long = "é".repeat(64);
    let syntax = "';--\"\\%_ ? $1 {} \u{1f600} e\u{301}";
    let newest = format!("\0\r\n\u{202e}{}", "\u{1f600}".repeat(2_560));
    for (n, (text, content)) in
        [(long.as_str(), "x".repeat(10_240)), (syntax, String::new()), ("plain", newest)]
            .into_iter()
            .enumerate()
    {
        let message = Message {
            message_id: id(text),
            conversation_id: conversation(text),
            sender_id: SenderId::new(text).unwrap(),
            receiver_id: ReceiverId::new(&format!("x:{}", "ü".repeat(60))).unwrap(),
            content,
            file_id: Some(FileId::new(text).unwrap()),
            ..message("c", 1_000 + n as u64, "m")
        };
        let external_id = format!("{text} {}", "=".repeat(300));
        let mut sent = with_external(full(&message, Status::Sent, 2_000), &external_id);
        sent.reason = Some(Reason::InDoubt);
        project_message(&*store, &tenant(), &message, now()).await.unwrap();
        project_status(&*store, &tenant(), &sent, now()).await.unwrap();
        let delivered = receipt(&external_id, Status::Delivered, 3_000);
        project_receipt(&*store, &tenant(), &delivered, now()).await.unwrap();
        let stored = shown(&*store, &message).await;
        assert_eq!(stored.message, message);
        assert_eq!(stored.state.external_id(), Some(&external(&external_id)));
        assert_eq!(stored.state.status(), Status::Delivered);
        let key = ClaimKey::Idempotency(IdempotencyKey::new(text).unwrap());
        let claim = claim_of(&message);
        assert_eq!(store.claim(&tenant(), &key, &claim, now(), SECOND).await, Ok(None));
        assert_eq!(store.claim(&tenant(), &key, &claim, now(), SECOND).await, Ok(Some(claim)));
        assert_eq!(pages(&*store, text, None, 2).await, [[text]]);
    }
}

/// One history, each event up to three times in a row, then all of it once more.
pub async fn everything_may_be_repeated(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let message = message("c", 1_000, "m");
    let sent = with_external(full(&message, Status::Sent, 2_000), "wamid.1");
    let early = minimal(&message, Status::Unknown, 1_500);
    let delivered = receipt("wamid.1", Status::Delivered, 3_000);
    let mut seen = Vec::new();
    for times in [1, 3, 1] {
        for _ in 0..times {
            project_receipt(&*store, &tenant(), &delivered, now()).await.unwrap();
        }
        for _ in 0..times {
            project_status(&*store, &tenant(), &early, now()).await.unwrap();
        }
        for _ in 0..times {
            project_status(&*store, &tenant(), &sent, now()).await.unwrap();
        }
        for _ in 0..times {
            project_message(&*store, &tenant(), &message, now()).await.unwrap();
        }
        seen.push(shown(&*store, &message).await);
        assert_eq!(pages(&*store, "c", None, 5).await, [["m"]]);
    }
    assert_eq!(seen[0].state.status(), Status::Delivered);
    assert!(seen.iter().all(|stored| *stored == seen[0]));
}

/// More than one step's worth is past its end; the rest and the rows' side of meetings stay.
pub async fn a_sweep_forgets_only_what_is_past_its_end(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let message = message("c", 1_000, "m");
    let (row, claim) = (RowAddress::of(&message), claim_of(&message));
    let reports = StatusState::of(&minimal(&message, Status::Delivered, 2_000));
    let (short, long) = (SECOND * 10, SECOND * 1_000);
    let keep = |n: u32| if n < 2_200 { short } else { long };
    let key = |n: u32| ClaimKey::Message(id(&format!("m{n}")));
    let place = |n: u32| external_place(&format!("e{n}"));
    stream::iter(0..2_210)
        .for_each_concurrent(500, |n| {
            let (store, row, claim, reports) = (&store, &row, &claim, &reports);
            async move {
                store.claim(&tenant(), &key(n), claim, now(), keep(n)).await.unwrap();
                let (tenant, place) = (tenant(), place(n));
                store.arrive_report(&tenant, &place, reports, now(), keep(n)).await.unwrap();
                if n % 2 == 0 {
                    store.arrive_row(&tenant, &place, row).await.unwrap();
                }
            }
        })
        .await;
    insert(&*store, &tenant(), &message).await;
    let later = now().plus(SECOND * 100);
    store.sweep(later).await.unwrap();
    store.sweep(later).await.unwrap();
    for n in [0, 1, 1_500, 2_199, 2_200, 2_209] {
        let is_kept = keep(n) == long;
        let held = store.claim(&tenant(), &key(n), &claim, later, short).await.unwrap();
        assert_eq!(held.is_some(), is_kept, "claim {n}");
        let meeting = store.look(&tenant(), &place(n), later).await.unwrap();
        assert_eq!(meeting.early.is_some(), is_kept, "reports {n}");
        assert_eq!(meeting.address.is_some(), n % 2 == 0, "row {n}");
    }
    assert_eq!(shown(&*store, &message).await.message, message);
}

/// Content, cells, meetings and claims.
pub async fn what_was_written_is_there_after_reopening(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let message = Message { expires_at: at(1_234), ..message("c", 1_000, "m") };
    let sent = with_external(full(&message, Status::Sent, 2_000), "wamid.1");
    project_message(&*store, &tenant(), &message, now()).await.unwrap();
    project_status(&*store, &tenant(), &sent, now()).await.unwrap();
    let early = receipt("wamid.2", Status::Read, 3_000);
    project_receipt(&*store, &tenant(), &early, now()).await.unwrap();
    let (key, claim) = (ClaimKey::Message(id("m")), claim_of(&message));
    let keep = Duration::from_secs(60);
    assert_eq!(store.claim(&tenant(), &key, &claim, now(), keep).await, Ok(None));
    let look = async |store: &Arc<dyn MessageStore>, name: &str| {
        store.look(&tenant(), &external_place(name), now()).await.unwrap()
    };
    let before = (look(&store, "wamid.1").await, look(&store, "wamid.2").await);
    let expected = shown(&*store, &message).await;

    let Some(store) = factory.reopen(store).await else { return };
    assert_eq!(shown(&*store, &message).await, expected);
    assert_eq!((look(&store, "wamid.1").await, look(&store, "wamid.2").await), before);
    assert_eq!(store.claim(&tenant(), &key, &claim, now(), keep).await, Ok(Some(claim)));
    assert_eq!(pages(&*store, "c", None, 5).await, [["m"]]);
}

/// The answer of a probe.
pub async fn a_store_that_is_there_answers(factory: &dyn Factory) {
    assert_eq!(factory.fresh().await.check().await, Ok(()));
}
