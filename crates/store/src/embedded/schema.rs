//! The tables. Every key begins with the tenant.

/// Run at every opening.
///
/// * `messages` keeps its rows in the order of writing, so content is appended to the file; its
///   keys are in the indexes. A row that only statuses have reached has no content. A cell is one
///   text, see `row`.
/// * `messages_shown` is what a page reads: a conversation in its order, and only what is shown.
/// * `meetings` holds both kinds of places. That of a message has the platform and account `''`,
///   which no platform and no account can be called.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS probe (id INTEGER PRIMARY KEY, writes INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS messages (
    tenant TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    accepted_at INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    sender_id TEXT,
    receiver_id TEXT,
    content TEXT,
    file_id TEXT,
    account TEXT,
    expires_at INTEGER,
    content_generation INTEGER,
    generation INTEGER NOT NULL,
    delivered_at INTEGER,
    read_at INTEGER,
    sent TEXT,
    failed TEXT,
    rejected TEXT,
    unknown TEXT,
    PRIMARY KEY (tenant, conversation_id, accepted_at, message_id)
);
CREATE INDEX IF NOT EXISTS messages_shown
    ON messages (tenant, conversation_id, accepted_at, message_id) WHERE content IS NOT NULL;

CREATE TABLE IF NOT EXISTS meetings (
    tenant TEXT NOT NULL,
    platform TEXT NOT NULL,
    account TEXT NOT NULL,
    id TEXT NOT NULL,
    conversation_id TEXT,
    accepted_at INTEGER,
    message_id TEXT,
    early_end INTEGER,
    generation INTEGER,
    delivered_at INTEGER,
    read_at INTEGER,
    sent TEXT,
    failed TEXT,
    rejected TEXT,
    unknown TEXT,
    PRIMARY KEY (tenant, platform, account, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS meetings_early
    ON meetings (early_end) WHERE early_end IS NOT NULL;

CREATE TABLE IF NOT EXISTS claims (
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    message_id TEXT NOT NULL,
    accepted_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    account TEXT NOT NULL,
    body_hash BLOB NOT NULL,
    kept_until INTEGER NOT NULL,
    PRIMARY KEY (tenant, kind, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS claims_end ON claims (kept_until);
";

/// Changes one row: whether writing works.
pub(super) const PROBE: &str = "INSERT INTO probe (id, writes) VALUES (1, 1)
     ON CONFLICT (id) DO UPDATE SET writes = writes + 1";
