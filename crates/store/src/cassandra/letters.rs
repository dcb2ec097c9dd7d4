//! Dead letters, from hour to hour, and the port's methods for them.

use std::time::Duration;

use chat4all_contracts::status::write_timestamp;
use chat4all_contracts::{
    AccountName, ConversationId, EpochMs, Generation, LetterId, PlatformName,
};

use super::CassandraStore;
use super::meetings::time_to_live;
use super::parts::{self, ms};
use super::requests::unreadable;
use crate::letters::{
    AuditPlace, AuditRecord, Letter, LetterPlace, LetterSpan, LetterStore, Mark, StoredLetter,
    Verdict,
};
use crate::port::Answer;
use crate::{StoreError, Tenant};

/// The most hours of one request.
const HOURS: usize = 100;

/// Topic, partition, offset, reason, detail, platform, account, conversation, given up at, calls.
type LetterTuple<'a> = (
    &'a str,
    i64,
    i64,
    &'a str,
    &'a str,
    Option<&'a str>,
    Option<&'a str>,
    Option<&'a str>,
    i64,
    Option<i64>,
);

/// At, by, why, audit id.
type MarkTuple<'a> = (i64, &'a str, Option<&'a str>, &'a str);

/// The columns of [`super::statements`]' `LETTER`.
type Found<'a> =
    (i64, &'a str, Option<LetterTuple<'a>>, Option<MarkTuple<'a>>, Option<MarkTuple<'a>>);

impl LetterStore for CassandraStore {
    fn put_letter<'a>(
        &'a self,
        tenant: &'a Tenant,
        letter: &'a Letter,
        raw: Option<&'a [u8]>,
        _: EpochMs,
        keep: Duration,
    ) -> Answer<'a, ()> {
        self.call(self.put_dead_letter(&tenant.0, letter, raw, keep))
    }

    fn letter<'a>(
        &'a self,
        tenant: &'a Tenant,
        id: &'a LetterId,
    ) -> Answer<'a, Option<StoredLetter>> {
        self.call(self.letter_by_id(&tenant.0, id))
    }

    fn letter_raw<'a>(
        &'a self,
        tenant: &'a Tenant,
        id: &'a LetterId,
    ) -> Answer<'a, Option<Vec<u8>>> {
        self.call(self.raw_of(&tenant.0, id))
    }

    fn letters_in_order<'a>(
        &'a self,
        tenant: &'a Tenant,
        span: LetterSpan,
        after: Option<&'a LetterPlace>,
        limit: usize,
    ) -> Answer<'a, Vec<StoredLetter>> {
        self.call(self.read_letters(&tenant.0, span, after, limit))
    }

    fn mark_letter<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a LetterPlace,
        verdict: Verdict,
        mark: &'a Mark,
        keep: Duration,
    ) -> Answer<'a, ()> {
        self.call(self.mark(&tenant.0, at, verdict, mark, keep))
    }

    fn put_audit<'a>(
        &'a self,
        tenant: &'a Tenant,
        record: &'a AuditRecord,
        keep: Duration,
    ) -> Answer<'a, ()> {
        self.call(self.put_command(&tenant.0, record, keep))
    }

    fn audit<'a>(
        &'a self,
        tenant: &'a Tenant,
        before: &'a AuditPlace,
        limit: usize,
    ) -> Answer<'a, Vec<AuditRecord>> {
        self.call(self.commands(&tenant.0, before, limit))
    }
}

/// The hour that a partition holds, since 1970.
fn hour(at: EpochMs) -> i32 {
    (at.as_ms() / 3_600_000) as i32
}

impl CassandraStore {
    /// The letter that was given up first stays: its time is the write timestamp. What leads to it
    /// is written with it; whoever finds the one without the other finds nothing yet.
    async fn put_dead_letter(
        &self,
        tenant: &str,
        letter: &Letter,
        raw: Option<&[u8]>,
        keep: Duration,
    ) -> Result<(), StoreError> {
        let tuple: LetterTuple<'_> = (
            &letter.topic,
            i64::from(letter.partition),
            // A log's offsets fit a signed number; what does not is none of ours.
            i64::try_from(letter.offset).unwrap_or(i64::MAX),
            &letter.reason,
            &letter.detail,
            letter.platform.as_ref().map(PlatformName::as_str),
            letter.account.as_ref().map(AccountName::as_str),
            letter.conversation_id.as_ref().map(ConversationId::as_str),
            ms(letter.given_up_at),
            letter.attempts.map(i64::from),
        );
        let statements = &self.statements.letters;
        let (id, at, hour) =
            (letter.id.to_string(), ms(letter.accepted_at), hour(letter.accepted_at));
        let ttl = time_to_live(keep);
        let first_wins = write_timestamp(Generation::FIRST, letter.given_up_at);
        let row = (ttl, first_wins, tuple, tenant, hour, at, &id);
        let row = self.requests.write(&statements.put, row);
        let listed = (tenant, hour, ttl, self.ticks.next().last_wins());
        let listed = self.requests.write(&statements.put_hour, listed);
        let place = (ttl, first_wins, at, tenant, &id);
        let place = self.requests.write(&statements.put_ref, place);
        let raw = async {
            let Some(raw) = raw else { return Ok(()) };
            self.requests.write(&statements.put_raw, (ttl, first_wins, raw, tenant, &id)).await
        };
        futures::try_join!(row, listed, place, raw)?;
        Ok(())
    }

    async fn letter_by_id(
        &self,
        tenant: &str,
        id: &LetterId,
    ) -> Result<Option<StoredLetter>, StoreError> {
        let statements = &self.statements.letters;
        let text = id.to_string();
        let rows = self.requests.read(&statements.place, (tenant, &text)).await?;
        let place =
            rows.maybe_first_row::<(Option<i64>,)>().map_err(|_| unreadable("letter_ref"))?;
        let Some((Some(at),)) = place else { return Ok(None) };
        let accepted_at = parts::time(at).ok_or_else(|| unreadable("letter_ref"))?;
        let key = (tenant, hour(accepted_at), at, &text);
        let rows = self.requests.read(&statements.one, key).await?;
        match rows.maybe_first_row::<Found<'_>>().map_err(|_| unreadable("letters"))? {
            Some(row) => stored(row),
            None => Ok(None),
        }
    }

    async fn raw_of(&self, tenant: &str, id: &LetterId) -> Result<Option<Vec<u8>>, StoreError> {
        let id = id.to_string();
        let rows = self.requests.read(&self.statements.letters.raw, (tenant, &id)).await?;
        let found = rows.maybe_first_row::<(Option<Vec<u8>>,)>();
        Ok(found.map_err(|_| unreadable("letter_ref"))?.and_then(|(raw,)| raw))
    }

    async fn read_letters(
        &self,
        tenant: &str,
        span: LetterSpan,
        after: Option<&LetterPlace>,
        limit: usize,
    ) -> Result<Vec<StoredLetter>, StoreError> {
        // Every letter's id is greater than the empty text.
        let after = after
            .filter(|place| place.accepted_at >= span.from)
            .map_or((span.from, String::new()), |at| (at.accepted_at, at.id.to_string()));
        let last = hour(span.before);
        let mut next = hour(after.0);
        let mut found = Vec::new();
        loop {
            let hours = self.hours(tenant, next, last).await?;
            for hour in &hours {
                self.letters_of_hour(tenant, *hour, (&after, span.before), limit, &mut found)
                    .await?;
                if found.len() >= limit {
                    return Ok(found);
                }
            }
            match hours.last() {
                Some(hour) if hours.len() == HOURS => next = hour + 1,
                _ => return Ok(found),
            }
        }
    }

    /// Adds letters of one hour until there are `limit`. Rows that only marks have reached take no
    /// room.
    async fn letters_of_hour(
        &self,
        tenant: &str,
        hour: i32,
        (after, before): (&(EpochMs, String), EpochMs),
        limit: usize,
        found: &mut Vec<StoredLetter>,
    ) -> Result<(), StoreError> {
        let mut last = (ms(after.0), after.1.clone());
        loop {
            let rows = limit - found.len();
            let range = (tenant, hour, last.0, &last.1, ms(before), rows as i32);
            let answer = self.requests.read(&self.statements.letters.in_order, range).await?;
            let is_last = answer.rows_num() < rows;
            let mut place = None;
            for row in answer.rows::<Found<'_>>().map_err(|_| unreadable("letters"))? {
                let row = row.map_err(|_| unreadable("letters"))?;
                place = Some((row.0, row.1.to_owned()));
                found.extend(stored(row)?);
            }
            last = place.unwrap_or(last);
            if is_last || found.len() >= limit {
                return Ok(());
            }
        }
    }

    /// Up to [`HOURS`] hours that there are letters of, oldest first.
    async fn hours(&self, tenant: &str, from: i32, to: i32) -> Result<Vec<i32>, StoreError> {
        let range = (tenant, from, to, HOURS as i32);
        let rows = self.requests.read(&self.statements.letters.hours, range).await?;
        let rows = rows.rows::<(i32,)>().map_err(|_| unreadable("letter_hours"))?;
        rows.map(|row| row.map(|(hour,)| hour))
            .collect::<Result<_, _>>()
            .map_err(|_| unreadable("letter_hours"))
    }

    /// The first mark of its kind stays: the writer's clock decides, as for two contents.
    async fn mark(
        &self,
        tenant: &str,
        at: &LetterPlace,
        verdict: Verdict,
        mark: &Mark,
        keep: Duration,
    ) -> Result<(), StoreError> {
        let statement = match verdict {
            Verdict::Discarded => &self.statements.letters.discard,
            Verdict::Redriven => &self.statements.letters.redrive,
        };
        let tuple: MarkTuple<'_> = (ms(mark.at), &mark.by, mark.why.as_deref(), &mark.audit_id);
        let (ttl, first_wins) = (time_to_live(keep), self.ticks.next().first_wins());
        let (hour, accepted_at, id) = (hour(at.accepted_at), ms(at.accepted_at), at.id.to_string());
        let values = (ttl, first_wins, tuple, tenant, hour, accepted_at, &id);
        self.requests.write(statement, values).await
    }
}

/// What a row shows; `None` for one that only marks have reached.
fn stored(row: Found<'_>) -> Result<Option<StoredLetter>, StoreError> {
    let (accepted_at, id, letter, discarded, redriven) = row;
    let Some(tuple) = letter else { return Ok(None) };
    let letter = letter_of(accepted_at, id, tuple).ok_or_else(|| unreadable("letter"))?;
    let marked = |mark: Option<MarkTuple<'_>>| {
        mark.map(|mark| mark_of(mark).ok_or_else(|| unreadable("mark"))).transpose()
    };
    let (discarded, redriven) = (marked(discarded)?, marked(redriven)?);
    Ok(Some(StoredLetter { letter, discarded, redriven }))
}

fn letter_of(accepted_at: i64, id: &str, tuple: LetterTuple<'_>) -> Option<Letter> {
    let (topic, partition, offset, reason, detail, platform, account, conversation, ..) = tuple;
    let (.., given_up_at, attempts) = tuple;
    Some(Letter {
        id: LetterId::parse(id).ok()?,
        topic: topic.to_owned(),
        partition: u32::try_from(partition).ok()?,
        offset: u64::try_from(offset).ok()?,
        reason: reason.to_owned(),
        detail: detail.to_owned(),
        platform: platform.map(PlatformName::new).transpose().ok()?,
        account: account.map(AccountName::new).transpose().ok()?,
        conversation_id: conversation.map(ConversationId::new).transpose().ok()?,
        accepted_at: parts::time(accepted_at)?,
        given_up_at: parts::time(given_up_at)?,
        attempts: attempts.map(u32::try_from).transpose().ok()?,
    })
}

fn mark_of((at, by, why, audit_id): MarkTuple<'_>) -> Option<Mark> {
    Some(Mark {
        at: parts::time(at)?,
        by: by.to_owned(),
        why: why.map(str::to_owned),
        audit_id: audit_id.to_owned(),
    })
}
