//! Reports that cannot name their row, and the row.

use chat4all_contracts::{AccountName, Message, PlatformName, Status, StatusState};

use super::Factory;
use super::fixture::{
    SECOND, external, external_place, fold, full, generation, message, minimal, now, receipt,
    shown, tenant, with_external,
};
use crate::projection::{
    EARLY_KEPT, Projected, project_message, project_receipt, project_status, reports_of,
};
use crate::{MeetingPlace, MessageStore, RowAddress};

async fn project(store: &dyn MessageStore, message: &Message) -> Projected {
    project_message(store, &tenant(), message, now()).await.unwrap()
}

/// Repeating either side changes nothing.
pub async fn a_status_and_its_row_meet_in_both_orders(factory: &dyn Factory) {
    let store = factory.fresh().await;
    for (row_first, name) in [(true, "a"), (false, "b")] {
        let message = message("c", 1_000, name);
        let updates =
            [minimal(&message, Status::Sent, 2_000), minimal(&message, Status::Delivered, 3_000)];
        let expected = fold(&message, &updates.each_ref().map(StatusState::of));
        if row_first {
            assert_eq!(project(&*store, &message).await, Projected::Merged);
        }
        for update in &updates {
            let outcome = project_status(&*store, &tenant(), update, now()).await.unwrap();
            assert_eq!(outcome, if row_first { Projected::Merged } else { Projected::Early });
        }
        if !row_first {
            assert_eq!(project(&*store, &message).await, Projected::Met);
        }
        assert_eq!(shown(&*store, &message).await.state, expected);
        project(&*store, &message).await;
        for update in &updates {
            let outcome = project_status(&*store, &tenant(), update, now()).await.unwrap();
            assert_eq!(outcome, Projected::Merged);
        }
        assert_eq!(shown(&*store, &message).await.state, expected);
    }
}

/// The status with the platform's id is the row's side of the meeting, whether it names the row or
/// only the message.
pub async fn a_receipt_and_its_row_meet_in_both_orders(factory: &dyn Factory) {
    let store = factory.fresh().await;
    for (row_first, names_row, name) in
        [(true, true, "a"), (false, true, "b"), (true, false, "c"), (false, false, "d")]
    {
        let message = message("c", 1_000, name);
        let sent = if names_row { full } else { minimal }(&message, Status::Sent, 2_000);
        let sent = with_external(sent, &format!("wamid.{name}"));
        let receipts = [Status::Delivered, Status::Read]
            .map(|status| receipt(&format!("wamid.{name}"), status, 3_000));
        project(&*store, &message).await;
        for first in [row_first, !row_first] {
            if first {
                let outcome = project_status(&*store, &tenant(), &sent, now()).await.unwrap();
                assert_eq!(outcome, if row_first { Projected::Merged } else { Projected::Met });
                continue;
            }
            for receipt in receipts.iter().chain(&receipts) {
                let outcome = project_receipt(&*store, &tenant(), receipt, now()).await.unwrap();
                assert_eq!(outcome, if row_first { Projected::Merged } else { Projected::Early });
            }
        }
        let [delivered, read] = receipts.each_ref().map(reports_of);
        let expected = fold(&message, [&StatusState::of(&sent), &delivered, &read]);
        assert_eq!(shown(&*store, &message).await.state, expected, "{name}");
    }
}

/// Receipt, minimal status and message in this order: each waits for the next.
pub async fn an_early_status_leads_receipts_to_its_row(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let message = message("c", 1_000, "m");
    let sent = with_external(minimal(&message, Status::Sent, 2_000), "wamid.1");
    let (delivered, read) =
        (receipt("wamid.1", Status::Delivered, 3_000), receipt("wamid.1", Status::Read, 4_000));
    let early = project_receipt(&*store, &tenant(), &delivered, now()).await;
    assert_eq!(early, Ok(Projected::Early));
    let early = project_status(&*store, &tenant(), &sent, now()).await;
    assert_eq!(early, Ok(Projected::Early));
    assert_eq!(project(&*store, &message).await, Projected::Met);
    let late = project_receipt(&*store, &tenant(), &read, now()).await;
    assert_eq!(late, Ok(Projected::Merged));
    let reports = [StatusState::of(&sent), reports_of(&delivered), reports_of(&read)];
    assert_eq!(shown(&*store, &message).await.state, fold(&message, &reports));
}

/// After a redrive a failure of the first life is kept and not shown; a delivery is shown.
pub async fn a_receipt_of_an_earlier_life_counts_only_as_evidence(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let first = message("c", 1_000, "m");
    let redrive = Message { generation: generation(1), ..first.clone() };
    let sent = with_external(full(&first, Status::Sent, 2_000), "wamid.1");
    project(&*store, &first).await;
    project_status(&*store, &tenant(), &sent, now()).await.unwrap();
    let failed = receipt("wamid.1", Status::Failed, 3_000);
    project_receipt(&*store, &tenant(), &failed, now()).await.unwrap();
    assert_eq!(shown(&*store, &first).await.state.status(), Status::Failed);
    project(&*store, &redrive).await;
    project_receipt(&*store, &tenant(), &failed, now()).await.unwrap();
    assert_eq!(shown(&*store, &first).await.state.status(), Status::Accepted);
    let delivered = receipt("wamid.1", Status::Delivered, 4_000);
    project_receipt(&*store, &tenant(), &delivered, now()).await.unwrap();
    assert_eq!(shown(&*store, &first).await.state.status(), Status::Delivered);
}

/// After 8 days a report is gone, and its row comes without it.
pub async fn early_reports_wait_until_their_end(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let message = message("c", 1_000, "m");
    let sent = minimal(&message, Status::Sent, 2_000);
    project_status(&*store, &tenant(), &sent, now()).await.unwrap();
    let end = now().plus(EARLY_KEPT);
    let place = MeetingPlace::Message(message.message_id.clone());
    let before = store.look(&tenant(), &place, now().plus(EARLY_KEPT - SECOND)).await.unwrap();
    assert_eq!(before.early, Some(StatusState::of(&sent)));
    let after = store.look(&tenant(), &place, end.plus(SECOND)).await.unwrap();
    assert_eq!(after.early, None);
    let outcome = project_message(&*store, &tenant(), &message, end.plus(SECOND)).await;
    assert_eq!(outcome, Ok(Projected::Merged));
    assert_eq!(shown(&*store, &message).await.state.status(), Status::Accepted);
    let row = store.look(&tenant(), &place, end.plus(EARLY_KEPT)).await.unwrap().address;
    assert_eq!(row, Some(RowAddress::of(&message)), "the row's side has no end");
}

/// In both orders of the two arrivals.
pub async fn a_repeated_report_waits_until_its_later_end(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let reports = StatusState::of(&minimal(&message("c", 1_000, "m"), Status::Sent, 2_000));
    let later = now().plus(SECOND * 10);
    for (name, order) in [("a", [now(), later]), ("b", [later, now()])] {
        let place = external_place(name);
        for at in order {
            let keep = SECOND * 20;
            store.arrive_report(&tenant(), &place, &reports, at, keep).await.unwrap();
        }
        let look = async |after| store.look(&tenant(), &place, now().plus(after)).await.unwrap();
        assert_eq!(look(SECOND * 29).await.early, Some(reports.clone()));
        assert_eq!(look(SECOND * 31).await.early, None);
    }
}

/// One platform's id may be another's, or another account's.
pub async fn the_account_and_the_platform_are_part_of_a_meeting_place(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let message = message("c", 1_000, "m");
    let place = |platform: &str, account: &str| {
        let account = AccountName::new(account).unwrap();
        MeetingPlace::External(PlatformName::new(platform).unwrap(), account, external("x"))
    };
    let named = place("whatsapp", "main");
    store.arrive_row(&tenant(), &named, &RowAddress::of(&message)).await.unwrap();
    let found = store.look(&tenant(), &named, now()).await.unwrap();
    assert_eq!(found.address, Some(RowAddress::of(&message)));
    let message_place = MeetingPlace::Message(super::fixture::id("x"));
    for other in [place("instagram", "main"), place("whatsapp", "second"), message_place] {
        assert_eq!(store.look(&tenant(), &other, now()).await.unwrap().address, None);
    }
}
