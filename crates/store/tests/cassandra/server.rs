//! The server of `cargo xtask stack up`, and a store of a test's own in it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use chat4all_contracts::{
    ConversationId, EpochMs, Generation, LetterId, Message, MessageId, StatusState,
};
use chat4all_process::config::Bounded;
use chat4all_process::{Clock, Random};
use chat4all_store::cassandra::{CassandraSettings, CassandraStore};
use chat4all_store::letters::{
    AuditPlace, AuditRecord, Letter, LetterPlace, LetterSpan, LetterStore, Mark, StoredLetter,
    Verdict,
};
use chat4all_store::port::Answer;
use chat4all_store::{
    Claim, ClaimKey, Cursor, Meeting, MeetingPlace, MessageStore, OpenPage, OpenPlace, Page,
    RowAddress, Shards, StoredMessage, Tenant,
};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use tokio::sync::OnceCell;

/// How often a trace is asked for before a test fails.
const TRACE_LOOKS: NonZeroU32 = NonZeroU32::new(150).unwrap();

/// Where most tests are: made anew by each run.
pub const KEYSPACE: &str = "chat4all_test";

/// The server's address.
pub fn address() -> String {
    std::env::var("CHAT4ALL_STACK_CASSANDRA").unwrap_or_else(|_| "127.0.0.1:19042".to_owned())
}

/// A name that nothing else has.
pub fn unique() -> String {
    format!("t{:016x}", Random::system().next_u64())
}

pub fn settings(keyspace: &str) -> CassandraSettings {
    CassandraSettings {
        contact_points: vec![address()],
        keyspace: keyspace.to_owned(),
        // A busy machine is no error; tests of the limit have their own.
        request_timeout_ms: Bounded::new(30_000),
        ..Default::default()
    }
}

/// What an operator sees.
pub async fn operator() -> Session {
    let session = SessionBuilder::new()
        .known_node(address())
        // Cassandra writes a trace when it finds the time: on a busy machine, seconds later.
        .tracing_info_fetch_attempts(TRACE_LOOKS)
        .tracing_info_fetch_interval(Duration::from_millis(200))
        .build()
        .await;
    session.expect("the server answers: cargo xtask stack up")
}

pub async fn drop_keyspace(keyspace: &str) {
    let drop = format!("DROP KEYSPACE IF EXISTS {keyspace}");
    operator().await.query_unpaged(drop, ()).await.unwrap();
}

/// A store in [`KEYSPACE`].
pub async fn connect() -> Arc<CassandraStore> {
    static EMPTIED: OnceCell<()> = OnceCell::const_new();
    EMPTIED.get_or_init(|| drop_keyspace(KEYSPACE)).await;
    open(&settings(KEYSPACE)).await
}

pub async fn open(settings: &CassandraSettings) -> Arc<CassandraStore> {
    CassandraStore::connect(settings, Clock::system(), Random::system()).await.unwrap()
}

/// Tenants of another name: a store without any data, beside others in one keyspace.
pub struct Apart {
    pub store: Arc<CassandraStore>,
    pub prefix: String,
}

macro_rules! forward {
    ($self:ident, $tenant:ident, $method:ident($($argument:expr),*)) => {{
        let tenant = Tenant(format!("{}-{}", $self.prefix, $tenant.0).into());
        Box::pin(async move { $self.store.$method(&tenant, $($argument),*).await })
    }};
}

impl MessageStore for Apart {
    fn put_message<'a>(&'a self, tenant: &'a Tenant, message: &'a Message) -> Answer<'a, ()> {
        forward!(self, tenant, put_message(message))
    }

    fn merge_status<'a>(
        &'a self,
        tenant: &'a Tenant,
        row: &'a RowAddress,
        reports: &'a StatusState,
    ) -> Answer<'a, ()> {
        forward!(self, tenant, merge_status(row, reports))
    }

    fn arrive_row<'a>(
        &'a self,
        tenant: &'a Tenant,
        place: &'a MeetingPlace,
        row: &'a RowAddress,
    ) -> Answer<'a, ()> {
        forward!(self, tenant, arrive_row(place, row))
    }

    fn arrive_report<'a>(
        &'a self,
        tenant: &'a Tenant,
        place: &'a MeetingPlace,
        reports: &'a StatusState,
        now: EpochMs,
        keep: Duration,
    ) -> Answer<'a, ()> {
        forward!(self, tenant, arrive_report(place, reports, now, keep))
    }

    fn look<'a>(
        &'a self,
        tenant: &'a Tenant,
        place: &'a MeetingPlace,
        now: EpochMs,
    ) -> Answer<'a, Meeting> {
        forward!(self, tenant, look(place, now))
    }

    fn message<'a>(
        &'a self,
        tenant: &'a Tenant,
        id: &'a MessageId,
    ) -> Answer<'a, Option<StoredMessage>> {
        forward!(self, tenant, message(id))
    }

    fn page<'a>(
        &'a self,
        tenant: &'a Tenant,
        conversation: &'a ConversationId,
        after: Option<&'a Cursor>,
        limit: usize,
    ) -> Answer<'a, Page> {
        forward!(self, tenant, page(conversation, after, limit))
    }

    fn claim<'a>(
        &'a self,
        tenant: &'a Tenant,
        key: &'a ClaimKey,
        claim: &'a Claim,
        now: EpochMs,
        keep: Duration,
    ) -> Answer<'a, Option<Claim>> {
        forward!(self, tenant, claim(key, claim, now, keep))
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
        forward!(self, tenant, note_open(message, due, now))
    }

    fn note_settled<'a>(
        &'a self,
        tenant: &'a Tenant,
        id: &'a MessageId,
        generation: Generation,
        due: EpochMs,
        now: EpochMs,
    ) -> Answer<'a, ()> {
        forward!(self, tenant, note_settled(id, generation, due, now))
    }

    fn open<'a>(
        &'a self,
        tenant: &'a Tenant,
        shards: Shards,
        after: &'a OpenPlace,
        until: EpochMs,
        limit: usize,
    ) -> Answer<'a, OpenPage> {
        forward!(self, tenant, open(shards, after, until, limit))
    }

    fn sweep(&self, now: EpochMs) -> Answer<'_, ()> {
        self.store.sweep(now)
    }

    fn check(&self) -> Answer<'_, ()> {
        self.store.check()
    }
}

macro_rules! forward_letters {
    ($self:ident, $tenant:ident, $method:ident($($argument:expr),*)) => {{
        let tenant = Tenant(format!("{}-{}", $self.prefix, $tenant.0).into());
        Box::pin(async move { $self.store.letters().$method(&tenant, $($argument),*).await })
    }};
}

impl LetterStore for Apart {
    fn put_letter<'a>(
        &'a self,
        tenant: &'a Tenant,
        letter: &'a Letter,
        raw: Option<&'a [u8]>,
        now: EpochMs,
        keep: Duration,
    ) -> Answer<'a, ()> {
        forward_letters!(self, tenant, put_letter(letter, raw, now, keep))
    }

    fn letter<'a>(
        &'a self,
        tenant: &'a Tenant,
        id: &'a LetterId,
    ) -> Answer<'a, Option<StoredLetter>> {
        forward_letters!(self, tenant, letter(id))
    }

    fn letter_raw<'a>(
        &'a self,
        tenant: &'a Tenant,
        id: &'a LetterId,
    ) -> Answer<'a, Option<Vec<u8>>> {
        forward_letters!(self, tenant, letter_raw(id))
    }

    fn letters_in_order<'a>(
        &'a self,
        tenant: &'a Tenant,
        span: LetterSpan,
        after: Option<&'a LetterPlace>,
        limit: usize,
    ) -> Answer<'a, Vec<StoredLetter>> {
        forward_letters!(self, tenant, letters_in_order(span, after, limit))
    }

    fn mark_letter<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a LetterPlace,
        verdict: Verdict,
        mark: &'a Mark,
        keep: Duration,
    ) -> Answer<'a, ()> {
        forward_letters!(self, tenant, mark_letter(at, verdict, mark, keep))
    }

    fn put_audit<'a>(
        &'a self,
        tenant: &'a Tenant,
        record: &'a AuditRecord,
        keep: Duration,
    ) -> Answer<'a, ()> {
        forward_letters!(self, tenant, put_audit(record, keep))
    }

    fn audit<'a>(
        &'a self,
        tenant: &'a Tenant,
        before: &'a AuditPlace,
        limit: usize,
    ) -> Answer<'a, Vec<AuditRecord>> {
        forward_letters!(self, tenant, audit(before, limit))
    }
}
