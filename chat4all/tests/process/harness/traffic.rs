//! Messages over conversations: sent, followed to their end, compared with the ledger.

use std::collections::{BTreeMap, BTreeSet};

use chat4all_process::{Clock, Random};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Http, Installation, Ledger, PATIENCE, POLL, eventually};

/// Requests under way at a time.
const SENDERS: usize = 16;

/// What to send. Every second conversation is on Instagram.
#[derive(Clone, Copy)]
pub struct Plan {
    pub conversations: usize,
    /// Messages of each conversation.
    pub messages: usize,
}

/// One conversation with the messages that were answered 202, in that order.
#[derive(Clone)]
struct Conversation {
    id: String,
    receiver: String,
    accepted: Vec<String>,
}

/// What was sent. Dropping it fails the test if a message was not seen to end.
pub struct Traffic {
    conversations: Vec<Conversation>,
    settled: bool,
}

/// Messages by what became of them.
#[derive(Default)]
pub struct Ends {
    pub delivered: usize,
    pub failed: usize,
}

impl Plan {
    fn conversation(index: usize) -> Conversation {
        let receiver = match index % 2 {
            0 => format!("whatsapp:+5511{:09}", 900_000_000 + index),
            _ => format!("instagram:{}", 17_841_400_000_000_000_usize + index),
        };
        Conversation { id: format!("conversation-{index}"), receiver, accepted: Vec::new() }
    }

    /// Begins to send. Every message is repeated under its id until it is answered 202, also while
    /// nobody answers; the next of its conversation follows then.
    pub fn start(self, installation: &Installation, http: &Http) -> Sending {
        let mut tasks = JoinSet::new();
        let random = Random::system();
        for sender in 0..SENDERS {
            let share = (0..self.conversations).skip(sender).step_by(SENDERS);
            let mut share: Vec<Conversation> = share.map(Self::conversation).collect();
            let (http, url) = (http.clone(), format!("{}/v1/messages", installation.url("api")));
            let random = random.fork();
            tasks.spawn(async move {
                for number in 0..self.messages {
                    for conversation in &mut share {
                        let id = send(&http, &url, &random, conversation, number).await;
                        conversation.accepted.push(id);
                    }
                }
                share
            });
        }
        Sending(tasks)
    }

    /// Sends everything.
    pub async fn send(self, installation: &Installation, http: &Http) -> Traffic {
        self.start(installation, http).done().await
    }
}

/// Messages being sent.
pub struct Sending(JoinSet<Vec<Conversation>>);

impl Sending {
    /// Waits until all are accepted.
    pub async fn done(mut self) -> Traffic {
        let mut conversations = Vec::new();
        while let Some(share) = self.0.join_next().await {
            conversations.extend(share.expect("a sender ends"));
        }
        Traffic { conversations, settled: false }
    }
}

async fn send(http: &Http, url: &str, random: &Random, to: &Conversation, number: usize) -> String {
    let id = random.message_id(Clock::system().now()).to_string();
    let body = json!({
        "message_id": id,
        "conversation_id": to.id,
        "receiver_id": to.receiver,
        "content": format!("message {number} of {}", to.id),
    });
    // Not `eventually`: its closures cannot go to a task.
    let accepted = async {
        while !is_accepted(http, url, &body).await {
            tokio::time::sleep(POLL).await; // sleep: another process tells nobody when
        }
    };
    tokio::time::timeout(PATIENCE, accepted).await.expect("a message is accepted in time");
    id
}

/// Whether the answer is 202; anything but that, a 503 or no answer fails the test.
async fn is_accepted(http: &Http, url: &str, body: &Value) -> bool {
    let Ok(answer) = http.post(url, body).await else { return false };
    let status = answer.status;
    assert!(status == StatusCode::ACCEPTED || status.is_server_error(), "{status}");
    status == StatusCode::ACCEPTED
}

impl Traffic {
    /// How many were accepted.
    pub fn accepted(&self) -> usize {
        self.conversations.iter().map(|conversation| conversation.accepted.len()).sum()
    }

    /// Waits until every message is DELIVERED, READ or FAILED.
    pub async fn settle(&mut self, installation: &Installation, http: &Http) -> Ends {
        let mut ends = Ends::default();
        for conversation in &self.conversations {
            let url = format!(
                "{}/v1/conversations/{}/messages?limit=100",
                installation.url("api"),
                conversation.id
            );
            assert!(conversation.accepted.len() <= 100, "one page holds a conversation");
            let what = format!("all messages of {} have ended", conversation.id);
            let statuses = eventually(&what, async || {
                let page = http.get(&url).await?;
                let messages = page["messages"].as_array()?.iter();
                let ended: BTreeMap<String, String> = messages
                    .map(|message| (text(&message["message_id"]), text(&message["status"])))
                    .filter(|(_, status)| {
                        matches!(status.as_str(), "DELIVERED" | "READ" | "FAILED")
                    })
                    .collect();
                let all = conversation.accepted.iter().all(|id| ended.contains_key(id));
                all.then_some(ended)
            })
            .await;
            let failed = statuses.values().filter(|status| *status == "FAILED").count();
            ends.failed += failed;
            ends.delivered += statuses.len() - failed;
        }
        self.settled = true;
        ends
    }

    /// Compares with the ledger: what never arrived, and conversations in another order than that
    /// of the 202s.
    pub fn compare(&self, ledger: &Ledger) -> Compared {
        let mut orders = ledger.orders();
        let mut compared = Compared::default();
        for Conversation { accepted, .. } in &self.conversations {
            let order = orders.remove(&accepted[0]).unwrap_or_default();
            let arrived: BTreeSet<&String> = order.iter().collect();
            compared.lost += accepted.iter().filter(|id| !arrived.contains(id)).count();
            compared.reordered += usize::from(order != *accepted);
        }
        compared.strange = orders.len();
        compared
    }

    /// Settles everything, and checks all that holds whatever was killed: nothing failed, nothing
    /// lost, nothing overtaken, never two calls of a conversation at once. Prints and returns the
    /// ledger.
    pub async fn arrives(
        &mut self,
        name: &str,
        installation: &Installation,
        http: &Http,
    ) -> Ledger {
        let ends = self.settle(installation, http).await;
        let ledger = Ledger::read(installation, http).await;
        let compared = self.compare(&ledger);
        eprintln!(
            "{name}: accepted {}, delivered {}, failed {}, lost {}, duplicated {}, reordered {}, \
             overlaps {}",
            self.accepted(),
            ends.delivered,
            ends.failed,
            compared.lost,
            ledger.total("duplicates"),
            compared.reordered,
            ledger.total("overlaps"),
        );
        assert_eq!((ends.delivered, ends.failed), (self.accepted(), 0));
        assert_eq!(compared, Compared::default());
        assert_eq!(ledger.total("messages"), self.accepted() as u64);
        assert_eq!(ledger.total("overlaps"), 0);
        ledger
    }
}

/// Traffic against the ledger; all zero is what is wanted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Messages that no platform accepted.
    pub lost: usize,
    /// Conversations whose messages were first accepted in another order.
    pub reordered: usize,
    /// Conversations of the ledger that begin with none of our messages.
    pub strange: usize,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Drop for Traffic {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.settled, "the test ended before its messages were seen to end");
        }
    }
}
