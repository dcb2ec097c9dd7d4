//! Dead letters and the records of operators' commands.

use std::sync::Arc;

use chat4all_contracts::{DeadLetter, Generation, LetterId, Message, Reason, Status};
use futures::StreamExt;
use futures::stream;

use super::Factory;
use super::fixture::{
    SECOND, account, at, conversation, full, generation, insert, message, now, platform, tenant,
};
use crate::letters::{
    AUDIT_KEPT, AuditPlace, AuditRecord, LETTERS_KEPT, Letter, LetterFilter, LetterPlace,
    LetterSpan, MAX_EXAMINED, Mark, StoredLetter, Verdict, open_letters, project_failure,
    project_letter,
};
use crate::projection::{project_message, project_status};
use crate::{MessageStore, Tenant};

/// A letter of a message, given up at a time.
fn letter(of: &Message, given_up_at: u64) -> Letter {
    let raw = b"content";
    let event =
        DeadLetter::given_up(("whatsapp-outbound", 3, 7), raw, of, Reason::Refused, "131026")
            .tried(&account(), 2)
            .dated(at(0), at(given_up_at));
    Letter::of(&event, at(0))
}

fn mark(by: &str) -> Mark {
    Mark { at: now(), by: by.to_owned(), why: None, audit_id: format!("by-{by}") }
}

async fn put(store: &dyn MessageStore, letter: &Letter) {
    let letters = store.letters();
    letters.put_letter(&tenant(), letter, None, now(), LETTERS_KEPT).await.unwrap();
}

/// All letters of a span, `limit` at a time.
async fn listed(store: &dyn MessageStore, span: LetterSpan, limit: usize) -> Vec<StoredLetter> {
    let mut all: Vec<StoredLetter> = Vec::new();
    loop {
        let after = all.last().map(|stored| stored.letter.place());
        let rows =
            store.letters().letters_in_order(&tenant(), span, after.as_ref(), limit).await.unwrap();
        let is_last = rows.len() < limit;
        all.extend(rows);
        if is_last {
            return all;
        }
    }
}

fn ids(letters: &[StoredLetter]) -> Vec<String> {
    letters.iter().map(|stored| stored.letter.id.to_string()).collect()
}

async fn open(store: &dyn MessageStore, filter: &LetterFilter) -> Vec<String> {
    let page = open_letters(store, &tenant(), filter, None, 100).await.unwrap();
    page.letters.iter().map(|open| open.stored.letter.id.to_string()).collect()
}

/// A message that failed, with its letter.
async fn fail(store: &dyn MessageStore, of: &Message) {
    let failed_at = of.accepted_at.as_ms() + 500;
    project_message(store, &tenant(), of, now()).await.unwrap();
    put(store, &letter(of, failed_at)).await;
    project_status(store, &tenant(), &full(of, Status::Failed, failed_at), now()).await.unwrap();
}

/// Everything that it says; absent fields stay absent; the record comes with it.
pub async fn a_letter_comes_back_as_it_was_written(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let (of, raw) = (message("c", 1_000, "m:1/é"), [0, 0xff, b'x']);
    let whole = letter(&of, 2_000);
    let record = LetterId::Record("messages".to_owned(), u32::MAX, i64::MAX as u64);
    let bare = Letter {
        id: record.clone(),
        detail: String::new(),
        platform: None,
        account: None,
        conversation_id: None,
        attempts: None,
        ..whole.clone()
    };
    put(&*store, &whole).await;
    let letters = store.letters();
    letters.put_letter(&tenant(), &bare, Some(&raw), now(), LETTERS_KEPT).await.unwrap();
    for letter in [&whole, &bare] {
        let expected = StoredLetter { letter: letter.clone(), discarded: None, redriven: None };
        assert_eq!(letters.letter(&tenant(), &letter.id).await, Ok(Some(expected)));
    }
    assert_eq!(letters.letter_raw(&tenant(), &record).await, Ok(Some(raw.to_vec())));
    assert_eq!(letters.letter_raw(&tenant(), &whole.id).await, Ok(None));
    let other = LetterId::Message(of.message_id.clone(), generation(1));
    assert_eq!(letters.letter(&tenant(), &other).await, Ok(None));
    let theirs = Tenant("theirs".into());
    assert_eq!(letters.letter(&theirs, &whole.id).await, Ok(None));
    assert_eq!(
        letters.letters_in_order(&theirs, LetterSpan::default(), None, 5).await,
        Ok(Vec::new())
    );
}

/// Of two letters of one id the earlier one stays, in both orders, and there is one of them.
pub async fn a_repeated_letter_is_one_letter(factory: &dyn Factory) {
    let store = factory.fresh().await;
    for (n, order) in [[2_000, 3_000], [3_000, 2_000]].into_iter().enumerate() {
        let of = message("c", 1_000 + n as u64, &format!("m{n}"));
        for given_up_at in order {
            put(&*store, &letter(&of, given_up_at)).await;
        }
        let stored = store.letters().letter(&tenant(), &letter(&of, 0).id).await.unwrap();
        assert_eq!(stored.unwrap().letter, letter(&of, 2_000));
    }
    assert_eq!(listed(&*store, LetterSpan::default(), 5).await.len(), 2);
}

/// By time of acceptance and then by id, over hours, months and years, in pages of any size.
pub async fn letters_are_listed_oldest_first(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let hour = 3_600_000;
    let times = [0, 0, 1, hour - 1, hour, 30 * 24 * hour, 400 * 24 * hour, 400 * 24 * hour + 1];
    let mut expected = Vec::new();
    for (n, ms) in times.into_iter().enumerate() {
        expected.push(letter(&message("c", 1_700_000_000_000 + ms, &format!("m{n}")), 5));
    }
    for letter in expected.iter().rev() {
        put(&*store, letter).await;
    }
    let names = |letters: &[Letter]| -> Vec<String> {
        letters.iter().map(|letter| letter.id.to_string()).collect()
    };
    for limit in [1, 2, 3, 50] {
        let found = listed(&*store, LetterSpan::default(), limit).await;
        assert_eq!(ids(&found), names(&expected), "{limit} at a time");
    }
    let span = LetterSpan { from: at(1_700_000_000_001), before: at(1_700_000_000_000 + hour) };
    assert_eq!(ids(&listed(&*store, span, 1).await), names(&expected[2..4]));
    let before_all = LetterPlace { accepted_at: at(1), id: expected[7].id.clone() };
    let found =
        store.letters().letters_in_order(&tenant(), span, Some(&before_all), 50).await.unwrap();
    assert_eq!(ids(&found), names(&expected[2..4]), "a place before the span changes nothing");
}

/// Each is a cell of its own, and its first word counts.
pub async fn what_was_done_with_a_letter_stays(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let letter = letter(&message("c", 1_000, "m"), 2_000);
    let (letters, place) = (store.letters(), letter.place());
    let why = Mark { why: Some("a typo".to_owned()), ..mark("ana") };
    let put_mark = async |verdict, mark: &Mark| {
        letters.mark_letter(&tenant(), &place, verdict, mark, LETTERS_KEPT).await.unwrap();
    };
    put_mark(Verdict::Discarded, &mark("early")).await;
    assert_eq!(letters.letter(&tenant(), &letter.id).await, Ok(None), "no letter, no mark shown");
    let other = super::fixture::message("c", 1_001, "n");
    let (letter, place) = (self::letter(&other, 2_000), self::letter(&other, 2_000).place());
    put(&*store, &letter).await;
    let put_mark = async |verdict, mark: &Mark| {
        letters.mark_letter(&tenant(), &place, verdict, mark, LETTERS_KEPT).await.unwrap();
    };
    put_mark(Verdict::Redriven, &why).await;
    put_mark(Verdict::Discarded, &mark("eva")).await;
    put_mark(Verdict::Discarded, &mark("zoe")).await;
    put(&*store, &letter).await;
    let stored = letters.letter(&tenant(), &letter.id).await.unwrap().unwrap();
    assert_eq!(stored.redriven, Some(why));
    assert_eq!(stored.discarded, Some(mark("eva")));
    assert_eq!(listed(&*store, LetterSpan::default(), 5).await.last(), Some(&stored));
}

/// Not before its FAILED, not after a receipt, a redrive or a discard; a new failure of the new
/// life is a letter of its own.
pub async fn a_letter_is_listed_while_its_life_is_current_and_failed(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let all = LetterFilter::default();
    let first = message("c", 1_000, "m");
    put(&*store, &letter(&first, 1_500)).await;
    assert!(open(&*store, &all).await.is_empty(), "no message");
    project_message(&*store, &tenant(), &first, now()).await.unwrap();
    assert!(open(&*store, &all).await.is_empty(), "no FAILED");
    fail(&*store, &first).await;
    assert_eq!(open(&*store, &all).await, ["message:m:0"]);

    let second = Message { generation: generation(1), ..first.clone() };
    project_message(&*store, &tenant(), &second, now()).await.unwrap();
    assert!(open(&*store, &all).await.is_empty(), "a later life");
    fail(&*store, &second).await;
    assert_eq!(open(&*store, &all).await, ["message:m:1"]);
    let delivered = full(&second, Status::Delivered, 3_000);
    project_status(&*store, &tenant(), &delivered, now()).await.unwrap();
    assert!(open(&*store, &all).await.is_empty(), "a late receipt");

    for (id, verdict) in [("d", Verdict::Discarded), ("r", Verdict::Redriven)] {
        let of = message("c", 2_000, id);
        fail(&*store, &of).await;
        assert_eq!(open(&*store, &all).await.len(), 1);
        let place = letter(&of, 2_500).place();
        let letters = store.letters();
        letters.mark_letter(&tenant(), &place, verdict, &mark("ana"), LETTERS_KEPT).await.unwrap();
        assert!(open(&*store, &all).await.is_empty(), "{verdict:?}");
    }
}

/// Also where nobody wrote one; what whoever gave up has written tells more, and stays.
pub async fn every_failure_has_a_letter(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let all = LetterFilter::default();
    for (n, reason) in
        [Reason::UnknownAccount, Reason::Lost, Reason::Rejected].into_iter().enumerate()
    {
        let of = message("c", 1_000 + n as u64, &format!("m{n}"));
        let mut update = full(&of, Status::Failed, 2_000);
        update.reason = Some(reason);
        project_message(&*store, &tenant(), &of, now()).await.unwrap();
        let origin = ("status-updates", 1, 2);
        project_failure(&*store, &tenant(), &update, origin, now()).await.unwrap();
        project_status(&*store, &tenant(), &update, now()).await.unwrap();
    }
    assert_eq!(open(&*store, &all).await, ["message:m0:0", "message:m1:0", "message:m2:0"]);
    let sent = full(&message("c", 1_000, "sent"), Status::Sent, 2_000);
    let unplaced = super::fixture::minimal(&message("c", 1_000, "x"), Status::Failed, 2_000);
    for none in [sent, unplaced] {
        let origin = ("status-updates", 1, 3);
        project_failure(&*store, &tenant(), &none, origin, now()).await.unwrap();
    }
    assert_eq!(listed(&*store, LetterSpan::default(), 10).await.len(), 3);
    for (n, own_first) in [true, false].into_iter().enumerate() {
        let of = message("d", 3_000 + n as u64, &format!("own{n}"));
        let (own, update) = (letter(&of, 2_000), full(&of, Status::Failed, 2_000));
        if own_first {
            put(&*store, &own).await;
        }
        let origin = ("status-updates", 1, 4);
        project_failure(&*store, &tenant(), &update, origin, now()).await.unwrap();
        put(&*store, &own).await;
        let stored = store.letters().letter(&tenant(), &own.id).await.unwrap();
        assert_eq!(stored.map(|stored| stored.letter), Some(own));
    }
}

/// Every field by itself, and all of them.
pub async fn a_list_is_about_what_its_filter_names(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let (ours, other) = (message("ours", 1_000, "ours"), message("other", 2_000, "other"));
    fail(&*store, &ours).await;
    fail(&*store, &other).await;
    let unreadable = {
        let why = chat4all_contracts::FieldError::missing("content");
        let event = DeadLetter::unreadable("messages", 1, 9, b"{}", &why);
        event.dated(at(1_500), at(1_600))
    };
    project_letter(&*store, &tenant(), &unreadable, at(1_600), now()).await.unwrap();
    let (m1, m2, r) = ("message:ours:0", "message:other:0", "record:messages:1:9");
    let all = LetterFilter::default();
    assert_eq!(open(&*store, &all).await, [m1, r, m2]);
    let span = LetterSpan { from: at(1_001), before: at(2_000) };
    let cases = [
        (LetterFilter { platform: Some(platform()), ..all.clone() }, vec![m1, m2]),
        (LetterFilter { account: Some(account()), ..all.clone() }, vec![m1, m2]),
        (LetterFilter { reason: Some("unreadable".to_owned()), ..all.clone() }, vec![r]),
        (LetterFilter { reason: Some("expired".to_owned()), ..all.clone() }, vec![]),
        (LetterFilter { conversation_id: Some(conversation("ours")), ..all.clone() }, vec![m1]),
        (LetterFilter { span, ..all.clone() }, vec![r]),
        (LetterFilter { platform: Some(platform()), span, ..all.clone() }, vec![]),
    ];
    for (filter, expected) in cases {
        assert_eq!(open(&*store, &filter).await, expected, "{filter:?}");
    }
}

/// A page ends where its call has looked at enough, and the next one goes on there.
pub async fn a_list_is_bounded_and_finds_everything(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let of = |n: usize| message("c", 1_000 + n as u64, &format!("m{n:05}"));
    let count = MAX_EXAMINED + 350;
    stream::iter(0..count)
        .for_each_concurrent(200, |n| {
            let store = &store;
            async move { put(&**store, &letter(&of(n), 5_000)).await }
        })
        .await;
    // Only the last ones have failed messages.
    for n in count - 3..count {
        fail(&*store, &of(n)).await;
    }
    let all = LetterFilter::default();
    let page = open_letters(&*store, &tenant(), &all, None, 2).await.unwrap();
    assert!(page.letters.is_empty() && page.next.is_some());
    let page = open_letters(&*store, &tenant(), &all, page.next.as_ref(), 2).await.unwrap();
    assert_eq!((page.letters.len(), page.next.is_some()), (2, true));
    let page = open_letters(&*store, &tenant(), &all, page.next.as_ref(), 2).await.unwrap();
    assert_eq!((page.letters.len(), page.next), (1, None));
}

fn command(ms: u64, id: &str, done: Option<u32>) -> AuditRecord {
    AuditRecord {
        at: at(ms),
        id: id.to_owned(),
        by: "ana".to_owned(),
        action: "redrive".to_owned(),
        why: None,
        selection: r#"{"ids":2}"#.to_owned(),
        selected: 2,
        done,
    }
}

/// Newest first, over months; the last word about one command counts.
pub async fn commands_are_listed_newest_first(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let letters = store.letters();
    let month = 31 * 24 * 3_600_000;
    let start = now().as_ms() - 3 * month;
    let mut expected: Vec<_> =
        (0..7).map(|n| command(start + n / 2 * month, &format!("{n}"), Some(n as u32))).collect();
    for record in &expected {
        let begun = AuditRecord { done: None, ..record.clone() };
        letters.put_audit(&tenant(), &begun, AUDIT_KEPT).await.unwrap();
        letters.put_audit(&tenant(), record, AUDIT_KEPT).await.unwrap();
    }
    let cut_off = AuditRecord { why: Some("é".to_owned()), ..command(start, "zz", None) };
    letters.put_audit(&tenant(), &cut_off, AUDIT_KEPT).await.unwrap();
    expected.insert(2, cut_off);
    expected.reverse();
    let mut found: Vec<AuditRecord> = Vec::new();
    loop {
        let before =
            found.last().map_or(AuditPlace { at: now().plus(SECOND), id: String::new() }, |last| {
                AuditPlace { at: last.at, id: last.id.clone() }
            });
        let rows = letters.audit(&tenant(), &before, 3).await.unwrap();
        let is_last = rows.len() < 3;
        found.extend(rows);
        if is_last {
            break;
        }
    }
    assert_eq!(found, expected);
    let theirs = Tenant("theirs".into());
    let latest = AuditPlace { at: now().plus(SECOND), id: String::new() };
    assert_eq!(letters.audit(&theirs, &latest, 3).await, Ok(Vec::new()));
}

/// What was done survives a restart, and what is past its end does not survive a sweep.
pub async fn letters_and_commands_are_kept_until_their_end(factory: &dyn Factory) {
    let store = factory.fresh().await;
    let (short, long) = (message("c", 1_000, "short"), message("c", 2_000, "long"));
    for (of, keep) in [(&short, SECOND * 10), (&long, SECOND * 1_000)] {
        let letters = store.letters();
        letters.put_letter(&tenant(), &letter(of, 5), None, now(), keep).await.unwrap();
    }
    let record = command(now().as_ms(), "a", Some(1));
    store.letters().put_audit(&tenant(), &record, SECOND * 1_000).await.unwrap();
    let place = letter(&long, 5).place();
    let (letters, done) = (store.letters(), mark("ana"));
    letters.mark_letter(&tenant(), &place, Verdict::Redriven, &done, SECOND * 1_000).await.unwrap();
    insert(&*store, &tenant(), &long).await;
    let Some(store) = factory.reopen(store).await else { return };
    check_kept(&store, &record).await;
    store.sweep(now().plus(SECOND * 100)).await.unwrap();
    check_kept(&store, &record).await;
}

async fn check_kept(store: &Arc<dyn MessageStore>, record: &AuditRecord) {
    let letters = store.letters();
    let long = LetterId::Message(super::fixture::id("long"), Generation::FIRST);
    let stored = letters.letter(&tenant(), &long).await.unwrap().unwrap();
    assert_eq!(stored.redriven, Some(mark("ana")));
    let latest = AuditPlace { at: now().plus(SECOND), id: String::new() };
    assert_eq!(letters.audit(&tenant(), &latest, 5).await, Ok(vec![record.clone()]));
}
