//! Small data for the cases.

use std::time::Duration;

use chat4all_contracts::{
    AccountName, ConversationId, EpochMs, ExternalId, Generation, Message, MessageId, PlatformName,
    Reason, Receipt, ReceiverId, SenderId, Status, StatusState, StatusUpdate,
};
use chat4all_process::Random;

use crate::{Cursor, MeetingPlace, MessageStore, RowAddress, StoredMessage, Tenant};

/// When the cases happen.
pub(super) fn now() -> EpochMs {
    at(1_700_000_000_000)
}

/// The grain of ends of life.
pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) fn tenant() -> Tenant {
    Tenant::default()
}

pub(super) fn at(ms: u64) -> EpochMs {
    EpochMs::new(ms).unwrap()
}

pub(super) fn generation(number: u64) -> Generation {
    Generation::new(number).unwrap()
}

pub(super) fn id(text: &str) -> MessageId {
    MessageId::new(text).unwrap()
}

pub(super) fn conversation(text: &str) -> ConversationId {
    ConversationId::new(text).unwrap()
}

pub(super) fn account() -> AccountName {
    AccountName::new("main").unwrap()
}

pub(super) fn platform() -> PlatformName {
    PlatformName::new("whatsapp").unwrap()
}

pub(super) fn external(text: &str) -> ExternalId {
    ExternalId::new(text).unwrap()
}

pub(super) fn external_place(text: &str) -> MeetingPlace {
    MeetingPlace::External(platform(), account(), external(text))
}

/// A message of the first generation in a conversation.
pub(super) fn message(in_conversation: &str, accepted_at: u64, message_id: &str) -> Message {
    Message {
        message_id: id(message_id),
        conversation_id: conversation(in_conversation),
        sender_id: SenderId::new("shop").unwrap(),
        receiver_id: ReceiverId::new("whatsapp:+5511999990000").unwrap(),
        content: format!("content of {message_id}"),
        file_id: None,
        account: Some(account()),
        accepted_at: at(accepted_at),
        expires_at: at(accepted_at + 1_000),
        generation: Generation::FIRST,
    }
}

/// A status that names only the message.
pub(super) fn minimal(of: &Message, status: Status, ms: u64) -> StatusUpdate {
    StatusUpdate::minimal(of.message_id.clone(), status, at(ms))
}

/// A status that names the row.
pub(super) fn full(of: &Message, status: Status, ms: u64) -> StatusUpdate {
    StatusUpdate {
        conversation_id: Some(of.conversation_id.clone()),
        accepted_at: Some(of.accepted_at),
        generation: of.generation,
        ..minimal(of, status, ms)
    }
}

/// The status with the platform's id.
pub(super) fn with_external(update: StatusUpdate, text: &str) -> StatusUpdate {
    StatusUpdate {
        platform: Some(platform()),
        account: Some(account()),
        external_id: Some(external(text)),
        ..update
    }
}

pub(super) fn receipt(text: &str, status: Status, ms: u64) -> Receipt {
    Receipt {
        platform: platform(),
        account: account(),
        external_id: external(text),
        status,
        timestamp: at(ms),
        reason: None,
    }
}

/// A status with few times, generations and ids, so that ties and conflicts are frequent.
pub(super) fn random_update(of: &Message, random: &Random) -> StatusUpdate {
    let pick = |count: usize| random.between(0, count as u64 - 1) as usize;
    let mut update = full(of, Status::ALL[pick(Status::ALL.len())], random.between(0, 3));
    update.generation = generation(random.between(0, 2));
    update.reason = random.chance(1, 2).then(|| Reason::ALL[pick(Reason::ALL.len())]);
    update.external_id = random.chance(1, 2).then(|| external(["a", "b", "aa"][pick(3)]));
    update
}

/// Another order.
pub(super) fn shuffle<T>(items: &mut [T], random: &Random) {
    for last in (1..items.len()).rev() {
        items.swap(last, random.between(0, last as u64) as usize);
    }
}

/// What a message and the reports about it come to.
pub(super) fn fold<'a>(
    of: &Message,
    reports: impl IntoIterator<Item = &'a StatusState>,
) -> StatusState {
    let mut state = StatusState::accepted(of.generation);
    reports.into_iter().for_each(|report| state.merge(report));
    state
}

/// Writes a message and its place.
pub(super) async fn insert(store: &dyn MessageStore, tenant: &Tenant, message: &Message) {
    store.put_message(tenant, message).await.unwrap();
    let place = MeetingPlace::Message(message.message_id.clone());
    store.arrive_row(tenant, &place, &RowAddress::of(message)).await.unwrap();
}

/// A message that must be there.
pub(super) async fn shown(store: &dyn MessageStore, of: &Message) -> StoredMessage {
    store.message(&tenant(), &of.message_id).await.unwrap().expect("the message is shown")
}

/// The message ids of a conversation, page by page from `after` to the end.
pub(super) async fn pages(
    store: &dyn MessageStore,
    of: &str,
    mut after: Option<Cursor>,
    limit: usize,
) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    loop {
        let page = store.page(&tenant(), &conversation(of), after.as_ref(), limit).await.unwrap();
        pages.push(page.messages.iter().map(|m| m.message.message_id.to_string()).collect());
        match page.next {
            Some(next) => after = Some(next),
            None => return pages,
        }
    }
}
