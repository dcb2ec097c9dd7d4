//! What a message costs altogether, from POST to READ: the processor time of every process that has
//! a hand in it, servers included.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chat4all_process::http_client::{HttpClient, HttpPort};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::options::{Output, RECEIVER};
use crate::{Failure, PATIENCE, cpu, progress};

/// Digits at a receiver's end that are varied.
const VARIED: usize = 3;
/// How often the last messages are asked for.
const LOOK: Duration = Duration::from_millis(200);
/// The main classes of the servers, and what they are called here.
const SERVERS: [(&str, &str); 2] = [("kafka.Kafka", "Kafka"), ("CassandraDaemon", "Cassandra")];
/// What our executables' names begin with; the simulator's cost is nobody's.
const OURS: &str = "chat4all-";
const NOT_COUNTED: [&str; 2] = ["chat4all-simulator", "chat4all-bench"];

/// What is sent.
#[derive(clap::Args)]
pub(crate) struct WholeArgs {
    /// How many messages, after a tenth as many to warm up
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(100..))]
    messages: u32,
    /// Conversations that they belong to
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    conversations: u32,
    /// Requests under way at a time
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    clients: u32,
    /// The API of the running services
    #[arg(long, default_value = "http://127.0.0.1:8080", value_name = "URL")]
    api: String,
    /// To whom; its last three digits are varied
    #[arg(long, default_value = RECEIVER)]
    receiver: String,
    #[command(flatten)]
    output: Output,
}

/// Sends, waits until the last message of every conversation is read, and shows who used what.
///
/// # Errors
/// If nothing runs, a message is refused, or one is not read in time.
pub(crate) async fn run(args: &WholeArgs) -> Result<(), Failure> {
    let processes = processes()?;
    if !processes.keys().any(|name| name.starts_with(OURS)) {
        return Err("no service runs\n  fix: cargo xtask up --release --detach".into());
    }
    let client = Client { http: Arc::new(HttpClient::over_tcp()), api: args.api.clone() };
    progress::say("warming up");
    client.send(args, args.messages / 10).await?;
    progress::say(&format!("sending {} messages", args.messages));
    let (before, began) = (used(&processes)?, Instant::now());
    let sent = client.send(args, args.messages).await?;
    let accepted = began.elapsed();
    progress::say("until they are read");
    client.until_read(sent).await?;
    let took = began.elapsed();
    let after = used(&processes)?;
    progress::clear();
    let thousands = f64::from(args.messages) / 1_000.0;
    let costs: Vec<(String, f64)> = after
        .into_iter()
        .map(|(name, after)| {
            let used = after.saturating_sub(before.get(&name).copied().unwrap_or_default());
            (name, used.as_secs_f64() / thousands)
        })
        .collect();
    let per_second = |time: Duration| f64::from(args.messages) / time.as_secs_f64();
    let report = Report { costs, accepted: per_second(accepted), read: per_second(took) };
    args.output.show(&report.json(), || report.table())
}

struct Client {
    http: Arc<dyn HttpPort>,
    api: String,
}

impl Client {
    /// Answers the last message of every conversation.
    async fn send(&self, args: &WholeArgs, count: u32) -> Result<BTreeMap<u32, String>, Failure> {
        let next = Arc::new(AtomicU32::new(0));
        let mut clients: JoinSet<Result<Vec<(u32, String)>, Failure>> = JoinSet::new();
        for _ in 0..args.clients {
            let (http, next) = (self.http.clone(), next.clone());
            let (url, receiver) = (format!("{}/v1/messages", self.api), args.receiver.clone());
            let conversations = args.conversations;
            clients.spawn(async move {
                let mut sent = Vec::new();
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        return Ok(sent);
                    }
                    let request = message(&url, &receiver, n % conversations)?;
                    let answer = http.call(request, PATIENCE).await?;
                    let text = String::from_utf8_lossy(answer.body());
                    if answer.status() != StatusCode::ACCEPTED {
                        return Err(format!("POST was answered {}: {text}", answer.status()).into());
                    }
                    let answer: Value = serde_json::from_str(&text)?;
                    let id = answer["message_id"].as_str().unwrap_or_default().to_owned();
                    sent.push((n, id));
                }
            });
        }
        let mut last = BTreeMap::new();
        while let Some(sent) = clients.join_next().await {
            let ours = sent??.into_iter();
            last.extend(ours.filter(|(n, _)| n + args.conversations >= count));
        }
        Ok(last)
    }

    async fn until_read(&self, messages: BTreeMap<u32, String>) -> Result<(), Failure> {
        for id in messages.values() {
            let since = Instant::now();
            while !self.is_read(id).await? {
                if since.elapsed() > PATIENCE {
                    return Err(format!("{id} is not read after {} s", PATIENCE.as_secs()).into());
                }
                sleep(LOOK).await;
            }
        }
        Ok(())
    }

    /// Whether it has the last status that its platform reports.
    async fn is_read(&self, id: &str) -> Result<bool, Failure> {
        let url = format!("{}/v1/messages/{id}", self.api);
        let answer = self.http.call(Request::get(url).body(Bytes::new())?, PATIENCE).await?;
        let message: Value = serde_json::from_slice(answer.body())?;
        Ok(message["status"] == "READ")
    }
}

fn message(url: &str, receiver: &str, conversation: u32) -> Result<Request<Bytes>, Failure> {
    let end = receiver.len().saturating_sub(VARIED);
    let body = json!({
        "conversation_id": format!("whole-{conversation}"),
        "receiver_id": format!("{}{:03}", &receiver[..end], conversation % 1_000),
        "content": "As long as the messages of people mostly are, a line or two.",
    });
    let request = Request::post(url).header("content-type", "application/json");
    Ok(request.body(Bytes::from(body.to_string()))?)
}

/// The processes that have a hand in it, by name.
fn processes() -> Result<BTreeMap<String, Vec<u32>>, Failure> {
    let mut found: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let id = entry?.file_name().to_string_lossy().parse::<u32>();
        let Ok(id) = id else { continue };
        // One that has ended meanwhile has no command line.
        let Ok(line) = std::fs::read_to_string(format!("/proc/{id}/cmdline")) else { continue };
        if let Some(name) = name_of(&line) {
            found.entry(name).or_default().push(id);
        }
    }
    Ok(found)
}

/// What a process is called in the report, from its command line with a zero after each word.
fn name_of(line: &str) -> Option<String> {
    let mut words = line.split('\0');
    let program = words.next()?.rsplit('/').next()?;
    if program.starts_with(OURS) {
        return (!NOT_COUNTED.contains(&program)).then(|| program.to_owned());
    }
    let server = words.find_map(|word| SERVERS.iter().find(|(class, _)| word.ends_with(class)));
    server.filter(|_| program == "java").map(|(_, name)| (*name).to_owned())
}

fn used(processes: &BTreeMap<String, Vec<u32>>) -> Result<BTreeMap<String, Duration>, Failure> {
    let sum = |ids: &[u32]| ids.iter().map(|id| cpu::of(*id)).sum::<Result<Duration, Failure>>();
    processes.iter().map(|(name, ids)| Ok((name.clone(), sum(ids)?))).collect()
}

struct Report {
    /// Processor seconds of each process for 1,000 messages.
    costs: Vec<(String, f64)>,
    /// Messages in a second, until all were accepted and until all were read.
    accepted: f64,
    read: f64,
}

impl Report {
    fn total(&self) -> f64 {
        self.costs.iter().map(|(_, cost)| cost).sum()
    }

    fn json(&self) -> Value {
        let costs = self.costs.iter().map(|(name, cost)| (name.clone(), json!(cost)));
        json!({
            "benchmark": "whole",
            "cpu_s_per_1000": Value::Object(costs.collect()),
            "total_cpu_s_per_1000": self.total(),
            "accepted_per_second": self.accepted,
            "read_per_second": self.read,
        })
    }

    fn table(&self) -> String {
        let mut text = format!("{:<32} {:>14}\n", "from POST to READ", "CPU s / 1,000");
        for (name, cost) in &self.costs {
            text += &format!("{name:<32} {cost:>14.4}\n");
        }
        text += &format!("{:<32} {:>14.4}\n", "altogether", self.total());
        text += &format!("accepted {:.0}/s, read {:.0}/s", self.accepted, self.read);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_named_by_its_program_or_its_main_class() {
        let named = |words: &[&str]| name_of(&words.join("\0"));
        assert_eq!(named(&["/a/chat4all-api", "--config", "x"]), Some("chat4all-api".into()));
        assert_eq!(named(&["java", "-cp", "x", "kafka.Kafka", "p"]), Some("Kafka".into()));
        let class = "org.apache.cassandra.service.CassandraDaemon";
        assert_eq!(named(&["/usr/bin/java", class]), Some("Cassandra".into()));
        for words in [&["/a/chat4all-simulator"][..], &["vi", "kafka.Kafka"], &["java", "x"], &[""]]
        {
            assert_eq!(named(words), None);
        }
    }
}
