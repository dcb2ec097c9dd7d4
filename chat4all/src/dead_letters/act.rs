//! `chat4all dead-letters redrive` and `discard`: first what would be done, then, if it is wanted,
//! exactly that.

use std::io::{IsTerminal, Write};

use chat4all_process::{Failure, exit};
use http::Method;
use serde_json::{Map, Value, json};

use super::args::ActArgs;
use super::list::PAGE;
use crate::client::ApiClient;
use crate::table::Table;

/// Which command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Redrive,
    Discard,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Redrive => "redrive",
            Self::Discard => "discard",
        }
    }

    fn path(self) -> String {
        format!("/v1/dead-letters/{}", self.word())
    }
}

/// What was done, or would be, over all calls.
#[derive(Default)]
struct Tally {
    results: Vec<Value>,
    audit_ids: Vec<Value>,
    done: u64,
    refused: u64,
    failed: u64,
}

impl Tally {
    fn add(&mut self, answer: &Value) {
        let number = |name: &str| answer[name].as_u64().unwrap_or_default();
        self.results.extend(answer["results"].as_array().into_iter().flatten().cloned());
        self.audit_ids.extend(Some(&answer["audit_id"]).filter(|id| !id.is_null()).cloned());
        self.done += number("done");
        self.refused += number("refused");
        self.failed += number("failed");
    }

    fn as_json(&self, dry_run: bool) -> Value {
        json!({
            "dry_run": dry_run,
            "done": self.done,
            "refused": self.refused,
            "failed": self.failed,
            "audit_ids": self.audit_ids,
            "results": self.results,
        })
    }

    fn code(&self) -> u8 {
        if self.refused + self.failed == 0 { 0 } else { exit::UNSUCCESSFUL }
    }
}

pub(super) async fn act(
    action: Action,
    args: &ActArgs,
    expires_in: Option<u32>,
) -> Result<u8, Failure> {
    let client = ApiClient::new(&args.api);
    check(args)?;
    let planned = dry_run(&client, action, args, expires_in).await?;
    if !client.wants_json() {
        print(&client, &planned.results);
        let Tally { done, refused, .. } = &planned;
        let verb = action.word();
        client.print(&format!("would {verb} {done}, refuse {refused}; nothing is done yet"));
    }
    if planned.done == 0 || !(args.yes || is_wanted(&client, action, planned.done)) {
        if client.wants_json() {
            client.print(&planned.as_json(true).to_string());
        }
        return Ok(planned.code());
    }
    let is_wanted = |result: &Value| result["outcome"] == "would_do";
    let (wanted, results): (Vec<Value>, _) = planned.results.into_iter().partition(is_wanted);
    let mut tally = Tally { refused: planned.refused, results, ..Tally::default() };
    let ids: Vec<&Value> = wanted.iter().map(|result| &result["id"]).collect();
    for ids in ids.chunks(PAGE) {
        let body = body(args, expires_in, ("ids", json!(ids)), false);
        tally.add(&client.call(Method::POST, &action.path(), None, Some(&body)).await?);
        // What follows may be of the same conversations, and must not overtake.
        if tally.failed > 0 {
            break;
        }
    }
    report(&client, action, &tally);
    Ok(tally.code())
}

/// Nobody redrives everything because a shell variable was empty.
fn check(args: &ActArgs) -> Result<(), Failure> {
    let given = [!args.ids.is_empty(), !args.filter.fields().is_empty(), args.all];
    if given.into_iter().filter(|is_given| *is_given).count() == 1 {
        return Ok(());
    }
    let text = "name the letters by their ids, or by a filter such as --platform, or say --all";
    Err(Failure::new(exit::CONFIGURATION, text))
}

fn body(
    args: &ActArgs,
    expires_in: Option<u32>,
    (name, chosen): (&str, Value),
    dry_run: bool,
) -> Value {
    let mut body = Map::new();
    body.insert(name.to_owned(), chosen);
    body.insert("dry_run".to_owned(), json!(dry_run));
    let by = args.by.as_deref().filter(|by| !by.is_empty());
    for (name, text) in [("by", by), ("why", args.why.as_deref())] {
        if let Some(text) = text {
            body.insert(name.to_owned(), json!(text));
        }
    }
    if let Some(seconds) = expires_in {
        body.insert("expires_in".to_owned(), json!(seconds));
    }
    Value::Object(body)
}

/// What would be done: all ids, or the first letters of the filter.
async fn dry_run(
    client: &ApiClient,
    action: Action,
    args: &ActArgs,
    expires_in: Option<u32>,
) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    for ids in args.ids.chunks(PAGE) {
        let body = body(args, expires_in, ("ids", json!(ids)), true);
        tally.add(&client.call(Method::POST, &action.path(), None, Some(&body)).await?);
    }
    if !args.ids.is_empty() {
        return Ok(tally);
    }
    let filter: Map<String, Value> = args
        .filter
        .fields()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    let limit = args.limit as usize;
    let mut cursor = Value::Null;
    loop {
        let mut body = body(args, expires_in, ("filter", json!(filter)), true);
        body["limit"] = json!((limit - tally.results.len()).min(PAGE));
        body["cursor"] = cursor;
        let answer = client.call(Method::POST, &action.path(), None, Some(&body)).await?;
        tally.add(&answer);
        cursor = answer["next_cursor"].clone();
        if cursor.is_null() || tally.results.len() >= limit {
            return Ok(tally);
        }
    }
}

fn print(client: &ApiClient, results: &[Value]) {
    if results.is_empty() {
        return;
    }
    let mut table = Table::new(["ID", "OUTCOME", "LIFE", "CODE", "DETAIL"]);
    for result in results {
        let text = |name: &str| result[name].as_str().unwrap_or("-").to_owned();
        let life = result["generation"].as_u64().map_or("-".to_owned(), |life| life.to_string());
        table.row([text("id"), text("outcome"), life, text("code"), text("detail")]);
    }
    table.lines().iter().for_each(|line| client.print(line));
}

fn report(client: &ApiClient, action: Action, tally: &Tally) {
    if client.wants_json() {
        client.print(&tally.as_json(false).to_string());
        return;
    }
    let is_other = |result: &&Value| result["outcome"] != "done";
    let others: Vec<Value> = tally.results.iter().filter(is_other).cloned().collect();
    print(client, &others);
    let Tally { done, refused, failed, .. } = tally;
    let verb = action.word();
    client.print(&format!("{verb}: {done} done, {refused} refused, {failed} failed"));
    if *failed > 0 {
        client.print("repeat the command for what failed: it does nothing twice");
    }
}

/// Asks on a terminal; elsewhere nothing is wanted without --yes.
fn is_wanted(client: &ApiClient, action: Action, count: u64) -> bool {
    if client.wants_json() || !std::io::stdin().is_terminal() {
        if !client.wants_json() {
            client.print("add --yes to do it");
        }
        return false;
    }
    let mut out = std::io::stdout();
    let asked = write!(out, "{} {count}? [y/N] ", action.word()).and_then(|()| out.flush());
    let mut answer = String::new();
    // No answer is no.
    let read = asked.and_then(|()| std::io::stdin().read_line(&mut answer));
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}
