//! Meeting places: the row's side, the reports' side, and the look at both.

use std::time::Duration;

use chat4all_contracts::{ConversationId, EpochMs, MessageId, StatusState};
use scylla::response::query_result::QueryRowsResult;

use super::CassandraStore;
use super::parts::{self, ms, parts};
use super::requests::unreadable;
use crate::{Meeting, MeetingPlace, RowAddress, StoreError};

/// Conversation, accepted at, message id.
type Address<'a> = (&'a str, i64, &'a str);

/// The column's number, then its cell.
type Report<'a> = (i32, i32, i64, Option<i32>, Option<&'a str>);

type Found<'a> = (Option<Address<'a>>, Option<Report<'a>>, Option<i64>);

/// How much longer than asked the database keeps what ends. The end itself is data, compared with
/// the caller's clock; a row that vanished before it would break the promise, one that vanishes
/// after it costs nothing.
const SLACK: Duration = Duration::from_secs(60 * 60);

/// Cassandra's and ScyllaDB's longest: 20 years.
const LONGEST_TTL: u64 = 20 * 365 * 24 * 60 * 60;

/// The TTL, in seconds, of what has to be kept for `keep`.
pub(super) fn time_to_live(keep: Duration) -> i32 {
    keep.saturating_add(SLACK).as_secs().min(LONGEST_TTL) as i32
}

impl CassandraStore {
    pub(super) async fn put_address(
        &self,
        tenant: &str,
        place: &MeetingPlace,
        row: &RowAddress,
    ) -> Result<(), StoreError> {
        let at: Address<'_> =
            (row.conversation_id.as_str(), ms(row.accepted_at), row.message_id.as_str());
        // From now on the place names this row, also if it named another one before.
        let timestamp = self.ticks.next().last_wins();
        match place {
            MeetingPlace::Message(id) => {
                let values = (timestamp, at, tenant, id.as_str());
                self.requests.write(&self.statements.of_message.arrive_row, values).await
            }
            MeetingPlace::External(platform, account, id) => {
                let place = (platform.as_str(), account.as_str(), id.as_str());
                let values = (timestamp, at, tenant, place.0, place.1, place.2);
                self.requests.write(&self.statements.of_external.arrive_row, values).await
            }
        }
    }

    /// Every part of the reports is a row whose key is what it says and whose value is its end. Of
    /// two ends the later one stays, because the end is the write timestamp too.
    pub(super) async fn put_reports(
        &self,
        tenant: &str,
        place: &MeetingPlace,
        reports: &StatusState,
        now: EpochMs,
        keep: Duration,
    ) -> Result<(), StoreError> {
        let (end, ttl) = (ms(now.plus(keep)), time_to_live(keep));
        let parts = parts(reports);
        let reports = parts.iter().map(|(column, said)| {
            let (generation, at, reason, external_id) = said.tuple();
            let report: Report<'_> = (column.number(), generation, at, reason, external_id);
            report
        });
        match place {
            MeetingPlace::Message(id) => {
                let row = |report| (ttl, end, end, tenant, id.as_str(), report);
                let rows: Vec<_> = reports.map(row).collect();
                let statements = vec![&self.statements.of_message.arrive_report; rows.len()];
                self.requests.write_together(&statements, &rows).await
            }
            MeetingPlace::External(platform, account, id) => {
                let place = (platform.as_str(), account.as_str(), id.as_str());
                let row = |report| (ttl, end, end, tenant, place.0, place.1, place.2, report);
                let rows: Vec<_> = reports.map(row).collect();
                let statements = vec![&self.statements.of_external.arrive_report; rows.len()];
                self.requests.write_together(&statements, &rows).await
            }
        }
    }

    pub(super) async fn look_at(
        &self,
        tenant: &str,
        place: &MeetingPlace,
        now: EpochMs,
    ) -> Result<Meeting, StoreError> {
        let rows = match place {
            MeetingPlace::Message(id) => {
                let values = (tenant, id.as_str());
                self.requests.read(&self.statements.of_message.look, values).await?
            }
            MeetingPlace::External(platform, account, id) => {
                let values = (tenant, platform.as_str(), account.as_str(), id.as_str());
                self.requests.read(&self.statements.of_external.look, values).await?
            }
        };
        meeting(&rows, now)
    }

    /// Only the row's side of a message's place.
    pub(super) async fn address(
        &self,
        tenant: &str,
        id: &MessageId,
    ) -> Result<Option<RowAddress>, StoreError> {
        type Found<'a> = (&'a str, &'a str, Option<Address<'a>>);
        let rows = self.requests.read(&self.statements.address, (tenant, id.as_str())).await?;
        let found = rows.maybe_first_row::<Found<'_>>().map_err(|_| unreadable("message_ref"))?;
        found.and_then(|(.., address)| address).map(address).transpose()
    }
}

/// What the rows of a place come to. The static cell comes with each of them, or alone.
fn meeting(rows: &QueryRowsResult, now: EpochMs) -> Result<Meeting, StoreError> {
    let mut meeting = Meeting::default();
    for row in rows.rows::<Found<'_>>().map_err(|_| unreadable("meeting place"))? {
        let (at, report, kept_until) = row.map_err(|_| unreadable("meeting place"))?;
        if meeting.address.is_none() {
            meeting.address = at.map(address).transpose()?;
        }
        let (Some(report), Some(kept_until)) = (report, kept_until) else { continue };
        if kept_until <= ms(now) {
            continue;
        }
        let (column, generation, at, reason, external_id) = report;
        let said = parts::said(column, (generation, at, reason, external_id))
            .ok_or_else(|| unreadable("report"))?;
        meeting.early.get_or_insert_default().merge(&said);
    }
    Ok(meeting)
}

fn address(
    (conversation_id, accepted_at, message_id): Address<'_>,
) -> Result<RowAddress, StoreError> {
    let parsed = || {
        Some(RowAddress {
            conversation_id: ConversationId::new(conversation_id).ok()?,
            accepted_at: parts::time(accepted_at)?,
            message_id: MessageId::new(message_id).ok()?,
        })
    };
    parsed().ok_or_else(|| unreadable("address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_keeps_longer_than_asked_and_never_longer_than_it_can() {
        assert_eq!(time_to_live(Duration::from_secs(1)), 3_601);
        assert_eq!(time_to_live(Duration::from_millis(1)), 3_600);
        assert_eq!(time_to_live(Duration::MAX), 630_720_000);
    }
}
