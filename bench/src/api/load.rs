//! Clients that each send their next request once the last one is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chat4all_process::http_client::{HttpClient, HttpPort};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::{Failure, PATIENCE};

/// The conversation whose pages are read.
const LONG: &str = "bench-long";
/// Messages of a page.
const PAGE: usize = 50;

/// What came of one round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// How many requests were answered.
    pub(crate) requests: u32,
    /// From the first to the last answer.
    pub(crate) wall: Duration,
    /// Of the process that answered.
    pub(crate) cpu: Duration,
    /// Of every request.
    pub(crate) latencies: Vec<Duration>,
}

/// Clients of one process.
pub(crate) struct Load {
    http: Arc<dyn HttpPort>,
    url: String,
    receiver: String,
    clients: u32,
    /// Addresses of the pages of the long conversation, first page first.
    pages: Arc<[String]>,
}

impl Load {
    pub(crate) fn new(url: &str, receiver: &str, clients: u32) -> Self {
        let http: Arc<dyn HttpPort> = Arc::new(HttpClient::over_tcp());
        let (url, receiver) = (url.to_owned(), receiver.to_owned());
        Self { http, url, receiver, clients, pages: Arc::from([]) }
    }

    /// So many messages over so many conversations.
    pub(crate) async fn post(&self, count: u32, conversations: u32) -> Result<Measured, Failure> {
        let post = self.post_to();
        self.each(count, move |n| post(&format!("bench-{}", n % conversations), n)).await
    }

    /// A conversation of so many messages, and the addresses of its pages.
    pub(crate) async fn fill(&mut self, messages: u32) -> Result<(), Failure> {
        let post = self.post_to();
        self.each(messages, move |n| post(LONG, n)).await?;
        let first = format!("{}/v1/conversations/{LONG}/messages?limit={PAGE}", self.url);
        let (mut pages, mut seen) = (vec![first.clone()], 0);
        loop {
            let last = pages.last().unwrap_or(&first);
            let answer = self.http.call(get(last)?, PATIENCE).await?;
            let page: Value = serde_json::from_slice(answer.body())?;
            seen += page["messages"].as_array().map_or(0, Vec::len);
            match page["next_cursor"].as_str() {
                Some(cursor) => pages.push(format!("{first}&cursor={cursor}")),
                None => break,
            }
        }
        if seen != messages as usize {
            return Err(format!("the pages show {seen} of {messages} messages").into());
        }
        self.pages = pages.into();
        Ok(())
    }

    /// So many pages, from everywhere in the conversation.
    pub(crate) async fn read_pages(&self, count: u32) -> Result<Measured, Failure> {
        let pages = self.pages.clone();
        // A step that shares no factor with any usual number of pages visits all of them.
        self.each(count, move |n| get(&pages[n as usize * 7_919 % pages.len()])).await
    }

    /// Makes the request that sends a numbered message to a conversation.
    fn post_to(&self) -> impl Fn(&str, u32) -> Result<Request<Bytes>, Failure> + use<> {
        let (url, receiver) = (format!("{}/v1/messages", self.url), self.receiver.clone());
        move |conversation, n| {
            let text = "as long as the messages of people mostly are, a line or two.";
            let body = json!({
                "conversation_id": conversation,
                "receiver_id": receiver,
                "content": format!("{n:>8}: {text}"),
            });
            let request = Request::post(&url).header("content-type", "application/json");
            Ok(request.body(Bytes::from(body.to_string()))?)
        }
    }

    async fn each(
        &self,
        count: u32,
        request: impl Fn(u32) -> Result<Request<Bytes>, Failure> + Send + Sync + 'static,
    ) -> Result<Measured, Failure> {
        let (request, next) = (Arc::new(request), Arc::new(AtomicU32::new(0)));
        let mut clients: JoinSet<Result<Vec<Duration>, Failure>> = JoinSet::new();
        let began = Instant::now();
        for _ in 0..self.clients {
            let (http, request, next) = (self.http.clone(), request.clone(), next.clone());
            clients.spawn(async move {
                let mut latencies = Vec::new();
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        return Ok(latencies);
                    }
                    let request = request(n)?;
                    let asked = Instant::now();
                    let answer = http.call(request, PATIENCE).await?;
                    if !matches!(answer.status(), StatusCode::ACCEPTED | StatusCode::OK) {
                        let text = String::from_utf8_lossy(answer.body()).into_owned();
                        return Err(format!("answered {}: {text}", answer.status()).into());
                    }
                    latencies.push(asked.elapsed());
                }
            });
        }
        let mut measured = Measured { requests: count, ..Measured::default() };
        while let Some(latencies) = clients.join_next().await {
            measured.latencies.extend(latencies??);
        }
        measured.wall = began.elapsed();
        Ok(measured)
    }
}

fn get(url: &str) -> Result<Request<Bytes>, Failure> {
    Ok(Request::get(url).body(Bytes::new())?)
}
