//! The tables, as numbered steps. A step that was released never changes; a change is a new step.
//!
//! Every statement may be repeated, so that a step that was cut off can be done again from its
//! start. Every key begins with the tenant. `{keyspace}` stands for the keyspace's name.

/// One change of the schema.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// Steps are done in this order, from 1 on.
    pub number: i32,
    /// What it does, for whoever reads the table of steps.
    pub name: &'static str,
    /// The oldest program that can still work once this is done: the highest step that it knows.
    pub oldest_program: i32,
    /// The statements.
    pub statements: &'static [&'static str],
}

pub(super) const STEPS: &[Step] = &[
    Step { number: 1, name: "first tables", oldest_program: 1, statements: FIRST_TABLES },
    Step { number: 2, name: "dead letters", oldest_program: 1, statements: DEAD_LETTERS },
    Step { number: 3, name: "open messages", oldest_program: 1, statements: OPEN_MESSAGES },
];

/// * `messages`: a partition is a month of a conversation, newest first. Content is a map from the
///   generation to (sender, receiver, content, file id, account, end of life): each generation is a
///   cell of its own, so the write timestamp can say which of two contents came first. A cell of a
///   status is (generation, at, reason, external id).
/// * `conversation_months`: the months that a conversation has partitions for.
/// * `message_ref`, `external_ref`: meeting places. The row's side is one static cell without an
///   end: (conversation, accepted at, message id). A waiting report is a row of its own with a TTL:
///   its key (column, generation, at, reason, external id) is all that it says, so reports of any
///   order and any ends stay apart, and whoever looks merges them.
/// * `claims`: only ever touched by lightweight transactions.
const FIRST_TABLES: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS {keyspace}.messages (
        tenant text,
        conversation_id text,
        month int,
        accepted_at bigint,
        message_id text,
        content map<int, frozen<tuple<text, text, text, text, text, bigint>>>,
        generation int,
        delivered_at bigint,
        read_at bigint,
        sent frozen<tuple<int, bigint, int, text>>,
        failed frozen<tuple<int, bigint, int, text>>,
        rejected frozen<tuple<int, bigint, int, text>>,
        unknown frozen<tuple<int, bigint, int, text>>,
        PRIMARY KEY ((tenant, conversation_id, month), accepted_at, message_id)
    ) WITH CLUSTERING ORDER BY (accepted_at DESC, message_id DESC)",
    "CREATE TABLE IF NOT EXISTS {keyspace}.conversation_months (
        tenant text,
        conversation_id text,
        month int,
        PRIMARY KEY ((tenant, conversation_id), month)
    ) WITH CLUSTERING ORDER BY (month DESC)",
    "CREATE TABLE IF NOT EXISTS {keyspace}.message_ref (
        tenant text,
        message_id text,
        report frozen<tuple<int, int, bigint, int, text>>,
        address frozen<tuple<text, bigint, text>> static,
        kept_until bigint,
        PRIMARY KEY ((tenant, message_id), report)
    )",
    "CREATE TABLE IF NOT EXISTS {keyspace}.external_ref (
        tenant text,
        platform text,
        account text,
        external_id text,
        report frozen<tuple<int, int, bigint, int, text>>,
        address frozen<tuple<text, bigint, text>> static,
        kept_until bigint,
        PRIMARY KEY ((tenant, platform, account, external_id), report)
    )",
    "CREATE TABLE IF NOT EXISTS {keyspace}.claims (
        tenant text,
        kind text,
        key text,
        message_id text,
        accepted_at bigint,
        expires_at bigint,
        account text,
        body_hash blob,
        kept_until bigint,
        attempt bigint,
        PRIMARY KEY ((tenant, kind, key))
    ) WITH default_time_to_live = 691200
      AND compaction = {'class': 'TimeWindowCompactionStrategy',
                        'compaction_window_unit': 'DAYS', 'compaction_window_size': '1'}",
];

/// * `letters`: a partition is an hour of times of acceptance, oldest first. A letter is one cell:
///   (topic, partition, offset, reason, detail, platform, account, conversation, given up at, calls);
///   so is what was done with it: (at, by, why, audit id). All of it ends by its TTL.
/// * `letter_hours`: the hours that there are letters of.
/// * `letter_ref`: a letter's time of acceptance by its id, and the record if nothing else holds it.
/// * `audit`: a partition is a month of operators' commands, newest first. A command is one cell:
///   (by, action, why, selection, selected, done).
const DEAD_LETTERS: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS {keyspace}.letters (
        tenant text,
        hour int,
        accepted_at bigint,
        letter_id text,
        letter frozen<tuple<text, bigint, bigint, text, text, text, text, text, bigint, bigint>>,
        discarded frozen<tuple<bigint, text, text, text>>,
        redriven frozen<tuple<bigint, text, text, text>>,
        PRIMARY KEY ((tenant, hour), accepted_at, letter_id)
    )",
    "CREATE TABLE IF NOT EXISTS {keyspace}.letter_hours (
        tenant text,
        hour int,
        PRIMARY KEY ((tenant), hour)
    )",
    "CREATE TABLE IF NOT EXISTS {keyspace}.letter_ref (
        tenant text,
        letter_id text,
        accepted_at bigint,
        raw blob,
        PRIMARY KEY ((tenant, letter_id))
    )",
    "CREATE TABLE IF NOT EXISTS {keyspace}.audit (
        tenant text,
        month int,
        at bigint,
        id text,
        command frozen<tuple<text, text, text, text, bigint, bigint>>,
        PRIMARY KEY ((tenant, month), at, id)
    ) WITH CLUSTERING ORDER BY (at DESC, id DESC)",
];
/// Where the messages without an outcome are. A partition is a sixteenth of the messages that are
/// due in an hour; its rows go by their TTL. `settled` is only ever set to true: nothing is deleted.
const OPEN_MESSAGES: &[&str] = &["CREATE TABLE IF NOT EXISTS {keyspace}.open_messages (
        tenant text,
        hour int,
        shard int,
        due bigint,
        message_id text,
        generation int,
        conversation_id text,
        accepted_at bigint,
        settled boolean,
        PRIMARY KEY ((tenant, hour, shard), due, message_id, generation)
    ) WITH compaction = {'class': 'TimeWindowCompactionStrategy',
                         'compaction_window_unit': 'DAYS', 'compaction_window_size': '1'}"];

/// Which steps were done, and who is at it. Needed before the first step, so it is no step.
///
/// Its id is fixed: two nodes of a Cassandra cluster that create one table at the same moment would
/// otherwise give it two ids and disagree for ever. All other tables are created by the one process
/// that holds the lease.
pub(super) fn steps_table(keyspace: &str) -> String {
    let id = table_id(&format!("{keyspace}.schema_steps"));
    format!(
        "CREATE TABLE IF NOT EXISTS {keyspace}.schema_steps (
            part text,
            number int,
            name text,
            oldest_program int,
            holder bigint,
            PRIMARY KEY ((part), number)
        ) WITH id = '{id}'"
    )
}

/// Where FNV-1a begins.
pub(super) const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a in 64 bits: the same on every machine, and good enough where nobody attacks.
pub(super) fn fnv_1a(basis: u64, bytes: impl IntoIterator<Item = u8>) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.into_iter().fold(basis, step)
}

/// A UUID of version 8 (RFC 9562) from a name: two hashes with different beginnings.
fn table_id(name: &str) -> String {
    let high = (fnv_1a(FNV_BASIS, name.bytes()) & !0xf000) | 0x8000;
    let low = (fnv_1a(!FNV_BASIS, name.bytes()) >> 2) | (1 << 63);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_numbered_from_one_and_may_be_repeated() {
        for (index, step) in STEPS.iter().enumerate() {
            assert_eq!(step.number, index as i32 + 1);
            assert!(step.oldest_program <= step.number, "{}", step.name);
            for statement in step.statements {
                assert!(statement.contains("IF NOT EXISTS"), "{statement}");
                assert!(statement.contains("{keyspace}."), "{statement}");
            }
        }
    }

    #[test]
    fn nothing_is_used_that_scylladb_lacks_or_that_reads_more_than_it_needs() {
        let all = STEPS.iter().flat_map(|step| step.statements).copied().collect::<String>();
        for word in ["MATERIALIZED", "INDEX", "counter", "vector", "duration", "tablets"] {
            assert!(!all.contains(word), "{word}");
        }
    }

    #[test]
    fn a_tables_id_is_a_uuid_of_its_keyspace() {
        let (a, b) = (table_id("a.schema_steps"), table_id("b.schema_steps"));
        assert_ne!(a, b);
        assert_eq!(a, table_id("a.schema_steps"));
        for id in [a, b] {
            let groups: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(groups, [8, 4, 4, 4, 12], "{id}");
            assert_eq!(&id[14..15], "8", "{id}");
            assert!("89ab".contains(&id[19..20]), "{id}");
        }
    }
}
