//! The store in Apache Cassandra or ScyllaDB: for services that are processes of their own.
//!
//! Concurrent writers are merged by the database itself: every status is a cell whose write
//! timestamp comes from the report, so nothing is read before it is written, and repeating a write
//! changes nothing (docs/adr/0011). Only claims need an agreement, by a lightweight transaction.
//! Every call is bounded in time, and all of them together in number.

mod audit;
mod claims;
mod error;
mod letters;
mod limiter;
mod meetings;
mod messages;
mod migrations;
mod month;
mod open;
mod order;
mod parts;
mod requests;
mod schema;
mod settings;
mod statements;
mod tls;

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use chat4all_contracts::{ConversationId, EpochMs, Generation, Message, MessageId, StatusState};
use chat4all_process::{Clock, ConfigError, Random};
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::policies::load_balancing::{DefaultPolicy, LoadBalancingPolicy};
use scylla::statement::Consistency;
use secrecy::ExposeSecret;
use tracing::info;

pub use self::error::ConnectError;
pub use self::settings::{CassandraSettings, CassandraTls, ClaimScope};

use self::claims::Queues;
use self::error::{no_session, no_statement};
use self::month::KnownMonths;
use self::open::SettledParts;
use self::order::Ticks;
use self::requests::Requests;
use self::statements::Statements;
use crate::letters::LetterStore;
use crate::port::Answer;
use crate::{
    Claim, ClaimKey, Cursor, Meeting, MeetingPlace, MessageStore, OpenPage, OpenPlace, Page,
    RowAddress, Shards, StoreError, StoredMessage, Tenant,
};

type CqlType<'a> = scylla::cluster::metadata::ColumnType<'a>;

/// Where the settings stand in every service's configuration.
const SECTION: &str = "cassandra";

/// How often an idle connection is tried, and how long it may then be silent. A node that was cut
/// off without a word is left within twice this.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// The store in Cassandra.
pub struct CassandraStore {
    requests: Requests,
    statements: Statements,
    ticks: Ticks,
    random: Random,
    known_months: KnownMonths,
    claim_queues: Queues,
    settled_parts: SettledParts,
    clock: Clock,
}

impl CassandraStore {
    /// Connects, brings the schema up to this program and prepares every statement.
    ///
    /// # Errors
    /// [`ConnectError::Away`] while the database is away: try again. [`ConnectError::Configuration`]
    /// if that will not help.
    pub async fn connect(
        settings: &CassandraSettings,
        clock: Clock,
        random: Random,
    ) -> Result<Arc<Self>, ConnectError> {
        settings.validate(SECTION)?;
        let session = session(settings).await?;
        check_data_center(&session, settings)?;
        migrations::migrate(&session, settings, &random, SECTION).await?;
        // Another process may have made the tables just now: every node must know them, and the
        // driver too, which asks the right nodes only for tables that it knows.
        let away = |error: &dyn std::fmt::Display| ConnectError::Away(error.to_string());
        session.await_schema_agreement().await.map_err(|error| away(&error))?;
        session.refresh_metadata().await.map_err(|error| away(&error))?;
        let statements = Statements::prepare(&session, &settings.keyspace, settings.claims)
            .await
            .map_err(|error| no_statement(&error, SECTION))?;
        let nodes = session.get_cluster_state().get_nodes_info().len();
        info!(nodes, keyspace = %settings.keyspace, "connected to Cassandra");
        let max_in_flight = settings.max_in_flight.count();
        Ok(Arc::new(Self {
            requests: Requests::new(session, max_in_flight, settings.request_timeout_ms.ms()),
            statements,
            ticks: Ticks::new(clock.clone()),
            random,
            known_months: KnownMonths::default(),
            claim_queues: Queues::new(),
            settled_parts: SettledParts::default(),
            clock,
        }))
    }

    fn call<'a, T: 'a>(
        &'a self,
        call: impl Future<Output = Result<T, StoreError>> + Send + 'a,
    ) -> Answer<'a, T> {
        Box::pin(self.requests.within_limit(ready(()), call))
    }
}

async fn session(settings: &CassandraSettings) -> Result<Session, ConnectError> {
    let profile = ExecutionProfile::builder()
        .consistency(Consistency::LocalQuorum)
        .request_timeout(Some(settings.request_timeout_ms.ms()))
        .load_balancing_policy(policy(settings))
        .build();
    let mut builder = SessionBuilder::new()
        .known_nodes(&settings.contact_points)
        .connection_timeout(settings.connect_timeout_ms.ms())
        .keepalive_interval(KEEPALIVE)
        .keepalive_timeout(KEEPALIVE)
        // All that routing needs, and of our tables only.
        .keyspaces_to_fetch([&settings.keyspace])
        .fetch_full_schema_metadata(false)
        .default_execution_profile_handle(profile.into_handle());
    if let (Some(username), Some(password)) = (&settings.username, &settings.password) {
        builder = builder.user(username, password.expose_secret());
    }
    if settings.tls.enabled {
        builder = builder.tls_context(Some(Arc::new(tls::client(&settings.tls, SECTION)?)));
    }
    builder.build().await.map_err(|error| no_session(&error, SECTION))
}

/// Token-aware, and never in another data centre: a claim decided there would be decided twice.
fn policy(settings: &CassandraSettings) -> Arc<dyn LoadBalancingPolicy> {
    let policy = DefaultPolicy::builder().token_aware(true).permit_dc_failover(false);
    match &settings.local_datacenter {
        Some(name) => policy.prefer_datacenter(name.clone()).build(),
        None => policy.build(),
    }
}

/// `local` means nothing without a data centre that is there.
fn check_data_center(session: &Session, settings: &CassandraSettings) -> Result<(), ConfigError> {
    let state = session.get_cluster_state();
    let nodes = state.get_nodes_info().iter();
    let mut names: Vec<&str> = nodes.filter_map(|node| node.datacenter.as_deref()).collect();
    names.sort_unstable();
    names.dedup();
    data_center_among(&names, settings.local_datacenter.as_deref())
}

fn data_center_among(names: &[&str], local: Option<&str>) -> Result<(), ConfigError> {
    let key = format!("{SECTION}.local_datacenter");
    let known = names.join(", ");
    match local {
        Some(name) if !names.contains(&name) => {
            let rule = format!("must be a data centre of the cluster: {known}");
            Err(ConfigError::of(&key, name, rule, "write one of them"))
        }
        None if names.len() > 1 => {
            let rule = format!("is required: the cluster has the data centres {known}");
            Err(ConfigError::missing(&key, rule, "write the one that this service runs in"))
        }
        _ => Ok(()),
    }
}

impl MessageStore for CassandraStore {
    fn put_message<'a>(&'a self, tenant: &'a Tenant, message: &'a Message) -> Answer<'a, ()> {
        self.call(self.put(&tenant.0, message))
    }

    fn merge_status<'a>(
        &'a self,
        tenant: &'a Tenant,
        row: &'a RowAddress,
        reports: &'a StatusState,
    ) -> Answer<'a, ()> {
        self.call(self.merge(&tenant.0, row, reports))
    }

    fn arrive_row<'a>(
        &'a self,
        tenant: &'a Tenant,
        place: &'a MeetingPlace,
        row: &'a RowAddress,
    ) -> Answer<'a, ()> {
        self.call(self.put_address(&tenant.0, place, row))
    }

    fn arrive_report<'a>(
        &'a self,
        tenant: &'a Tenant,
        place: &'a MeetingPlace,
        reports: &'a StatusState,
        now: EpochMs,
        keep: Duration,
    ) -> Answer<'a, ()> {
        self.call(self.put_reports(&tenant.0, place, reports, now, keep))
    }

    fn look<'a>(
        &'a self,
        tenant: &'a Tenant,
        place: &'a MeetingPlace,
        now: EpochMs,
    ) -> Answer<'a, Meeting> {
        self.call(self.look_at(&tenant.0, place, now))
    }

    fn message<'a>(
        &'a self,
        tenant: &'a Tenant,
        id: &'a MessageId,
    ) -> Answer<'a, Option<StoredMessage>> {
        self.call(self.by_id(&tenant.0, id))
    }

    fn page<'a>(
        &'a self,
        tenant: &'a Tenant,
        conversation: &'a ConversationId,
        after: Option<&'a Cursor>,
        limit: usize,
    ) -> Answer<'a, Page> {
        self.call(self.page_of(&tenant.0, conversation, after, limit))
    }

    fn claim<'a>(
        &'a self,
        tenant: &'a Tenant,
        key: &'a ClaimKey,
        claim: &'a Claim,
        now: EpochMs,
        keep: Duration,
    ) -> Answer<'a, Option<Claim>> {
        let queue = self.claim_queues.turn(&tenant.0, key);
        Box::pin(self.requests.within_limit(queue, self.take(&tenant.0, key, claim, now, keep)))
    }

    fn letters(&self) -> &dyn LetterStore {
        self
    }

    fn note_open<'a>(
        &'a self,
        tenant: &'a Tenant,
        message: &'a Message,
        due: EpochMs,
        now: EpochMs,
    ) -> Answer<'a, ()> {
        self.call(self.put_open(&tenant.0, message, due, now))
    }

    fn note_settled<'a>(
        &'a self,
        tenant: &'a Tenant,
        id: &'a MessageId,
        generation: Generation,
        due: EpochMs,
        now: EpochMs,
    ) -> Answer<'a, ()> {
        self.call(self.put_settled(&tenant.0, (due, id, generation), now))
    }

    fn open<'a>(
        &'a self,
        tenant: &'a Tenant,
        shards: Shards,
        after: &'a OpenPlace,
        until: EpochMs,
        limit: usize,
    ) -> Answer<'a, OpenPage> {
        self.call(self.open_of(&tenant.0, shards, after, until, limit))
    }

    /// What ends has a TTL: the database forgets it.
    fn sweep(&self, _: EpochMs) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn check(&self) -> Answer<'_, ()> {
        let check = async {
            let rows = self.requests.read(&self.statements.check, ()).await?;
            rows.maybe_first_row::<(i32,)>()
                .map(drop)
                .map_err(|_| requests::unreadable("schema_steps"))
        };
        Box::pin(self.requests.at_once(check))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_center_must_be_there_and_be_named_where_there_are_several() {
        assert_eq!(data_center_among(&["dc1"], None), Ok(()));
        assert_eq!(data_center_among(&["dc1", "dc2"], Some("dc2")), Ok(()));
        assert_eq!(data_center_among(&[], None), Ok(()));
        let error = data_center_among(&["dc1"], Some("dc2")).unwrap_err();
        assert_eq!(error.key, "cassandra.local_datacenter");
        assert!(error.rule.ends_with("dc1"));
        let error = data_center_among(&["dc1", "dc2"], None).unwrap_err();
        assert!(error.rule.ends_with("dc1, dc2"));
    }
}
