//! The clients of a run: each has one conversation, and sends its next message once the one before
//! was accepted. They go on whatever happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chat4all_process::{Clock, Random};
use http::{StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::board::Board;
use super::shared::Shared;
use crate::harness::{Account, Http};

/// How long a client waits before it asks again.
const REPEAT_MS: (u64, u64) = (300, 1_200);
/// Of so many messages some have a short life.
const SHORT_PER_MILLE: u64 = 20;
/// A short life, in seconds.
pub const SHORT_S: u64 = 1;

/// What the API has answered.
#[derive(Default)]
pub struct Counts {
    /// 202.
    pub accepted: AtomicU64,
    /// 202 for a message that needs a claim in the store.
    pub claimed: AtomicU64,
    /// 503: the client repeats the message.
    pub unavailable: AtomicU64,
    /// No answer: the client repeats the message, if it can name it.
    pub unanswered: AtomicU64,
    /// No answer, and the message has no name: nobody knows whether it was accepted.
    pub unknown: AtomicU64,
    /// The longest time that an answer took, in milliseconds.
    pub slowest_ms: AtomicU64,
}

/// One client's conversation.
pub struct Chat {
    /// As the client names it.
    pub id: String,
    /// From where its messages go out.
    pub account: Account,
    /// To whom.
    pub receiver: String,
    /// Whether the platform refuses this receiver.
    pub is_refused: bool,
    /// Whether its messages have a life of their own, which may end in trouble.
    pub has_lifetime: bool,
    /// Whether its messages need the store to be accepted.
    pub needs_claims: bool,
    /// What was accepted, in this order.
    pub sent: Vec<Sent>,
}

/// A message that was answered 202.
pub struct Sent {
    /// Its id.
    pub id: String,
    /// Whether its life was too short to survive trouble.
    pub is_short: bool,
}

/// How messages are made.
#[derive(Clone)]
pub struct Plan {
    /// New messages in a second, over all conversations.
    pub per_second: u64,
    /// Clients.
    pub conversations: usize,
    /// The accounts, in turn.
    pub accounts: Vec<Account>,
    /// A platform whose messages may be tried for so many seconds; others for the default.
    pub lifetime_s: (&'static str, u64),
}

/// Clients at work.
pub struct Load {
    stop: watch::Sender<bool>,
    clients: JoinSet<Chat>,
}

/// Who names a message.
#[derive(Clone, Copy)]
enum Naming {
    /// The client, with a UUIDv7.
    Uuid,
    /// The client, with a word of its own: a claim decides.
    Word,
    /// The server, under the client's Idempotency-Key: a claim decides.
    Key,
    /// The server. Who hears nothing cannot repeat it.
    Server,
}

impl Plan {
    /// The conversation with this number. Every fortieth receiver is refused by the platform, and
    /// every sixth client needs claims: it waits while the store is away, the others do not.
    pub fn chat(&self, number: usize) -> Chat {
        let account = self.accounts[number % self.accounts.len()].clone();
        let receiver = match account.platform {
            "whatsapp" => format!("whatsapp:+5511{:09}", 900_000_000 + number),
            other => format!("{other}:{}", 17_841_400_000_000_000_usize + number),
        };
        let (id, is_refused) = (format!("chat-{number}"), number % 40 == 7);
        let has_lifetime = account.platform == self.lifetime_s.0;
        let (needs_claims, sent) = (number % 6 == 1, Vec::new());
        Chat { id, account, receiver, is_refused, has_lifetime, needs_claims, sent }
    }

    /// Begins to send to the addresses of the API that are known at the time.
    pub fn start(&self, random: &Random, shared: &Shared) -> Load {
        let (stop, stopped) = watch::channel(false);
        let mut clients = JoinSet::new();
        let http = Http::new();
        for number in 0..self.conversations {
            let client = Client {
                chat: self.chat(number),
                plan: self.clone(),
                http: http.clone(),
                random: random.fork(),
                apis: shared.apis.subscribe(),
                counts: Arc::clone(&shared.counts),
                board: Arc::clone(&shared.board),
                stopped: stopped.clone(),
            };
            clients.spawn(client.run());
        }
        Load { stop, clients }
    }
}

impl Load {
    /// Lets every client get its last message accepted, and answers what was sent: a conversation for
    /// each, but for those that panicked.
    pub async fn stop(mut self) -> Vec<Chat> {
        self.stop.send_replace(true);
        let mut chats = Vec::new();
        while let Some(chat) = self.clients.join_next().await {
            // Of a client that panicked nothing comes; whoever asked counts.
            chats.extend(chat);
        }
        chats.sort_by(|a, b| a.id.cmp(&b.id));
        chats
    }
}

struct Client {
    chat: Chat,
    plan: Plan,
    http: Http,
    random: Random,
    apis: watch::Receiver<Vec<String>>,
    counts: Arc<Counts>,
    board: Arc<Board>,
    stopped: watch::Receiver<bool>,
}

/// A message on its way to the API.
struct Request {
    body: Value,
    key: Option<String>,
    naming: Naming,
}

enum Answered {
    Accepted(String),
    Again,
    /// Nobody will ever know.
    Unknown,
}

/// How long a client tries after the end of all trouble before it is a finding.
const LAST_TRY: Duration = Duration::from_secs(90);

impl Client {
    async fn run(mut self) -> Chat {
        let mean_ms = 1_000 * self.plan.conversations as u64 / self.plan.per_second.max(1);
        let mut number = 0;
        let mut pause = self.random.between(0, mean_ms);
        loop {
            tokio::select! {
                biased;
                _ = self.stopped.wait_for(|stopped| *stopped) => return self.chat,
                () = tokio::time::sleep(Duration::from_millis(pause)) => {}
            }
            self.send(number).await;
            number += 1;
            pause = self.random.between(mean_ms / 2, mean_ms + mean_ms / 2);
        }
    }

    /// Sends one message until it is accepted.
    async fn send(&mut self, number: usize) {
        let (mut request, is_short) = self.request(number);
        let mut give_up = None;
        loop {
            match self.try_once(&mut request).await {
                Answered::Accepted(id) => return self.chat.sent.push(Sent { id, is_short }),
                Answered::Unknown => return,
                Answered::Again => {}
            }
            let pause = self.random.between(REPEAT_MS.0, REPEAT_MS.1);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            if *self.stopped.borrow() {
                let give_up = *give_up.get_or_insert_with(|| Instant::now() + LAST_TRY);
                if Instant::now() > give_up {
                    let text = format!("a message of {} is not accepted", self.chat.id);
                    return self.board.finds("the API accepts messages again", None, text);
                }
            }
        }
    }

    fn request(&self, number: usize) -> (Request, bool) {
        let naming = match (self.chat.needs_claims, self.random.between(1, 100)) {
            (true, 1..=50) => Naming::Word,
            (true, _) => Naming::Key,
            (false, 1..=5) => Naming::Server,
            (false, _) => Naming::Uuid,
        };
        let word = format!("{}-{number}", self.chat.id);
        let mut body = json!({
            "conversation_id": self.chat.id,
            "receiver_id": self.chat.receiver,
            "account": self.chat.account.name,
            "content": format!("message {number} of {}", self.chat.id),
        });
        match naming {
            Naming::Uuid => {
                let now = Clock::system().now();
                body["message_id"] = self.random.message_id(now).as_str().into();
            }
            Naming::Word => body["message_id"] = word.as_str().into(),
            Naming::Key | Naming::Server => {}
        }
        let is_short = self.random.chance(SHORT_PER_MILLE, 1_000);
        let usual = self.chat.has_lifetime.then_some(self.plan.lifetime_s.1);
        if let Some(lifetime) = if is_short { Some(SHORT_S) } else { usual } {
            body["expires_in"] = lifetime.into();
        }
        let key = matches!(naming, Naming::Key).then_some(word);
        (Request { body, key, naming }, is_short)
    }

    async fn try_once(&self, request: &mut Request) -> Answered {
        let apis = self.apis.borrow().clone();
        let chosen = self.random.between(0, apis.len().saturating_sub(1) as u64);
        let Some(api) = apis.get(usize::try_from(chosen).unwrap_or(0)) else {
            return Answered::Again;
        };
        let url = format!("{api}/v1/messages");
        let began = Instant::now();
        let key = request.key.as_deref().map(|key| ("Idempotency-Key", key));
        let Ok(answer) = self.http.post_with(&url, &request.body, key).await else {
            self.counts.unanswered.fetch_add(1, Ordering::Relaxed);
            let is_named = request.key.is_some() || request.body.get("message_id").is_some();
            if is_named {
                return Answered::Again;
            }
            self.counts.unknown.fetch_add(1, Ordering::Relaxed);
            return Answered::Unknown;
        };
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.counts.slowest_ms.fetch_max(took, Ordering::Relaxed);
        let json = answer.json();
        let id = json["message_id"].as_str();
        match (answer.status, id) {
            (StatusCode::ACCEPTED, Some(id)) => {
                self.counts.accepted.fetch_add(1, Ordering::Relaxed);
                if matches!(request.naming, Naming::Word | Naming::Key) {
                    self.counts.claimed.fetch_add(1, Ordering::Relaxed);
                }
                Answered::Accepted(id.to_owned())
            }
            (StatusCode::SERVICE_UNAVAILABLE, id) => {
                self.counts.unavailable.fetch_add(1, Ordering::Relaxed);
                if !answer.headers.contains_key(header::RETRY_AFTER) {
                    let text = "it has no Retry-After".to_owned();
                    self.board.finds("a 503 says when to come again", id, text);
                }
                if let (Some(id), Naming::Server) = (id, request.naming) {
                    // From now on the client can repeat what the server has named.
                    request.body["message_id"] = id.into();
                }
                Answered::Again
            }
            (other, _) => {
                let text = format!("{other}: {}", answer.text);
                self.board.finds("a right request is accepted or may come again", id, text);
                Answered::Unknown
            }
        }
    }
}
