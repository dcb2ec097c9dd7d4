//! The tables. Every key begins with the tenant.

/// Whether a row is a message without an outcome: [`crate::open::is_open`] of its status, as a
/// condition. A cell begins with its generation, and one of an earlier life does not count. `CASE`,
/// because SQLite does not recognise a comparison as that of its index.
macro_rules! is_open {
    () => {
        "content IS NOT NULL AND delivered_at IS NULL AND read_at IS NULL \
         AND CASE WHEN sent IS NULL THEN 1 ELSE CAST(sent AS INTEGER) < generation END \
         AND CASE WHEN failed IS NULL THEN 1 ELSE CAST(failed AS INTEGER) < generation END \
         AND CASE WHEN rejected IS NULL THEN 1 ELSE CAST(rejected AS INTEGER) < generation END"
    };
}
pub(super) use is_open;

/// Run at every opening.
///
/// * `messages` keeps its rows in the order of writing, so content is appended to the file; its
///   keys are in the indexes. A row that only statuses have reached has no content. A cell is one
///   text, see `row`.
/// * `messages_shown` is what a page reads: a conversation in its order, and only what is shown.
/// * `messages_open` is what has no outcome, in the order of the ends of life.
/// * `meetings` holds both kinds of places. That of a message has the platform and account `''`,
///   which no platform and no account can be called.
/// * `letters` keeps a letter under its id; `letters_in_order` is what a list reads. `audit` holds
///   what operators did, by its time.
pub(super) const SCHEMA: &str = concat!(
    "
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
CREATE INDEX IF NOT EXISTS messages_open ON messages (tenant, expires_at, message_id) WHERE ",
    is_open!(),
    ";

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

CREATE TABLE IF NOT EXISTS letters (
    tenant TEXT NOT NULL,
    letter_id TEXT NOT NULL,
    accepted_at INTEGER NOT NULL,
    topic TEXT NOT NULL,
    at_partition INTEGER NOT NULL,
    at_offset INTEGER NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    platform TEXT,
    account TEXT,
    conversation_id TEXT,
    given_up_at INTEGER NOT NULL,
    attempts INTEGER,
    raw BLOB,
    discarded_at INTEGER,
    discarded_by TEXT,
    discarded_why TEXT,
    discarded_audit TEXT,
    redriven_at INTEGER,
    redriven_by TEXT,
    redriven_why TEXT,
    redriven_audit TEXT,
    kept_until INTEGER NOT NULL,
    PRIMARY KEY (tenant, letter_id)
);
CREATE INDEX IF NOT EXISTS letters_in_order ON letters (tenant, accepted_at, letter_id);
CREATE INDEX IF NOT EXISTS letters_end ON letters (kept_until);

CREATE TABLE IF NOT EXISTS audit (
    tenant TEXT NOT NULL,
    at INTEGER NOT NULL,
    id TEXT NOT NULL,
    by TEXT NOT NULL,
    action TEXT NOT NULL,
    why TEXT,
    selection TEXT NOT NULL,
    selected INTEGER NOT NULL,
    done INTEGER,
    kept_until INTEGER NOT NULL,
    PRIMARY KEY (tenant, at, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS audit_end ON audit (kept_until);
"
);

/// Changes one row: whether writing works.
pub(super) const PROBE: &str = "INSERT INTO probe (id, writes) VALUES (1, 1)
     ON CONFLICT (id) DO UPDATE SET writes = writes + 1";
