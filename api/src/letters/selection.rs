//! What a command is to be done to: the body of `POST /v1/dead-letters/redrive` and `/discard`.

use std::time::Duration;

use chat4all_contracts::LetterId;
use chat4all_contracts::event::{UNKNOWN_OPERATOR, operator_name, operator_reason};
use chat4all_contracts::fields::{Fields, Rule, parse_object};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::filter::{self, Filter, FilterSchema};
use crate::error_code::ErrorCode;
use crate::problem::Problem;
use crate::query::MAX_PAGE;
use crate::send_request::{lifetime_s, unknown_field};

/// Which letters, and whether only to say what would be done. One of ids and filter is required.
#[derive(ToSchema)]
#[schema(as = DeadLetterCommand)]
#[allow(dead_code)] // the schema of the body; Selection reads it, for errors that name the field
pub(crate) struct CommandSchema {
    /// The letters' ids, 1 to 100.
    #[schema(min_items = 1, max_items = 100)]
    ids: Option<Vec<String>>,
    /// Open letters that match, those whose messages were accepted first.
    filter: Option<FilterSchema>,
    /// Whether only to say what would be done; by default true for a filter, false for ids.
    dry_run: Option<bool>,
    /// How many letters of a filter; by default 100.
    #[schema(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// next_cursor of the previous answer to the same filter.
    cursor: Option<String>,
    /// Who does it; by default `unknown`.
    #[schema(min_length = 1, max_length = 64)]
    by: Option<String>,
    /// Why.
    #[schema(min_length = 1, max_length = 256)]
    why: Option<String>,
    /// For a redrive: for how many seconds from now the messages may be tried; by default a day.
    #[schema(minimum = 1, maximum = 86400)]
    expires_in: Option<u32>,
}

const COMMON: [&str; 7] = ["ids", "filter", "dry_run", "limit", "cursor", "by", "why"];

/// Which letters.
pub(super) enum Chosen {
    Ids(Vec<LetterId>),
    Filter(Box<Filter>),
}

/// A validated body.
pub(super) struct Selection {
    pub chosen: Chosen,
    pub dry_run: bool,
    pub limit: usize,
    pub cursor: Option<String>,
    pub by: String,
    pub why: Option<String>,
    /// Never for a discard.
    pub lifetime: Option<Duration>,
}

impl Selection {
    /// Validates a body; `may_expire` = it may say expires_in.
    pub fn parse(body: &[u8], may_expire: bool) -> Result<Self, Problem> {
        let map = parse_object(body)?;
        let expiry: &[&str] = if may_expire { &["expires_in"] } else { &[] };
        let known = [&COMMON[..], expiry].concat();
        if let Some(name) = map.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(unknown_field(name, &known));
        }
        let fields = Fields::new(&map);
        let chosen = chosen(&map)?;
        let by_filter = matches!(chosen, Chosen::Filter(_));
        let limit = fields.optional_number("limit", limit)?;
        let cursor = fields.optional("cursor", |text| Ok(text.to_owned()))?;
        for (name, is_there) in [("limit", limit.is_some()), ("cursor", cursor.is_some())] {
            if is_there && !by_filter {
                let rule = "goes with a filter only";
                return Err(Problem::field(ErrorCode::ConflictingFields, name, rule));
            }
        }
        let says_dry_run = map.get("dry_run").is_some_and(|value| !value.is_null());
        let dry_run = fields.flag("dry_run")?;
        Ok(Self {
            chosen,
            dry_run: if says_dry_run { dry_run } else { by_filter },
            limit: limit.unwrap_or(MAX_PAGE),
            cursor,
            by: fields.optional("by", operator_name)?.unwrap_or(UNKNOWN_OPERATOR.to_owned()),
            why: fields.optional("why", operator_reason)?,
            lifetime: fields.optional_number("expires_in", lifetime_s)?.map(Duration::from_secs),
        })
    }

    /// What the record of the command says about what it was done to.
    pub fn as_json(&self) -> Value {
        match &self.chosen {
            Chosen::Ids(ids) => json!({ "ids": ids }),
            Chosen::Filter(filter) => json!({ "filter": filter.as_json(), "limit": self.limit }),
        }
    }
}

fn chosen(map: &Map<String, Value>) -> Result<Chosen, Problem> {
    let field = |name: &str| map.get(name).filter(|value| !value.is_null());
    match (field("ids"), field("filter")) {
        (Some(ids), None) => ids_of(ids).map(Chosen::Ids),
        (None, Some(filter)) => filter_of(filter).map(|filter| Chosen::Filter(Box::new(filter))),
        (Some(_), Some(_)) => Err(Problem::field(
            ErrorCode::ConflictingFields,
            "filter",
            "says which letters, as ids does: send one of them",
        )),
        (None, None) => {
            Err(Problem::field(ErrorCode::MissingField, "ids", "is required, or filter is"))
        }
    }
}

fn ids_of(value: &Value) -> Result<Vec<LetterId>, Problem> {
    let rule = || Rule::new("must be a list of 1 to 100 ids of dead letters");
    let invalid = |rule| Problem::invalid("ids", rule);
    let texts = value.as_array().filter(|list| (1..=MAX_PAGE).contains(&list.len()));
    let mut ids = Vec::new();
    for text in texts.ok_or_else(|| invalid(rule()))? {
        let text = text.as_str().ok_or_else(|| invalid(rule()))?;
        let id = LetterId::parse(text).map_err(|rule| invalid(Rule::of(format!("each {rule}"))))?;
        // Named twice means once.
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

fn filter_of(value: &Value) -> Result<Filter, Problem> {
    let invalid = |name: &'static str, rule| Problem::invalid(name, Rule::new(rule));
    let map = value.as_object().ok_or_else(|| invalid("filter", "must be an object"))?;
    let mut filter = Filter::default();
    for (name, value) in map.iter().filter(|(_, value)| !value.is_null()) {
        let rule = "must have strings as its fields";
        let text = value.as_str().ok_or_else(|| invalid("filter", rule))?;
        if !filter.set(name, text)? {
            return Err(unknown_field(name, &filter::FIELDS));
        }
    }
    Ok(filter)
}

fn limit(number: u64) -> Result<usize, Rule> {
    let in_bounds = usize::try_from(number).ok().filter(|n| (1..=MAX_PAGE).contains(n));
    in_bounds.ok_or(Rule::new("must be a whole number, 1 to 100"))
}
