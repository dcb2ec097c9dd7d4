//! What operators did, from month to month.

use std::time::Duration;

use super::CassandraStore;
use super::meetings::time_to_live;
use super::month::month;
use super::parts::{self, ms};
use super::requests::unreadable;
use crate::StoreError;
use crate::letters::{AUDIT_KEPT, AuditPlace, AuditRecord};

/// By, action, why, selection, selected, done.
type Command<'a> = (&'a str, &'a str, Option<&'a str>, &'a str, i64, Option<i64>);

/// The months that may hold what is still kept: an end within a month counts as one.
const MONTHS: u64 = AUDIT_KEPT.as_secs() / (28 * 24 * 60 * 60) + 2;

impl CassandraStore {
    pub(super) async fn put_command(
        &self,
        tenant: &str,
        record: &AuditRecord,
        keep: Duration,
    ) -> Result<(), StoreError> {
        let command: Command<'_> = (
            &record.by,
            &record.action,
            record.why.as_deref(),
            &record.selection,
            i64::from(record.selected),
            record.done.map(i64::from),
        );
        let at = (month(record.at), ms(record.at));
        let timestamp = self.ticks.next().last_wins();
        let values = (time_to_live(keep), timestamp, command, tenant, at.0, at.1, &record.id);
        self.requests.write(&self.statements.letters.put_audit, values).await
    }

    /// Looks back as far as commands are kept, newest first.
    pub(super) async fn commands(
        &self,
        tenant: &str,
        before: &AuditPlace,
        limit: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let mut found = Vec::new();
        let mut month = month(before.at);
        for _ in 0..MONTHS {
            let rows = (limit - found.len()) as i32;
            let from = (tenant, month, ms(before.at), &before.id, rows);
            let answer = self.requests.read(&self.statements.letters.audit, from).await?;
            let rows = answer.rows::<(i64, &str, Option<Command<'_>>)>();
            for row in rows.map_err(|_| unreadable("audit"))? {
                let (at, id, command) = row.map_err(|_| unreadable("audit"))?;
                let Some(command) = command else { continue };
                found.push(record(at, id, command).ok_or_else(|| unreadable("audit"))?);
            }
            if found.len() >= limit {
                break;
            }
            month = if month % 100 == 1 { month - 89 } else { month - 1 };
        }
        Ok(found)
    }
}

fn record(at: i64, id: &str, command: Command<'_>) -> Option<AuditRecord> {
    let (by, action, why, selection, selected, done) = command;
    Some(AuditRecord {
        at: parts::time(at)?,
        id: id.to_owned(),
        by: by.to_owned(),
        action: action.to_owned(),
        why: why.map(str::to_owned),
        selection: selection.to_owned(),
        selected: u32::try_from(selected).ok()?,
        done: done.map(u32::try_from).transpose().ok()?,
    })
}
