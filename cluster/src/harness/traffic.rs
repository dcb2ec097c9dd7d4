//! Messages over conversations, as a client sends them that wants every message to arrive.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use chat4all_process::{Clock, Random};
use http::{StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, Interval, MissedTickBehavior, interval, timeout};

use super::{Account, Cluster, Http, PATIENCE, Role};

/// Requests under way at a time.
const SENDERS: usize = 32;

/// After how long a client repeats a message: sooner than any Retry-After asks for.
const REPEAT: Duration = Duration::from_millis(250);

/// Who names the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// The client, with a UUIDv7; every tenth message has a name of its own kind, which needs a claim
    /// in the store.
    Client,
    /// As `Client`, without any that needs a claim.
    ClientUuids,
    /// As `Client`, and all of them need a claim.
    ClientNames,
    /// The server: a client that hears nothing does not know whether to repeat.
    Server,
}

/// What to send. Conversations take turns on the accounts.
#[derive(Clone, Copy)]
pub struct Plan {
    /// Tells the conversations of one plan from those of another.
    pub name: &'static str,
    /// How many conversations.
    pub conversations: usize,
    /// The least number of messages of each conversation: more of them come until
    /// [`Sending::done`], so that whatever a test does is done while messages come in.
    pub messages: usize,
    /// New messages in a second, over all conversations; fewer if the API does not take them.
    pub per_second: u32,
    /// Who names its messages.
    pub ids: Ids,
}

/// One conversation with the messages that were answered 202, in that order.
pub struct Conversation {
    /// As the client names it.
    pub id: String,
    /// From where its messages go out.
    pub account: Account,
    receiver: String,
    /// The ids of its messages.
    pub accepted: Vec<String>,
}

/// What the API has answered.
#[derive(Default)]
pub struct Counts {
    /// 202.
    pub accepted: AtomicUsize,
    /// 503: the client repeats the message.
    pub unavailable: AtomicUsize,
    /// No answer at all: the client repeats the message.
    pub unanswered: AtomicUsize,
    /// The longest time that an answer took, in milliseconds.
    pub slowest_ms: AtomicUsize,
}

/// Messages being sent.
pub struct Sending {
    tasks: JoinSet<Vec<Conversation>>,
    is_enough: Arc<AtomicBool>,
    /// What the API has answered so far.
    pub counts: Arc<Counts>,
}

/// What was sent. Dropping it fails the test if a message was not seen to end.
pub struct Traffic {
    /// Every conversation that had a message.
    pub conversations: Vec<Conversation>,
    /// What the API has answered.
    pub counts: Arc<Counts>,
    pub(super) settled: bool,
}

#[derive(Clone)]
struct Client {
    http: Http,
    url: String,
    random: Random,
    ids: Ids,
    counts: Arc<Counts>,
    is_enough: Arc<AtomicBool>,
}

impl Plan {
    fn conversation(&self, accounts: &[Account], index: usize) -> Conversation {
        let account = accounts[index % accounts.len()].clone();
        // A platform that knows no conversations shows receivers: no two plans share one.
        let index_of_plan =
            self.name.bytes().fold(7, |n, byte| (n * 31 + usize::from(byte)) % 90_000);
        let number = index_of_plan * 1_000 + index;
        let receiver = match account.platform {
            "whatsapp" => format!("whatsapp:+5511{:09}", 900_000_000 + number),
            other => format!("{other}:{}", 17_841_400_000_000_000_usize + number),
        };
        let id = format!("{}-{index}", self.name);
        Conversation { id, account, receiver, accepted: Vec::new() }
    }

    /// Begins to send. Every message is repeated under its id until it is answered 202, also while
    /// nobody answers; the next of its conversation follows then.
    pub fn start(self, cluster: &Cluster) -> Sending {
        let mut pace = interval(Duration::from_secs(1) / self.per_second);
        pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let pace = Arc::new(Mutex::new(pace));
        let (mut tasks, counts, random) = (JoinSet::new(), Arc::default(), Random::system());
        let is_enough = Arc::new(AtomicBool::new(false));
        for sender in 0..SENDERS {
            let share = (0..self.conversations).skip(sender).step_by(SENDERS);
            let share = share.map(|index| self.conversation(&cluster.config.accounts, index));
            let share: Vec<Conversation> = share.collect();
            let client = Client {
                http: cluster.http.clone(),
                url: format!("{}/v1/messages", cluster.url(Role::Api)),
                random: random.fork(),
                ids: self.ids,
                counts: Arc::clone(&counts),
                is_enough: Arc::clone(&is_enough),
            };
            tasks.spawn(client.send_all(share, self.messages, pace.clone()));
        }
        Sending { tasks, is_enough, counts }
    }
}

impl Sending {
    /// How many messages were accepted so far.
    pub fn accepted(&self) -> usize {
        self.counts.accepted.load(Ordering::Relaxed)
    }

    /// Waits until all are accepted; none come any more that the plan does not ask for.
    pub async fn done(mut self) -> Traffic {
        self.is_enough.store(true, Ordering::Relaxed);
        let mut conversations = Vec::new();
        while let Some(share) = self.tasks.join_next().await {
            conversations.extend(share.expect("a sender ends"));
        }
        Traffic { conversations, counts: self.counts, settled: false }
    }
}

impl Client {
    async fn send_all(
        self,
        mut share: Vec<Conversation>,
        messages: usize,
        pace: Arc<Mutex<Interval>>,
    ) -> Vec<Conversation> {
        let mut number = 0;
        while !share.is_empty() {
            for conversation in &mut share {
                if number >= messages && self.is_enough.load(Ordering::Relaxed) {
                    return share;
                }
                pace.lock().await.tick().await;
                let id = self.send(conversation, number).await;
                conversation.accepted.push(id);
            }
            number += 1;
        }
        share
    }

    fn name(&self, to: &Conversation, number: usize) -> Option<String> {
        let uuid = || self.random.message_id(Clock::system().now()).to_string();
        let name = || format!("{}-{number}", to.id);
        match self.ids {
            Ids::Server => None,
            Ids::Client if number % 10 == 4 => Some(name()),
            Ids::Client | Ids::ClientUuids => Some(uuid()),
            Ids::ClientNames => Some(name()),
        }
    }

    async fn send(&self, to: &Conversation, number: usize) -> String {
        let mut body = json!({
            "conversation_id": to.id,
            "receiver_id": to.receiver,
            "account": to.account.name,
            "content": format!("message {number} of {}", to.id),
        });
        if let Some(id) = self.name(to, number) {
            body["message_id"] = id.into();
        }
        // Not `eventually`: its closures cannot go to a task.
        let accepted = async {
            loop {
                if let Some(id) = self.try_once(&mut body).await {
                    return id;
                }
                tokio::time::sleep(REPEAT).await; // sleep: a client comes again after a while
            }
        };
        timeout(PATIENCE, accepted).await.expect("a message is accepted in time")
    }

    /// The message's id if it was accepted. Anything but that, a 503 or no answer fails the test.
    async fn try_once(&self, body: &mut Value) -> Option<String> {
        let began = Instant::now();
        let Ok(answer) = self.http.post(&self.url, body).await else {
            assert_ne!(self.ids, Ids::Server, "nobody answers, and the message has no name");
            self.counts.unanswered.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        let took = usize::try_from(began.elapsed().as_millis()).unwrap_or(usize::MAX);
        self.counts.slowest_ms.fetch_max(took, Ordering::Relaxed);
        let json = answer.json();
        let id = json["message_id"].as_str();
        match answer.status {
            StatusCode::ACCEPTED => {
                self.counts.accepted.fetch_add(1, Ordering::Relaxed);
                Some(id.expect("an id").to_owned())
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                assert!(answer.headers.contains_key(header::RETRY_AFTER), "{}", answer.text);
                self.counts.unavailable.fetch_add(1, Ordering::Relaxed);
                if let Some(id) = id {
                    // From now on the client can repeat what the server has named.
                    body["message_id"] = id.into();
                }
                None
            }
            other => panic!("{other}: {}", answer.text),
        }
    }
}

impl Traffic {
    /// One message that the test has sent itself.
    pub fn of_one(cluster: &Cluster, body: &Value) -> Self {
        let text = |name: &str| body[name].as_str().expect("a text").to_owned();
        let conversation = Conversation {
            id: text("conversation_id"),
            account: cluster.config.accounts[0].clone(),
            receiver: text("receiver_id"),
            accepted: vec![text("message_id")],
        };
        Self { conversations: vec![conversation], counts: Arc::default(), settled: false }
    }

    /// How many were accepted.
    pub fn accepted(&self) -> usize {
        self.conversations.iter().map(|conversation| conversation.accepted.len()).sum()
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.settled, "the test ended before its messages were seen to end");
        }
    }
}
