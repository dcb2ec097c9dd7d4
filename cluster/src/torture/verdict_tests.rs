//! Each lie that a judgement must find, and what it must leave alone.

use std::collections::BTreeMap;

use chat4all_contracts::{EpochMs, MessageId};
use chat4all_contracts::{Reason, Status, StatusUpdate};

use super::*;
use crate::harness::{Account, Autopsy};
use crate::torture::load::Sent;

/// A run of one conversation with three messages, all of which arrived.
struct Case {
    facts: Facts,
    reported: Reported,
    causes: Causes,
}

fn shown(status: Status, reason: Option<Reason>) -> Shown {
    Shown { status, reason, possible_duplicate: false }
}

impl Case {
    fn new() -> Self {
        let sent = |id: &str| Sent { id: id.to_owned(), is_short: false };
        let chat = Chat {
            id: "chat".to_owned(),
            account: Account { platform: "whatsapp", name: "default".to_owned() },
            receiver: "whatsapp:+5511900000000".to_owned(),
            is_refused: false,
            has_lifetime: false,
            needs_claims: false,
            sent: ["a", "b", "c"].map(sent).into(),
        };
        let mut case = Self {
            facts: Facts {
                chats: vec![chat],
                shown: BTreeMap::new(),
                ledger: BTreeMap::new(),
                receipts_lost: 0,
                unknown: 0,
            },
            reported: Reported::default(),
            causes: Causes::default(),
        };
        for (id, first) in [("a", 1), ("b", 2), ("c", 3)] {
            case.show(id, Status::Delivered, None);
            case.saw(id, 1, Some(first));
            case.report(id, Status::Sent);
        }
        case
    }

    fn show(&mut self, id: &str, status: Status, reason: Option<Reason>) {
        self.facts.shown.insert(id.to_owned(), shown(status, reason));
    }

    fn saw(&mut self, id: &str, accepted: u64, first_accepted: Option<u64>) {
        let entry =
            Entry { attempts: accepted.max(1), accepted, first_accepted, ..Entry::default() };
        self.facts.ledger.insert(id.to_owned(), entry);
    }

    fn report(&mut self, id: &str, status: Status) {
        let id = MessageId::new(id).unwrap();
        self.reported.take(&StatusUpdate::minimal(id, status, EpochMs::saturating(1)));
    }

    fn left_behind(&self, id: &str) {
        self.causes.add(&Autopsy {
            platform: "whatsapp",
            in_flight: 1,
            uncommitted: 0,
            uncommitted_ms: 0,
            ids: [id.to_owned()].into(),
        });
    }

    /// The figures, and the checks that did not hold.
    fn judge(&self) -> (Verdict, Vec<&'static str>) {
        let folder = tempfile::tempdir().unwrap();
        let board = Board::new(folder.path()).unwrap();
        let verdict = judge(&self.facts, &self.reported, &self.causes, &board);
        (verdict, board.findings().into_iter().map(|finding| finding.check).collect())
    }
}

#[test]
fn what_arrived_once_in_order_is_right() {
    let (verdict, findings) = Case::new().judge();
    assert!(findings.is_empty(), "{findings:?}");
    assert_eq!((verdict.accepted, verdict.by_status["DELIVERED"], verdict.lost), (3, 3, 0));
}

#[test]
fn a_message_without_a_row_or_without_an_end_is_lost() {
    let mut case = Case::new();
    case.facts.shown.remove("a");
    case.facts.ledger.remove("a");
    case.facts.ledger.remove("b");
    case.show("b", Status::Accepted, None);
    let (verdict, findings) = case.judge();
    assert_eq!((verdict.lost, verdict.unsettled), (2, 1));
    assert!(findings.contains(&"what was accepted is in the store (I1)"), "{findings:?}");
    assert!(findings.contains(&"everything has an end (I1)"), "{findings:?}");
}

#[test]
fn a_message_that_is_shown_as_arrived_must_have_arrived() {
    let mut case = Case::new();
    case.saw("b", 0, None);
    let (verdict, findings) = case.judge();
    assert_eq!((verdict.lost, findings), (1, vec!["what is shown as accepted arrived (I1)"]));
}

#[test]
fn a_failure_that_arrived_needs_doubt_or_an_end_that_left_it_behind() {
    let mut case = Case::new();
    case.facts.chats[0].has_lifetime = true;
    for (id, reason) in [("a", Reason::InDoubt), ("b", Reason::Expired)] {
        case.facts.ledger.entry(id.to_owned()).or_default().accepted = 1;
        case.show(id, Status::Failed, Some(reason));
    }
    case.reported = Reported::default();
    let (verdict, findings) = case.judge();
    assert_eq!(findings, ["what is shown as failed did not arrive (I1)"]);
    assert_eq!(verdict.failed, BTreeMap::from([("expired", 1), ("in_doubt", 1)]));
    case.left_behind("b");
    let (verdict, findings) = case.judge();
    assert_eq!((verdict.failed_after_end, findings), (1, vec![]));
}

#[test]
fn a_failure_without_a_cause_is_found() {
    for (reason, lost) in [
        (Reason::Exhausted, 0),
        (Reason::Expired, 0),
        (Reason::RecipientUnreachable, 0),
        (Reason::Lost, 1),
    ] {
        let mut case = Case::new();
        case.reported = Reported::default();
        case.show("c", Status::Failed, Some(reason));
        case.saw("c", 0, None);
        let (verdict, findings) = case.judge();
        assert_eq!((verdict.lost, findings), (lost, vec!["a failure has a cause"]), "{reason:?}");
    }
}

#[test]
fn a_status_below_what_was_reported_is_found() {
    let mut case = Case::new();
    case.facts.receipts_lost = 1;
    case.show("a", Status::Sent, None);
    assert!(case.judge().1.is_empty());
    case.report("a", Status::Read);
    assert_eq!(case.judge().1, ["the store has what was reported (I5)"]);
}

#[test]
fn a_message_stays_sent_only_if_a_receipt_was_lost() {
    let mut case = Case::new();
    case.show("a", Status::Sent, None);
    assert_eq!(case.judge().1, ["a receipt that was answered counts (I1)"]);
}

#[test]
fn an_overtaken_message_is_found_unless_it_was_in_doubt() {
    let mut case = Case::new();
    case.saw("a", 1, Some(9));
    let (verdict, findings) = case.judge();
    assert_eq!(verdict.overtaken, 2, "two were accepted before the first one");
    assert_eq!(findings, ["no message is overtaken (I2)"; 2]);
    case.report("a", Status::Unknown);
    let (verdict, findings) = case.judge();
    assert_eq!((verdict.overtaken, verdict.in_doubt, findings), (0, 1, vec![]));
}

#[test]
fn a_duplicate_needs_a_mark_an_end_or_a_call_that_was_cut_off() {
    let mut case = Case::new();
    case.saw("a", 2, Some(1));
    let (verdict, findings) = case.judge();
    assert_eq!((verdict.duplicates, verdict.unexplained), (1, 1));
    assert_eq!(findings, ["duplicates are few (I6)", "duplicates have a cause (I6)"]);
    case.causes.started("connector", 1);
    case.causes.ended("connector", Some(1));
    assert!(case.judge().1.is_empty());
    case.saw("b", 2, Some(2));
    let cause = "duplicates have a cause (I6)";
    assert_eq!(case.judge().1, ["duplicates are few (I6)", cause, cause]);
    case.left_behind("b");
    case.facts.shown.get_mut("a").unwrap().possible_duplicate = true;
    let (verdict, findings) = case.judge();
    assert_eq!((verdict.duplicates, verdict.unmarked_duplicates, verdict.unexplained), (2, 1, 0));
    assert_eq!((verdict.marked, verdict.marked_twice, findings), (1, 1, vec![]));
}

#[test]
fn platforms_know_strangers_only_of_requests_without_name_and_answer() {
    let mut case = Case::new();
    case.saw("stranger", 1, Some(4));
    assert_eq!(case.judge().1, ["platforms get only what was sent"]);
    case.facts.unknown = 1;
    assert!(case.judge().1.is_empty());
}
