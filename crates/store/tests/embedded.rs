//! What only the embedded store can show: its file.

// The lints know only functions that are tests themselves, not their helpers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::time::Duration;

use chat4all_contracts::{
    AccountName, ConversationId, EpochMs, Generation, Message, MessageId, ReceiverId, SenderId,
    Status, StatusState, StatusUpdate,
};
use chat4all_sqlite::rusqlite::Connection;
use chat4all_store::embedded::{EmbeddedStore, StoreOptions};
use chat4all_store::projection::project_message;
use chat4all_store::{Claim, ClaimKey, MeetingPlace, MessageStore, RowAddress, StoreError, Tenant};

fn at(ms: u64) -> EpochMs {
    EpochMs::new(ms).unwrap()
}

fn message(id: &str) -> Message {
    Message {
        message_id: MessageId::new(id).unwrap(),
        conversation_id: ConversationId::new("maria").unwrap(),
        sender_id: SenderId::new("shop").unwrap(),
        receiver_id: ReceiverId::new("whatsapp:+5511999990000").unwrap(),
        content: "hello".to_owned(),
        file_id: None,
        account: Some(AccountName::new("main").unwrap()),
        accepted_at: at(1_000),
        expires_at: at(2_000),
        generation: Generation::FIRST,
    }
}

fn sent(of: &Message) -> StatusState {
    StatusState::of(&StatusUpdate::minimal(of.message_id.clone(), Status::Sent, at(3)))
}

fn damage(path: &Path, statement: &str) {
    assert_eq!(Connection::open(path).unwrap().execute(statement, []), Ok(1), "{statement}");
}

fn count(path: &Path, query: &str) -> i64 {
    Connection::open(path).unwrap().query_row(query, [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_damaged_row_is_named_by_its_column_and_never_quoted() {
    for (column, value) in [
        ("receiver_id", "'secret'"),
        ("expires_at", "'secret'"),
        ("generation", "-1"),
        ("delivered_at", "9000000000000000"),
        ("sent", "'0 1 secret'"),
        ("rejected", "x'00ff'"),
        ("content_generation", "NULL"),
        ("file_id", "''"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let store = EmbeddedStore::open_file(&path, StoreOptions::default()).unwrap();
        let (tenant, message) = (Tenant::default(), message("m"));
        project_message(&*store, &tenant, &message, at(5)).await.unwrap();
        damage(&path, &format!("UPDATE messages SET {column} = {value}"));
        let unreadable = StoreError::Unreadable(column.to_owned());
        let error = store.message(&tenant, &message.message_id).await.unwrap_err();
        assert_eq!(error, unreadable);
        let page = store.page(&tenant, &message.conversation_id, None, 5).await;
        assert_eq!(page.unwrap_err(), unreadable);
    }
}

#[tokio::test]
async fn a_report_does_not_overwrite_a_row_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = EmbeddedStore::open_file(&path, StoreOptions::default()).unwrap();
    let (tenant, message) = (Tenant::default(), message("m"));
    project_message(&*store, &tenant, &message, at(5)).await.unwrap();
    damage(&path, "UPDATE messages SET failed = 'of a later release'");
    let merged = store.merge_status(&tenant, &RowAddress::of(&message), &sent(&message)).await;
    assert_eq!(merged, Err(StoreError::Unreadable("failed".to_owned())));
    let untouched = "SELECT COUNT(*) FROM messages WHERE failed LIKE 'of a%' AND sent IS NULL";
    assert_eq!(count(&path, untouched), 1);
}

#[tokio::test]
async fn a_sweep_frees_the_room_of_what_is_past_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = EmbeddedStore::open_file(&path, StoreOptions::default()).unwrap();
    let (tenant, message) = (Tenant::default(), message("m"));
    let claim = Claim {
        message_id: message.message_id.clone(),
        accepted_at: message.accepted_at,
        expires_at: message.expires_at,
        account: AccountName::new("main").unwrap(),
        body_hash: [0; 32],
    };
    let (row, reports, keep) = (RowAddress::of(&message), sent(&message), Duration::from_millis(5));
    let all = (0..2_500).map(|n| {
        let (store, tenant, claim, reports, row) = (&store, &tenant, &claim, &reports, &row);
        async move {
            let id = MessageId::new(&format!("m{n}")).unwrap();
            let place = MeetingPlace::Message(id.clone());
            store.arrive_report(tenant, &place, reports, at(10), keep).await?;
            if n % 5 < 2 {
                store.arrive_row(tenant, &place, row).await?;
            }
            let claimed = store.claim(tenant, &ClaimKey::Message(id), claim, at(10), keep).await;
            claimed.map(drop)
        }
    });
    futures::future::try_join_all(all).await.unwrap();
    store.sweep(at(14)).await.unwrap();
    assert_eq!(count(&path, "SELECT COUNT(*) FROM claims"), 2_500);
    assert_eq!(count(&path, "SELECT COUNT(*) FROM meetings WHERE sent IS NOT NULL"), 2_500);
    store.sweep(at(15)).await.unwrap();
    assert_eq!(count(&path, "SELECT COUNT(*) FROM claims"), 0);
    assert_eq!(count(&path, "SELECT COUNT(*) FROM meetings"), 1_000);
    let left = "SELECT COUNT(*) FROM meetings WHERE early_end IS NOT NULL OR sent IS NOT NULL";
    assert_eq!(count(&path, left), 0);
}

#[tokio::test]
async fn a_full_store_is_away_for_writers_and_goes_on_reading() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let options = StoreOptions { max_pages: Some(30), ..StoreOptions::default() };
    let store = EmbeddedStore::open_file(&path, options).unwrap();
    let tenant = Tenant::default();
    let mut written = 0;
    let error = loop {
        let message = Message { content: "x".repeat(4_000), ..message(&format!("m{written}")) };
        match project_message(&*store, &tenant, &message, at(5)).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1_000, "30 pages never filled");
    };
    assert_eq!(error, StoreError::Unavailable("the disk is full".to_owned()));
    let first = store.message(&tenant, &MessageId::new("m0").unwrap()).await.unwrap();
    assert_eq!(first.map(|stored| stored.message.content.len()), Some(4_000));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    std::fs::write(&path, "no database ".repeat(500)).unwrap();
    let opened = EmbeddedStore::open_file(&path, StoreOptions::default());
    assert!(matches!(opened, Err(StoreError::Unavailable(_))));
}
