//! What an event does to the store: the same for every adapter.
//!
//! A status or a receipt may come before the row it belongs to. Where it can name the row it is
//! merged at once, and the row exists without content until its message comes. Where it cannot,
//! it and the row meet: each side WRITES its own part, THEN looks, and whoever sees both merges.
//! Of two sides at least one looks after the other has written, so no interleaving loses a report
//! (I5); merging is idempotent, so both may do it. A projection that was cut off is done again
//! from its start.
//!
//! Nothing here decides which of two reports counts: that is [`StatusState::merge`] alone.

use std::time::Duration;

use chat4all_contracts::mutant::{self, Mutant};
use chat4all_contracts::status::Cell;
use chat4all_contracts::{
    EpochMs, ExternalId, Generation, Message, PlatformName, Reason, Receipt, Status, StatusState,
    StatusUpdate,
};

use crate::open::is_open;
use crate::port::Answer;
use crate::{Meeting, MeetingPlace, MessageStore, RowAddress, StoreError, Tenant};

/// How long a report waits for its row: 8 days.
pub const EARLY_KEPT: Duration = Duration::from_secs(8 * 24 * 60 * 60);

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Projected {
    /// It is in its row.
    Merged,
    /// It waits for its row, or for the status that tells which row it belongs to.
    Early,
    /// It is in its row, and so are reports that had waited for it.
    Met,
}

/// A message: its content, its place under its id, and the reports that came before it.
///
/// # Errors
/// As the store; repeat the whole call then.
pub async fn project_message(
    store: &dyn MessageStore,
    tenant: &Tenant,
    message: &Message,
    now: EpochMs,
) -> Result<Projected, StoreError> {
    store.put_message(tenant, message).await?;
    // An entry that comes after its time is not put where nobody looks any more.
    store.note_open(tenant, message, message.expires_at.max(now), now).await?;
    let row = RowAddress::of(message);
    let place = MeetingPlace::Message(message.message_id.clone());
    let Some(early) = arrive_row(store, tenant, &place, &row, now).await? else {
        return Ok(Projected::Merged);
    };
    // An early report may have brought the platform's id, which only now leads to a row.
    for place in external_places(message, &early) {
        arrive_row(store, tenant, &place, &row, now).await?;
    }
    Ok(Projected::Met)
}

/// A status. Without conversation_id or accepted_at it waits under its message's id.
///
/// # Errors
/// As the store; repeat the whole call then.
pub async fn project_status(
    store: &dyn MessageStore,
    tenant: &Tenant,
    update: &StatusUpdate,
    now: EpochMs,
) -> Result<Projected, StoreError> {
    let reports = StatusState::of(update);
    let row = match address(update) {
        Some(row) => {
            store.merge_status(tenant, &row, &reports).await?;
            if let (Some(due), false) = (update.expires_at, is_open(update.status)) {
                let (id, generation) = (&update.message_id, update.generation);
                store.note_settled(tenant, id, generation, due, now).await?;
            }
            row
        }
        None => {
            let place = MeetingPlace::Message(update.message_id.clone());
            match arrive_report(store, tenant, &place, &reports, now).await? {
                Some(row) => row,
                None => return Ok(Projected::Early),
            }
        }
    };
    let (Some(platform), Some(account), Some(id)) =
        (&update.platform, &update.account, &update.external_id)
    else {
        return Ok(Projected::Merged);
    };
    let place = MeetingPlace::External(platform.clone(), account.clone(), id.clone());
    let early = arrive_row(store, tenant, &place, &row, now).await?;
    Ok(if early.is_some() { Projected::Met } else { Projected::Merged })
}

/// A receipt: waits under the platform's id until a status has told whose id that is.
///
/// It does not know the message's generation; see [`reports_of`].
///
/// # Errors
/// As the store; repeat the whole call then.
pub async fn project_receipt(
    store: &dyn MessageStore,
    tenant: &Tenant,
    receipt: &Receipt,
    now: EpochMs,
) -> Result<Projected, StoreError> {
    let place = MeetingPlace::External(
        receipt.platform.clone(),
        receipt.account.clone(),
        receipt.external_id.clone(),
    );
    let row = arrive_report(store, tenant, &place, &reports_of(receipt), now).await?;
    Ok(if row.is_some() { Projected::Merged } else { Projected::Early })
}

/// What a receipt says.
///
/// DELIVERED and READ are evidence and count whatever the row's generation. SENT and FAILED are
/// cells of the first generation, as for every event that names none: they count for a message
/// that was never redriven, and are kept but not shown once a redrive has begun another life, of
/// which this receipt may know nothing. A platform whose receipts must settle redriven messages
/// too carries message_id and generation through its API, so that its receipts are statuses.
///
/// FAILED stands above SENT whatever its reason: only an accepted message has a platform's id.
pub fn reports_of(receipt: &Receipt) -> StatusState {
    let cell = |reason: Option<Reason>| {
        Some(Cell {
            generation: Generation::FIRST,
            at: receipt.timestamp,
            reason,
            external_id: Some(receipt.external_id.clone()),
        })
    };
    let mut state = StatusState::default();
    match receipt.status {
        // Not a platform's to say; the contract refuses them at reading.
        Status::Accepted | Status::Unknown => {}
        Status::Sent => state.sent = cell(receipt.reason),
        Status::Failed => state.rejected = cell(receipt.reason.or(Some(Reason::Rejected))),
        Status::Delivered => state.delivered_at = Some(receipt.timestamp),
        Status::Read => state.read_at = Some(receipt.timestamp),
    }
    state
}

fn address(update: &StatusUpdate) -> Option<RowAddress> {
    Some(RowAddress {
        conversation_id: update.conversation_id.clone()?,
        accepted_at: update.accepted_at?,
        message_id: update.message_id.clone(),
    })
}

/// Where receipts for the ids in `early` arrive. Empty for a message that does not name its
/// account; the API always names it.
fn external_places(message: &Message, early: &StatusState) -> Vec<MeetingPlace> {
    let platform = PlatformName::new(message.receiver_id.platform());
    let (Ok(platform), Some(account)) = (platform, &message.account) else {
        return Vec::new();
    };
    let cells = [&early.sent, &early.rejected, &early.failed, &early.unknown];
    let mut ids: Vec<&ExternalId> =
        cells.into_iter().flatten().filter_map(|cell| cell.external_id.as_ref()).collect();
    ids.sort();
    ids.dedup();
    ids.into_iter()
        .map(|id| MeetingPlace::External(platform.clone(), account.clone(), id.clone()))
        .collect()
}

/// The row's side of a meeting. The reports that had come before, merged into the row.
async fn arrive_row(
    store: &dyn MessageStore,
    tenant: &Tenant,
    place: &MeetingPlace,
    row: &RowAddress,
    now: EpochMs,
) -> Result<Option<StatusState>, StoreError> {
    let ours = store.arrive_row(tenant, place, row);
    let early = write_then_look(store, tenant, place, now, ours).await?.early;
    if let Some(early) = &early {
        store.merge_status(tenant, row, early).await?;
    }
    Ok(early)
}

/// The report's side of a meeting. The row, with the reports merged into it, if it has arrived.
async fn arrive_report(
    store: &dyn MessageStore,
    tenant: &Tenant,
    place: &MeetingPlace,
    reports: &StatusState,
    now: EpochMs,
) -> Result<Option<RowAddress>, StoreError> {
    let ours = store.arrive_report(tenant, place, reports, now, EARLY_KEPT);
    let row = write_then_look(store, tenant, place, now, ours).await?.address;
    if let Some(row) = &row {
        store.merge_status(tenant, row, reports).await?;
    }
    Ok(row)
}

/// Our side of a meeting, then what both sides have left. Never the other way round: of two that
/// look first, neither would see the other.
async fn write_then_look(
    store: &dyn MessageStore,
    tenant: &Tenant,
    place: &MeetingPlace,
    now: EpochMs,
    ours: Answer<'_, ()>,
) -> Result<Meeting, StoreError> {
    if mutant::is_on(Mutant::LooksBeforeWriting) {
        let seen = store.look(tenant, place, now).await?;
        return ours.await.map(|()| seen);
    }
    ours.await?;
    store.look(tenant, place, now).await
}
