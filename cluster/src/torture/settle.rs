//! Waits until every message of a run has its end, and asks the API for it.

use std::collections::BTreeMap;
use std::time::Duration;

use chat4all_contracts::{Reason, Status};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::load::Chat;
use super::recovery::{Recovery, within};
use super::reported::Reported;
use super::verdict::Shown;
use crate::harness::{Http, Role};

/// How long receipts may take once everything runs: platforms repeat them ever more slowly.
const RECEIPTS: Duration = Duration::from_secs(120);
/// How long groups may take to commit what there is.
const COMMITS: Duration = Duration::from_secs(60);
/// Messages of one answer: the most that the API gives.
const PAGE: usize = 100;
/// Before one conversation is asked for again.
const AGAIN: Duration = Duration::from_secs(1);

/// Waits until every message was reported to have ended, or the limit is over.
pub async fn ends(chats: &[Chat], reported: &Reported, limit: Duration) {
    let mut open: Vec<&str> =
        chats.iter().flat_map(|chat| &chat.sent).map(|sent| sent.id.as_str()).collect();
    let _limit = within(limit, async || {
        open.retain(|id| !reported.of(id).is_ended());
        if open.is_empty() {
            return Some(());
        }
        sleep(AGAIN).await;
        None
    })
    .await;
}

/// Waits until no receipt is due and everything that there is was committed.
pub async fn quiet(recovery: &Recovery) {
    let platforms = &recovery.shared().platforms;
    let receipts = async || {
        let pending = platforms.total("receipts_pending", None).await;
        (pending == Some(0)).then_some(())
    };
    if within(RECEIPTS, receipts).await.is_none() {
        let text = "there are receipts that no webhook takes".to_owned();
        recovery.shared().board.finds("everything goes on after trouble", None, text);
    }
    for role in Role::SERVICES.into_iter().filter(|role| role.group().is_some()) {
        let done = within(COMMITS, async || recovery.is_done(role).await.then_some(())).await;
        if done.is_none() {
            let text = format!("{} has not committed all that there is", role.name());
            recovery.shared().board.finds("everything goes on after trouble", None, text);
        }
    }
}

/// What the API shows of every message, once each has ended or the limit is over.
pub async fn shown(api: &str, chats: &[Chat], limit: Duration) -> BTreeMap<String, Shown> {
    let (http, until) = (Http::new(), Instant::now() + limit);
    let mut shown = BTreeMap::new();
    for chat in chats {
        loop {
            let page = conversation(&http, api, &chat.id).await.unwrap_or_default();
            let is_ended = |it: &Shown| !matches!(it.status, Status::Accepted | Status::Unknown);
            let is_whole = chat.sent.iter().all(|sent| page.get(&sent.id).is_some_and(is_ended));
            if is_whole || Instant::now() > until {
                shown.extend(page);
                break;
            }
            sleep(AGAIN).await;
        }
    }
    shown
}

/// All messages of a conversation, page by page; `None` if one is not answered.
async fn conversation(http: &Http, api: &str, id: &str) -> Option<BTreeMap<String, Shown>> {
    let (mut messages, mut cursor) = (BTreeMap::new(), String::new());
    loop {
        let url = format!("{api}/v1/conversations/{id}/messages?limit={PAGE}{cursor}");
        let page = http.get(&url).await?;
        messages.extend(page["messages"].as_array()?.iter().filter_map(message));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Some(messages),
        }
    }
}

fn message(of: &Value) -> Option<(String, Shown)> {
    let shown = Shown {
        status: Status::from_word(of["status"].as_str()?)?,
        reason: of["reason"].as_str().map(Reason::from_word),
        possible_duplicate: of["possible_duplicate"] == true,
    };
    Some((of["message_id"].as_str()?.to_owned(), shown))
}
