//! `chat4all dead-letters list` and `chat4all audit`.

use chat4all_process::Failure;
use http::Method;
use serde_json::{Map, Value, json};

use super::args::{AuditArgs, ListArgs};
use crate::client::{ApiClient, query};
use crate::table::Table;

/// The most rows of one answer of the API.
pub(super) const PAGE: usize = 100;

pub(super) async fn list(args: &ListArgs) -> Result<u8, Failure> {
    let client = ApiClient::new(&args.api);
    let fields = args.filter.fields();
    let limit = args.limit as usize;
    let (letters, more) = rows(&client, "/v1/dead-letters", "dead_letters", &fields, limit).await?;
    if client.wants_json() {
        client.print(&json!({ "dead_letters": letters, "more": more }).to_string());
        return Ok(0);
    }
    let head = ["ID", "REASON", "FROM", "CONVERSATION", "ACCEPTED", "CALLS", "DETAIL"];
    print(&client, head, letters.iter().map(row));
    if more {
        client.print(&format!("and more: these are the first {limit}; see --limit"));
    } else if letters.is_empty() {
        client.print("no open dead letters match");
    }
    Ok(0)
}

/// Up to `limit` rows of a list of the API, and whether there are more.
async fn rows(
    client: &ApiClient,
    path: &str,
    name: &str,
    fields: &[(&str, &str)],
    limit: usize,
) -> Result<(Vec<Value>, bool), Failure> {
    let mut rows: Vec<Value> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = (limit - rows.len()).min(PAGE).to_string();
        let mut parameters = fields.to_vec();
        parameters.push(("limit", &page));
        parameters.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let path = format!("{path}{}", query(&parameters));
        let answer = client.call(Method::GET, &path, None, None).await?;
        rows.extend(answer[name].as_array().into_iter().flatten().cloned());
        cursor = answer["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() || rows.len() >= limit {
            return Ok((rows, cursor.is_some()));
        }
    }
}

fn print<const N: usize>(
    client: &ApiClient,
    head: [&str; N],
    rows: impl ExactSizeIterator<Item = [String; N]>,
) {
    if rows.len() == 0 {
        return;
    }
    let mut table = Table::new(head);
    rows.for_each(|row| table.row(row));
    table.lines().iter().for_each(|line| client.print(line));
}

/// A letter as a row.
fn row(letter: &Value) -> [String; 7] {
    let text = |name: &str| letter[name].as_str().unwrap_or("-").to_owned();
    let from = match (letter["platform"].as_str(), letter["account"].as_str()) {
        (Some(platform), Some(account)) => format!("{platform}/{account}"),
        (Some(platform), None) => platform.to_owned(),
        _ => text("topic"),
    };
    let calls = letter["attempts"].as_u64().map_or("-".to_owned(), |calls| calls.to_string());
    [
        text("id"),
        text("reason"),
        from,
        text("conversation_id"),
        text("accepted_at"),
        calls,
        text("detail"),
    ]
}

pub(crate) async fn audit(args: &AuditArgs) -> Result<u8, Failure> {
    let client = ApiClient::new(&args.api);
    let limit = args.limit as usize;
    let (commands, more) = rows(&client, "/v1/audit", "commands", &[], limit).await?;
    if client.wants_json() {
        client.print(&json!({ "commands": commands, "more": more }).to_string());
        return Ok(0);
    }
    let head = ["AT", "BY", "ACTION", "SELECTED", "DONE", "WHY", "WHAT"];
    print(&client, head, commands.iter().map(command));
    Ok(0)
}

fn command(command: &Value) -> [String; 7] {
    let text = |name: &str| command[name].as_str().unwrap_or("-").to_owned();
    let number = |name: &str| command[name].as_u64().map_or("-".to_owned(), |n| n.to_string());
    [
        text("at"),
        text("by"),
        text("action"),
        number("selected"),
        number("done"),
        text("why"),
        selection(&command["selection"]),
    ]
}

fn selection(selection: &Value) -> String {
    let empty = Map::new();
    let filter = selection["filter"].as_object();
    match (selection["ids"].as_array(), filter) {
        (Some(ids), _) => {
            let ids: Vec<&str> = ids.iter().filter_map(Value::as_str).collect();
            ids.join(" ")
        }
        (None, Some(filter)) if filter.is_empty() => "all".to_owned(),
        (None, filter) => {
            let fields = filter.unwrap_or(&empty).iter();
            let fields: Vec<String> = fields
                .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
                .collect();
            fields.join(" ")
        }
    }
}
