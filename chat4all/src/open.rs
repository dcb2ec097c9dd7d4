//! `chat4all open`: the messages without an outcome, and where each waits.

use chat4all_process::Failure;
use http::Method;
use serde_json::{Value, json};

use crate::cli::OpenArgs;
use crate::client::{ApiClient, query};
use crate::table::Table;

/// The most messages that the API answers at once.
const MOST_OF_PAGE: usize = 100;

pub(crate) async fn open(args: &OpenArgs) -> Result<u8, Failure> {
    let client = ApiClient::new(&args.api);
    let (messages, is_all) = fetch(&client, args).await?;
    if client.wants_json() {
        client.print(&json!({ "messages": messages, "complete": is_all }).to_string());
        return Ok(0);
    }
    if messages.is_empty() {
        client.print("no open messages");
        return Ok(0);
    }
    let mut table =
        Table::new(["MESSAGE", "CONVERSATION", "ACCOUNT", "AGE", "EXPIRES IN", "WAITS", "WHY"]);
    messages.iter().for_each(|message| table.row(row(message)));
    table.lines().iter().for_each(|line| client.print(line));
    if !is_all {
        client.print(&format!("there are more than {}; see --limit", messages.len()));
    }
    Ok(0)
}

/// Page by page up to the limit; whether those are all.
async fn fetch(client: &ApiClient, args: &OpenArgs) -> Result<(Vec<Value>, bool), Failure> {
    let filter = [
        ("older_than", args.older_than.as_deref()),
        ("platform", args.platform.as_deref()),
        ("account", args.account.as_deref()),
    ];
    let filter: Vec<_> =
        filter.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let most = args.limit as usize;
    let (mut messages, mut cursor) = (Vec::new(), None::<String>);
    while messages.len() < most {
        let limit = (most - messages.len()).min(MOST_OF_PAGE).to_string();
        let mut parameters = filter.clone();
        parameters.push(("limit", &limit));
        parameters.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let path = format!("/v1/open{}", query(&parameters));
        let page = client.call(Method::GET, &path, None, None).await?;
        messages.extend(page["messages"].as_array().into_iter().flatten().cloned());
        let Some(next) = page["next_cursor"].as_str() else { return Ok((messages, true)) };
        cursor = Some(next.to_owned());
    }
    Ok((messages, false))
}

fn row(message: &Value) -> [String; 7] {
    let text = |name: &str| message[name].as_str().unwrap_or("-").to_owned();
    let seconds = |name: &str| age(message[name].as_u64().unwrap_or_default());
    [
        text("message_id"),
        text("conversation_id"),
        format!("{}:{}", text("platform"), text("account")),
        seconds("age_s"),
        seconds("expires_in_s"),
        text("waits"),
        text("why"),
    ]
}

/// An age with its largest unit and the next one.
fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_as_long_as_it_needs_to_be() {
        let ages = [0, 59, 60, 3_599, 3_600, 86_399, 90_000].map(age);
        assert_eq!(ages, ["0s", "59s", "1m00s", "59m59s", "1h00m", "23h59m", "1d01h"]);
    }

    #[test]
    fn a_message_is_one_row() {
        let message = json!({"message_id": "m", "conversation_id": "c", "platform": "whatsapp",
            "account": "main", "age_s": 301, "expires_in_s": 0, "waits": "parked",
            "why": "the account is paused"});
        let expected =
            ["m", "c", "whatsapp:main", "5m01s", "0s", "parked", "the account is paused"];
        assert_eq!(row(&message), expected);
    }
}
