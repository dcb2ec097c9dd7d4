//! `chat4all account`: how the accounts are, and operators' commands to them.

use std::time::Duration;

use chat4all_process::{Failure, exit};
use http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cli::{AccountCommand, AccountListArgs, AccountOrderArgs, AccountPauseArgs};
use crate::client::ApiClient;
use crate::table::Table;

/// How often the API is asked while waiting.
const POLL: Duration = Duration::from_millis(200);

pub(crate) async fn run(command: &AccountCommand) -> Result<u8, Failure> {
    match command {
        AccountCommand::List(args) => list(args).await,
        AccountCommand::Pause(args) => pause(args).await,
        AccountCommand::Resume(args) => give(args, "resume").await.map(|_| 0),
        AccountCommand::CloseBreaker(args) => give(args, "close-breaker").await.map(|_| 0),
    }
}

async fn list(args: &AccountListArgs) -> Result<u8, Failure> {
    let client = ApiClient::new(&args.api);
    let list = client.call(Method::GET, "/v1/accounts", None, None).await?;
    if client.wants_json() {
        client.print(&list.to_string());
        return Ok(0);
    }
    let mut table =
        Table::new(["ACCOUNT", "STATE", "SINCE", "PARKED", "IN FLIGHT", "LAST COMMAND", "OWNER"]);
    for account in accounts(&list) {
        table.row(row(account));
    }
    for line in table.lines() {
        client.print(&line);
    }
    Ok(0)
}

fn accounts(list: &Value) -> impl Iterator<Item = &Value> {
    list["accounts"].as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

fn name(account: &Value) -> String {
    format!("{}:{}", text(&account["platform"]), text(&account["account"]))
}

fn row(account: &Value) -> [String; 7] {
    let until = account["until"].as_str().map(|until| format!(" until {until}"));
    let detail = account["detail"].as_str().map(|detail| format!(" ({detail})"));
    let state = text(&account["state"]) + &until.unwrap_or_default() + &detail.unwrap_or_default();
    // Nobody has to be silent about an account of which nothing was ever said.
    let is_silent = account["silent"] == true && account["reported_at"].is_string();
    let state = if is_silent { format!("{state}, silent") } else { state };
    [
        name(account),
        state,
        text(&account["since"]),
        text(&account["parked"]),
        text(&account["in_flight"]),
        command(&account["last_command"]),
        text(&account["owner"]),
    ]
}

fn command(command: &Value) -> String {
    if command.is_null() {
        return "-".to_owned();
    }
    let waits = if command["applied"] == true { "" } else { ", not followed yet" };
    format!("{} by {}{waits}", text(&command["command"]), text(&command["by"]))
}

/// Gives a command and says so; answers its offset.
async fn give(args: &AccountOrderArgs, word: &str) -> Result<u64, Failure> {
    let client = ApiClient::new(&args.api);
    let given = order(&client, args, word).await?;
    if client.wants_json() {
        client.print(&given.to_string());
    } else {
        client.print(&format!("{}  {word}: the log has it", name(&given)));
    }
    Ok(given["offset"].as_u64().unwrap_or_default())
}

async fn order(client: &ApiClient, args: &AccountOrderArgs, word: &str) -> Result<Value, Failure> {
    let Some((platform, account)) = args.account.split_once(':') else {
        let fix = "name the account as platform:account; `chat4all account list` shows them";
        return Err(Failure::new(exit::CONFIGURATION, fix));
    };
    let mut body = json!({});
    // An environment may set USER to nothing.
    if !args.by.is_empty() {
        body["by"] = json!(args.by);
    }
    if let Some(reason) = &args.reason {
        body["reason"] = json!(reason);
    }
    let path = format!("/v1/accounts/{}/{}/{word}", segment(platform), segment(account));
    client.call(Method::POST, &path, None, Some(&body)).await
}

/// Names of platforms and accounts have none of the others; a wrong one is refused by the API.
fn segment(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

async fn pause(args: &AccountPauseArgs) -> Result<u8, Failure> {
    let offset = give(&args.order, "pause").await?;
    if !args.wait {
        return Ok(0);
    }
    let client = ApiClient::new(&args.order.api);
    let deadline = Instant::now() + Duration::from_secs(args.timeout);
    loop {
        let list = client.call(Method::GET, "/v1/accounts", None, None).await?;
        let found = accounts(&list).find(|account| name(account) == args.order.account);
        if let Some(account) = found.filter(|account| is_quiet(account, offset)) {
            if client.wants_json() {
                client.print(&account.to_string());
            } else {
                let parked = text(&account["parked"]);
                client.print(&format!("{}  paused; {parked} messages wait", name(account)));
            }
            return Ok(0);
        }
        if Instant::now() >= deadline {
            let text = format!(
                "not confirmed after {} s; the command stands, and `chat4all account list` shows \
                 whether the account's connector runs",
                args.timeout
            );
            return Err(Failure::new(exit::UNSUCCESSFUL, text));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Whether the connector follows the command (or a later one), and its last call has ended.
fn is_quiet(account: &Value, offset: u64) -> bool {
    let command = &account["last_command"];
    command["applied"] == true
        && command["offset"].as_u64() >= Some(offset)
        && account["in_flight"] == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_confirmed_by_a_state_that_follows_it_without_calls() {
        let account = |applied: bool, offset: u64, in_flight: u64| {
            let command = json!({ "applied": applied, "offset": offset });
            json!({ "in_flight": in_flight, "last_command": command })
        };
        assert!(is_quiet(&account(true, 7, 0), 7));
        assert!(is_quiet(&account(true, 9, 0), 7), "somebody else commands too");
        for bad in [account(false, 7, 0), account(true, 6, 0), account(true, 7, 1), json!({})] {
            assert!(!is_quiet(&bad, 7), "{bad}");
        }
    }

    #[test]
    fn an_account_is_one_row() {
        let account = json!({"platform": "whatsapp", "account": "main", "state": "open",
            "since": "2026-01-01T00:00:00.000Z", "until": "2026-01-01T00:01:00.000Z",
            "parked": 7, "in_flight": 0, "silent": false, "owner": "host/1", "reported_at": "x",
            "last_command": {"command": "resume", "by": "maria", "applied": true}});
        let expected = [
            "whatsapp:main",
            "open until 2026-01-01T00:01:00.000Z",
            "2026-01-01T00:00:00.000Z",
            "7",
            "0",
            "resume by maria",
            "host/1",
        ];
        assert_eq!(row(&account), expected);
        let unknown = json!({"platform": "p", "account": "a", "state": "unknown", "silent": true});
        assert_eq!(row(&unknown), ["p:a", "unknown", "-", "-", "-", "-", "-"]);
    }
}
