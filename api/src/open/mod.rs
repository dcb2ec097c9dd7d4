//! `GET /v1/open`: messages without an outcome, and where each of them waits.
//!
//! Which they are says the store; where one waits say the commits of router and connector, and what
//! the connector says of its account. Never shows content.

mod backlog;
mod view;
mod waits;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use chat4all_contracts::fields::Rule;
use chat4all_contracts::{AccountName, EpochMs, Generation, PlatformName};
use chat4all_store::open::OPEN_KEPT;
use chat4all_store::{OpenPlace, Shards, StoreError, StoredMessage};

use crate::cursor;
use crate::error_code::ErrorCode;
use crate::letters::{age, parameters};
use crate::problem::Problem;
use crate::query::{DEFAULT_PAGE, limit_of};
use crate::send_request::unknown_field;
use crate::shared::Shared;
pub(crate) use view::OpenPageView;
use view::OpenView;
use waits::Waits;

/// The parameters.
const KNOWN: [&str; 5] = ["older_than", "platform", "account", "limit", "cursor"];

/// How often one request asks the store for more.
const MOST_READS: usize = 20;

/// Longer than a message lives.
const LONGEST_LIFE: Duration = Duration::from_secs(8 * 86_400);

/// What is asked for.
#[derive(Default)]
struct Filter {
    older_than: Option<Duration>,
    platform: Option<PlatformName>,
    account: Option<AccountName>,
}

impl Filter {
    /// Sets a parameter; `false` if there is no such one.
    fn set(&mut self, name: &str, text: &str) -> Result<bool, Problem> {
        match name {
            "older_than" => {
                let age = age::parse(text).map_err(|rule| Problem::invalid("older_than", rule))?;
                self.older_than = Some(age);
            }
            "platform" => self.platform = Some(named("platform", PlatformName::new(text))?),
            "account" => self.account = Some(named("account", AccountName::new(text))?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn takes(&self, api: &Shared, stored: &StoredMessage, now: EpochMs) -> bool {
        let message = &stored.message;
        let (platform, account) = api.way_of(message);
        self.older_than.is_none_or(|age| message.accepted_at <= age::before(now, age))
            && self.platform.as_ref().is_none_or(|name| name.as_str() == platform)
            && self.account.as_ref().is_none_or(|name| Some(name) == account)
    }

    /// What a cursor is good for.
    fn scope(&self) -> String {
        let Self { older_than, platform, account } = self;
        format!("open {older_than:?} {platform:?} {account:?}")
    }
}

fn named<T>(field: &'static str, parsed: Result<T, Rule>) -> Result<T, Problem> {
    parsed.map_err(|rule| Problem::invalid(field, rule))
}

/// List open messages
///
/// Every message without an outcome (ACCEPTED or UNKNOWN): how old it is, when its life ends, where
/// it waits and why. Roughly those first whose life ends first. One call looks at a bounded number
/// of messages, so a page may be short, or empty, although it has a next_cursor.
#[utoipa::path(
    get,
    path = "/v1/open",
    operation_id = "list_open",
    tag = "messages",
    params(
        ("older_than" = Option<String>, Query, description =
            "Accepted longer ago than this: a whole number with s, m, h or d, such as 5m."),
        ("platform" = Option<String>, Query, description = "The platform."),
        ("account" = Option<String>, Query, description = "The account."),
        ("limit" = Option<usize>, Query, description = "How many messages; by default 50.",
            minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "next_cursor of the previous page."),
    ),
    responses((status = 200, description = "A page of open messages.", body = OpenPageView))
)]
pub(crate) async fn list_open(
    State(api): State<Arc<Shared>>,
    uri: Uri,
) -> Result<Json<OpenPageView>, Problem> {
    let (mut filter, mut limit, mut cursor) = (Filter::default(), DEFAULT_PAGE, None);
    for (name, value) in parameters(&uri)? {
        match name.as_str() {
            "limit" => limit = limit_of(&value)?,
            "cursor" => cursor = Some(value),
            _ if filter.set(&name, &value)? => {}
            _ => return Err(unknown_field(&name, &KNOWN)),
        }
    }
    let now = api.clock.now();
    let after = match cursor {
        Some(text) => place_in(&filter, &text)?,
        None => OpenPlace::before(age::before(now, OPEN_KEPT)),
    };
    let (found, next) = api.ask_long(api.open_page(&filter, after, limit, now)).await?;
    let waits = Waits::look(&api, &found).await;
    let view = |stored: &StoredMessage| OpenView::of(&api, stored, waits.of(&api, stored), now);
    Ok(Json(OpenPageView {
        messages: found.iter().map(view).collect(),
        next_cursor: next.map(|place| cursor_behind(&filter, &place)),
    }))
}

impl Shared {
    /// Up to `limit` open messages behind a place that the filter takes.
    async fn open_page(
        &self,
        filter: &Filter,
        mut after: OpenPlace,
        limit: usize,
        now: EpochMs,
    ) -> Result<(Vec<StoredMessage>, Option<OpenPlace>), StoreError> {
        let until = now.plus(LONGEST_LIFE);
        let mut found = Vec::new();
        for _ in 0..MOST_READS {
            // Never more than there is room for, so that a page always ends where a read ended.
            let rows = limit - found.len();
            let page = self.store.open(&self.tenant, Shards::ALL, &after, until, rows).await?;
            found.extend(page.messages.into_iter().filter(|m| filter.takes(self, m, now)));
            let Some(next) = page.next else { return Ok((found, None)) };
            after = next;
            if found.len() >= limit {
                break;
            }
        }
        Ok((found, Some(after)))
    }
}

fn cursor_behind(filter: &Filter, place: &OpenPlace) -> String {
    let OpenPlace { hour, shard, due, message_id, generation } = place;
    let rest = format!("{hour} {shard} {} {message_id}", generation.as_u32());
    cursor::seal(&filter.scope(), *due, &rest)
}

fn place_in(filter: &Filter, text: &str) -> Result<OpenPlace, Problem> {
    let opened = || {
        let (due, rest) = cursor::open(&filter.scope(), text)?;
        let mut parts = rest.splitn(4, ' ');
        Some(OpenPlace {
            hour: parts.next()?.parse().ok()?,
            shard: parts.next()?.parse().ok()?,
            due,
            generation: Generation::new(parts.next()?.parse().ok()?).ok()?,
            message_id: parts.next()?.into(),
        })
    };
    let rule = "must be the next_cursor of an answer to the same filter";
    opened().ok_or_else(|| Problem::field(ErrorCode::InvalidCursor, "cursor", rule))
}
