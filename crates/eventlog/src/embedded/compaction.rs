//! Removes what a newer record of the same key has replaced: looks on the reader's thread, deletes in
//! small steps on the writer's. A replaced record stays replaced, so the two need no common moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use chat4all_sqlite::rusqlite::{Connection, Transaction};

use super::retention::STEP;
use super::tables::{self, PartitionId, Place};
use super::{Inner, unavailable};
use crate::LogError;

impl Inner {
    /// Removes the replaced records of a partition; answers how many. The partition keeps its
    /// start, and the offsets of what stays. Holds every key in memory.
    pub(super) async fn compact(self: &Arc<Self>, id: PartitionId) -> Result<u64, LogError> {
        let mut newest: BTreeMap<Vec<u8>, Place> = BTreeMap::new();
        let (mut removed, mut after) = (0, None);
        loop {
            let look = move |connection: &Connection| tables::keys(connection, id, after, STEP);
            let keys = self.database.read(look).await.map_err(unavailable)?;
            let Some((_, last)) = keys.last() else { return Ok(removed) };
            after = Some(*last);
            let replace = |(key, place)| newest.insert(key, place);
            let replaced: Vec<Place> = keys.into_iter().filter_map(replace).collect();
            if replaced.is_empty() {
                continue;
            }
            let delete = move |transaction: &Transaction<'_>| {
                tables::delete(transaction, &replaced)?;
                Ok(replaced.len() as u64)
            };
            removed += self.write(delete, |_, count| Ok(count)).await?;
        }
    }
}
