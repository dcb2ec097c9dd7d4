//! Brings the schema up to this program: by one process at a time, with several starting at once.
//!
//! Done steps are rows. Who finds one missing takes a lease (a lightweight transaction with a TTL),
//! does what is missing and releases it; the others wait and look again. A process that dies leaves
//! its lease to the TTL and its half-done step to the next one: every statement may be repeated.

use std::collections::BTreeMap;
use std::time::Duration;

use chat4all_process::{ConfigError, Random};
use scylla::client::session::Session;
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use scylla::response::query_result::QueryRowsResult;
use scylla::serialize::row::SerializeRow;
use scylla::statement::unprepared::Statement;
use scylla::statement::{Consistency, SerialConsistency};
use tracing::{info, warn};

use super::error::{ConnectError, no_schema};
use super::schema::{STEPS, Step, steps_table};
use super::settings::CassandraSettings;

/// How long a lease lasts if its holder dies. Steps take seconds; and one that takes longer than
/// the lease is only done twice.
const LEASE_SECONDS: i32 = 60;

/// How often a waiting process looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// How long it waits for the others before its caller has to try again: longer than a lease.
const PATIENCE: Duration = Duration::from_secs(90);

/// How long one change of the schema may take, agreement of all nodes included.
const STEP_TIME_LIMIT: Duration = Duration::from_secs(60);

/// What the recorded steps mean for this program.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// All is done.
    Done,
    /// These are missing.
    Missing(Vec<i32>),
    /// A step that this program does not know has ended its life.
    TooNew { step: i32, oldest_program: i32 },
}

/// Compares the steps that this program knows with those that are recorded, each with its oldest
/// program.
fn standing(known: &[Step], recorded: &BTreeMap<i32, i32>) -> Standing {
    let newest = known.last().map_or(0, |step| step.number);
    if let Some((&step, &oldest_program)) = recorded.iter().find(|(_, oldest)| **oldest > newest) {
        return Standing::TooNew { step, oldest_program };
    }
    let numbers = known.iter().map(|step| step.number);
    let missing: Vec<i32> = numbers.filter(|number| !recorded.contains_key(number)).collect();
    if missing.is_empty() { Standing::Done } else { Standing::Missing(missing) }
}

/// Creates the keyspace if it is missing, and brings its tables up to this program.
///
/// # Errors
/// [`ConnectError::Configuration`] if the schema belongs to a later program or the database refuses
/// a change; otherwise the database is away.
pub(super) async fn migrate(
    session: &Session,
    settings: &CassandraSettings,
    random: &Random,
    section: &str,
) -> Result<(), ConnectError> {
    let migration = Migration { session, settings, section, holder: random.next_u64() as i64 };
    migration.keyspace().await?;
    migration.steps_table().await?;
    let done = tokio::time::timeout(PATIENCE, migration.until_done());
    done.await.unwrap_or_else(|_| {
        let text = "another process is changing the schema".to_owned();
        Err(ConnectError::Away(text))
    })
}

struct Migration<'a> {
    session: &'a Session,
    settings: &'a CassandraSettings,
    section: &'a str,
    holder: i64,
}

impl Migration<'_> {
    async fn until_done(&self) -> Result<(), ConnectError> {
        while !self.missing().await?.is_empty() {
            if self.take_lease().await? {
                let result = self.do_missing().await;
                self.release_lease().await;
                return result;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    async fn do_missing(&self) -> Result<(), ConnectError> {
        // Looked up again: another process may have done it before we had the lease.
        let missing = self.missing().await?;
        for step in STEPS.iter().filter(|step| missing.contains(&step.number)) {
            info!(step = step.number, name = step.name, "changing the schema");
            for statement in step.statements {
                self.change(&statement.replace("{keyspace}", &self.settings.keyspace)).await?;
            }
            let insert = "INSERT INTO {keyspace}.schema_steps (part, number, name, oldest_program) \
                          VALUES ('step', ?, ?, ?)";
            self.ask(insert, (step.number, step.name, step.oldest_program)).await?;
        }
        Ok(())
    }

    async fn missing(&self) -> Result<Vec<i32>, ConnectError> {
        let select =
            "SELECT number, oldest_program FROM {keyspace}.schema_steps WHERE part = 'step'";
        let rows = self.rows(select, ()).await?;
        let rows = rows.rows::<(i32, Option<i32>)>().map_err(|error| self.strange(&error))?;
        let mut recorded = BTreeMap::new();
        for row in rows {
            let (number, oldest_program) = row.map_err(|error| self.strange(&error))?;
            recorded.insert(number, oldest_program.unwrap_or_default());
        }
        match standing(STEPS, &recorded) {
            Standing::Done => Ok(Vec::new()),
            Standing::Missing(missing) => Ok(missing),
            Standing::TooNew { step, oldest_program } => {
                let rule = format!(
                    "has schema step {step}, which needs a program that knows step \
                     {oldest_program}; this one knows step {}",
                    STEPS.last().map_or(0, |step| step.number)
                );
                let fix = "start the later program, or use another keyspace";
                let (key, keyspace) = (self.keyspace_key(), &self.settings.keyspace);
                Err(ConfigError::of(&key, keyspace, rule, fix).into())
            }
        }
    }

    fn keyspace_key(&self) -> String {
        format!("{}.keyspace", self.section)
    }

    /// Whether this process holds the lease now.
    async fn take_lease(&self) -> Result<bool, ConnectError> {
        let insert = "INSERT INTO {keyspace}.schema_steps (part, number, holder) \
                      VALUES ('lease', 0, ?) IF NOT EXISTS USING TTL ?";
        self.is_applied(insert, (self.holder, LEASE_SECONDS)).await
    }

    async fn release_lease(&self) {
        let delete = "DELETE FROM {keyspace}.schema_steps WHERE part = 'lease' AND number = 0 \
                      IF holder = ?";
        if let Err(error) = self.is_applied(delete, (self.holder,)).await {
            warn!(%error, "the lease on the schema ends with its time only");
        }
    }

    async fn is_applied(&self, cql: &str, values: impl SerializeRow) -> Result<bool, ConnectError> {
        let rows = self.rows(cql, values).await?;
        // `[applied]` is the first column, whatever else is answered.
        let mut row = rows
            .first_row::<scylla::value::Row>()
            .map_err(|error| self.strange(&error))?
            .columns
            .into_iter();
        let applied = row.next().flatten().and_then(|value| value.as_boolean());
        applied.ok_or_else(|| self.strange(&"no [applied]"))
    }

    async fn keyspace(&self) -> Result<(), ConnectError> {
        let keyspace = &self.settings.keyspace;
        let select = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?";
        let rows = self.rows(select, (keyspace,)).await?;
        let found = rows
            .maybe_first_row::<(BTreeMap<String, String>,)>()
            .map_err(|error| self.strange(&error))?;
        let Some((replication,)) = found else {
            let replication = self.settings.replication();
            info!(%keyspace, %replication, "creating the keyspace");
            let create = format!("CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = ");
            return self.change(&(create + &replication)).await;
        };
        if plain(&replication) != self.settings.replication_options() {
            warn!(
                %keyspace, found = ?plain(&replication), configured = self.settings.replication(),
                "the keyspace is replicated otherwise than configured; it stays as it is"
            );
        }
        Ok(())
    }

    /// Asked first: whoever only uses the tables needs no right to create any. That a table is
    /// listed would not do: it is, a moment before it can be asked.
    async fn steps_table(&self) -> Result<(), ConnectError> {
        let keyspace = &self.settings.keyspace;
        let select = format!("SELECT number FROM {keyspace}.schema_steps WHERE part = 'step'");
        match self.session.query_unpaged(self.statement(&select), ()).await {
            Ok(_) => Ok(()),
            Err(ExecutionError::LastAttemptError(RequestAttemptError::DbError(
                DbError::Invalid,
                _,
            ))) => self.change(&steps_table(keyspace)).await,
            Err(error) => Err(self.refused(&error)),
        }
    }

    /// Changes the schema and waits until all nodes agree on it.
    async fn change(&self, cql: &str) -> Result<(), ConnectError> {
        self.session
            .query_unpaged(self.statement(cql), ())
            .await
            .map(drop)
            .map_err(|error| self.refused(&error))
    }

    async fn ask(&self, cql: &str, values: impl SerializeRow) -> Result<(), ConnectError> {
        let cql = cql.replace("{keyspace}", &self.settings.keyspace);
        let answer = self.session.query_unpaged(self.statement(&cql), values).await;
        answer.map(drop).map_err(|error| self.refused(&error))
    }

    async fn rows(
        &self,
        cql: &str,
        values: impl SerializeRow,
    ) -> Result<QueryRowsResult, ConnectError> {
        let cql = cql.replace("{keyspace}", &self.settings.keyspace);
        let answer = self.session.query_unpaged(self.statement(&cql), values).await;
        answer
            .map_err(|error| self.refused(&error))?
            .into_rows_result()
            .map_err(|error| self.strange(&error))
    }

    /// Between processes of all data centres, whatever is configured for messages.
    fn statement(&self, cql: &str) -> Statement {
        let mut statement = Statement::new(cql);
        statement.set_consistency(Consistency::LocalQuorum);
        statement.set_serial_consistency(Some(SerialConsistency::Serial));
        statement.set_request_timeout(Some(STEP_TIME_LIMIT));
        statement
    }

    fn refused(&self, error: &ExecutionError) -> ConnectError {
        no_schema(error, self.section)
    }

    /// A table of that name that is none of ours.
    fn strange(&self, error: &dyn std::fmt::Display) -> ConnectError {
        let rule = format!("holds a table schema_steps of another kind: {error}");
        let keyspace = &self.settings.keyspace;
        ConfigError::of(&self.keyspace_key(), keyspace, rule, "use another keyspace").into()
    }
}

/// Replication as it is configured: without the class's package.
fn plain(replication: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let last = |value: &String| value.rsplit('.').next().unwrap_or(value).to_owned();
    replication.iter().map(|(name, value)| (name.clone(), last(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Step] = &[
        Step { number: 1, name: "a", oldest_program: 1, statements: &[] },
        Step { number: 2, name: "b", oldest_program: 1, statements: &[] },
    ];

    fn of(recorded: &[(i32, i32)]) -> Standing {
        standing(KNOWN, &recorded.iter().copied().collect())
    }

    #[test]
    fn missing_steps_are_done_in_order_also_after_a_gap() {
        assert_eq!(of(&[]), Standing::Missing(vec![1, 2]));
        assert_eq!(of(&[(1, 1)]), Standing::Missing(vec![2]));
        assert_eq!(of(&[(2, 1)]), Standing::Missing(vec![1]));
        assert_eq!(of(&[(1, 1), (2, 1)]), Standing::Done);
    }

    #[test]
    fn a_later_schema_is_refused_only_if_it_needs_a_later_program() {
        assert_eq!(of(&[(1, 1), (2, 1), (3, 2)]), Standing::Done);
        let too_new = Standing::TooNew { step: 3, oldest_program: 3 };
        assert_eq!(of(&[(1, 1), (2, 1), (3, 3)]), too_new);
        assert_eq!(of(&[(3, 3)]), too_new);
    }

    #[test]
    fn replication_is_compared_without_its_package() {
        let text = |text: &str| text.to_owned();
        let found = BTreeMap::from([
            (text("class"), text("org.apache.cassandra.locator.SimpleStrategy")),
            (text("replication_factor"), text("1")),
        ]);
        assert_eq!(plain(&found), CassandraSettings::default().replication_options());
    }
}
