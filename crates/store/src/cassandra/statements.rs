//! Every statement, prepared once.
//!
//! Each names one partition, so the driver asks a node that holds it. None reads before it writes,
//! filters, or deletes.

use std::collections::BTreeMap;

use scylla::client::session::Session;
use scylla::errors::PrepareError;
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};

use super::parts::Column;
use super::settings::ClaimScope;

/// The statements, by what they do.
pub(super) struct Statements {
    pub put_content: PreparedStatement,
    pub put_part: BTreeMap<Column, PreparedStatement>,
    pub put_month: PreparedStatement,
    pub months: PreparedStatement,
    pub page: PreparedStatement,
    pub one: PreparedStatement,
    pub of_message: PlaceStatements,
    pub of_external: PlaceStatements,
    /// Only the row's side of a message's meeting place.
    pub address: PreparedStatement,
    pub note_open: PreparedStatement,
    pub note_settled: PreparedStatement,
    pub open: PreparedStatement,
    pub claim: PreparedStatement,
    pub replace_claim: PreparedStatement,
    pub check: PreparedStatement,
    pub letters: LetterStatements,
}

/// The statements on dead letters and operators' commands.
pub(super) struct LetterStatements {
    pub put: PreparedStatement,
    pub put_hour: PreparedStatement,
    pub put_ref: PreparedStatement,
    pub put_raw: PreparedStatement,
    pub discard: PreparedStatement,
    pub redrive: PreparedStatement,
    pub place: PreparedStatement,
    pub one: PreparedStatement,
    pub hours: PreparedStatement,
    pub in_order: PreparedStatement,
    pub raw: PreparedStatement,
    pub put_audit: PreparedStatement,
    pub audit: PreparedStatement,
}

/// The statements on one kind of meeting places.
pub(super) struct PlaceStatements {
    pub arrive_row: PreparedStatement,
    pub arrive_report: PreparedStatement,
    pub look: PreparedStatement,
}

/// The columns that `messages::stored` reads.
const SHOWN: &str = "accepted_at, message_id, content, generation, delivered_at, read_at, sent, \
                     failed, rejected, unknown";

const ROW: &str = "tenant = ? AND conversation_id = ? AND month = ? AND accepted_at = ? \
                   AND message_id = ?";

impl Statements {
    /// Prepares all of them.
    pub(super) async fn prepare(
        session: &Session,
        keyspace: &str,
        claims: ClaimScope,
    ) -> Result<Self, PrepareError> {
        let prepare = Prepare { session, keyspace, claims };
        let mut put_part = BTreeMap::new();
        for column in Column::ALL {
            let set = column.name();
            let cql = format!("UPDATE {{}}.messages USING TIMESTAMP ? SET {set} = ? WHERE {ROW}");
            put_part.insert(column, prepare.write(&cql).await?);
        }
        let put_content =
            format!("UPDATE {{}}.messages USING TIMESTAMP ? SET content = content + ? WHERE {ROW}");
        let page = format!(
            "SELECT {SHOWN} FROM {{}}.messages WHERE tenant = ? AND conversation_id = ? \
             AND month = ? AND (accepted_at, message_id) < (?, ?) LIMIT ?"
        );
        let put_month = "INSERT INTO {}.conversation_months (tenant, conversation_id, month) \
                         VALUES (?, ?, ?)";
        let months = "SELECT month FROM {}.conversation_months \
                      WHERE tenant = ? AND conversation_id = ? AND month <= ?";
        let address = "SELECT DISTINCT tenant, message_id, address FROM {}.message_ref \
                       WHERE tenant = ? AND message_id = ?";
        let note_open = "INSERT INTO {}.open_messages (tenant, hour, shard, due, message_id, \
                         generation, conversation_id, accepted_at) \
                         VALUES (?, ?, ?, ?, ?, ?, ?, ?) USING TTL ?";
        let note_settled = "UPDATE {}.open_messages USING TTL ? SET settled = true \
                            WHERE tenant = ? AND hour = ? AND shard = ? AND due = ? \
                            AND message_id = ? AND generation = ?";
        let open = "SELECT due, message_id, generation, conversation_id, accepted_at, settled \
                    FROM {}.open_messages WHERE tenant = ? AND hour = ? AND shard = ? \
                    AND (due, message_id, generation) > (?, ?, ?) LIMIT ?";
        let claim = "INSERT INTO {}.claims (tenant, kind, key, message_id, accepted_at, \
                     expires_at, account, body_hash, kept_until, attempt) \
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS USING TTL ?";
        let replace_claim = "UPDATE {}.claims USING TTL ? SET message_id = ?, accepted_at = ?, \
                             expires_at = ?, account = ?, body_hash = ?, kept_until = ?, \
                             attempt = ? WHERE tenant = ? AND kind = ? AND key = ? IF attempt = ?";
        Ok(Self {
            put_content: prepare.write(&put_content).await?,
            put_part,
            put_month: prepare.write(put_month).await?,
            months: prepare.read(months).await?,
            page: prepare.read(&page).await?,
            one: prepare.read(&format!("SELECT {SHOWN} FROM {{}}.messages WHERE {ROW}")).await?,
            of_message: prepare.place("message_ref", "tenant = ? AND message_id = ?").await?,
            of_external: prepare
                .place(
                    "external_ref",
                    "tenant = ? AND platform = ? AND account = ? AND external_id = ?",
                )
                .await?,
            address: prepare.read(address).await?,
            note_open: prepare.write(note_open).await?,
            note_settled: prepare.write(note_settled).await?,
            open: prepare.read(open).await?,
            claim: prepare.decide(claim).await?,
            replace_claim: prepare.decide(replace_claim).await?,
            check: prepare
                .read("SELECT number FROM {}.schema_steps WHERE part = 'step' LIMIT 1")
                .await?,
            letters: LetterStatements::prepare(&prepare).await?,
        })
    }
}

/// The columns that `letters::stored` reads.
const LETTER: &str = "accepted_at, letter_id, letter, discarded, redriven";

impl LetterStatements {
    async fn prepare(prepare: &Prepare<'_>) -> Result<Self, PrepareError> {
        let key = "tenant = ? AND hour = ? AND accepted_at = ? AND letter_id = ?";
        let set = |column: &str| {
            format!("UPDATE {{}}.letters USING TTL ? AND TIMESTAMP ? SET {column} = ? WHERE {key}")
        };
        let reference = |column: &str| {
            format!(
                "UPDATE {{}}.letter_ref USING TTL ? AND TIMESTAMP ? SET {column} = ? \
                 WHERE tenant = ? AND letter_id = ?"
            )
        };
        let put_hour =
            "INSERT INTO {}.letter_hours (tenant, hour) VALUES (?, ?) USING TTL ? AND TIMESTAMP ?";
        let by_id = "FROM {}.letter_ref WHERE tenant = ? AND letter_id = ?";
        let hours = "SELECT hour FROM {}.letter_hours WHERE tenant = ? AND hour >= ? \
                     AND hour <= ? LIMIT ?";
        let in_order = format!(
            "SELECT {LETTER} FROM {{}}.letters WHERE tenant = ? AND hour = ? \
             AND (accepted_at, letter_id) > (?, ?) AND (accepted_at) < (?) LIMIT ?"
        );
        let put_audit = "UPDATE {}.audit USING TTL ? AND TIMESTAMP ? SET command = ? \
                         WHERE tenant = ? AND month = ? AND at = ? AND id = ?";
        let audit = "SELECT at, id, command FROM {}.audit WHERE tenant = ? AND month = ? \
                     AND (at, id) < (?, ?) LIMIT ?";
        Ok(Self {
            put: prepare.write(&set("letter")).await?,
            put_hour: prepare.write(put_hour).await?,
            put_ref: prepare.write(&reference("accepted_at")).await?,
            put_raw: prepare.write(&reference("raw")).await?,
            discard: prepare.write(&set("discarded")).await?,
            redrive: prepare.write(&set("redriven")).await?,
            place: prepare.read(&format!("SELECT accepted_at {by_id}")).await?,
            one: prepare.read(&format!("SELECT {LETTER} FROM {{}}.letters WHERE {key}")).await?,
            hours: prepare.read(hours).await?,
            in_order: prepare.read(&in_order).await?,
            raw: prepare.read(&format!("SELECT raw {by_id}")).await?,
            put_audit: prepare.write(put_audit).await?,
            audit: prepare.read(audit).await?,
        })
    }
}

struct Prepare<'a> {
    session: &'a Session,
    keyspace: &'a str,
    claims: ClaimScope,
}

impl Prepare<'_> {
    async fn statement(&self, cql: &str) -> Result<PreparedStatement, PrepareError> {
        let mut statement = self.session.prepare(cql.replace("{}", self.keyspace)).await?;
        statement.set_consistency(Consistency::LocalQuorum);
        Ok(statement)
    }

    /// An upsert whose data says which write wins: repeating it changes nothing.
    async fn write(&self, cql: &str) -> Result<PreparedStatement, PrepareError> {
        let mut statement = self.statement(cql).await?;
        statement.set_is_idempotent(true);
        Ok(statement)
    }

    async fn read(&self, cql: &str) -> Result<PreparedStatement, PrepareError> {
        let mut statement = self.write(cql).await?;
        // Columns are named one by one, so a later schema does not change what is answered.
        statement.set_use_cached_result_metadata(true);
        Ok(statement)
    }

    /// A lightweight transaction: never repeated by the driver.
    async fn decide(&self, cql: &str) -> Result<PreparedStatement, PrepareError> {
        let mut statement = self.statement(cql).await?;
        statement.set_is_idempotent(false);
        statement.set_serial_consistency(Some(match self.claims {
            ClaimScope::LocalDatacenter => SerialConsistency::LocalSerial,
            ClaimScope::Cluster => SerialConsistency::Serial,
        }));
        Ok(statement)
    }

    async fn place(&self, table: &str, key: &str) -> Result<PlaceStatements, PrepareError> {
        let arrive_row =
            format!("UPDATE {{}}.{table} USING TIMESTAMP ? SET address = ? WHERE {key}");
        let arrive_report = format!(
            "UPDATE {{}}.{table} USING TTL ? AND TIMESTAMP ? SET kept_until = ? \
             WHERE {key} AND report = ?"
        );
        let look = format!("SELECT address, report, kept_until FROM {{}}.{table} WHERE {key}");
        Ok(PlaceStatements {
            arrive_row: self.write(&arrive_row).await?,
            arrive_report: self.write(&arrive_report).await?,
            look: self.read(&look).await?,
        })
    }
}
