//! The platform, a process of its own so that nobody is charged for it: answers every call with a
//! success after the time that the message's number decides, and keeps a [`Ledger`].
//!
//! HTTP/1.1 by hand: a server that costs as much as the caller would be what is measured.

use std::io::{BufRead, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, BytesMut};
use chat4all_process::{Clock, descriptors};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use super::ledger::{Called, Ledger};
use super::scenario::call_time;
use crate::Failure;

/// The platform's part of `connector`; started by it.
#[derive(clap::Args)]
pub(crate) struct StubArgs {
    /// How many messages are measured
    #[arg(long)]
    messages: u32,
    /// Of how many conversations
    #[arg(long)]
    conversations: u32,
    /// The shortest call
    #[arg(long)]
    least_ms: u64,
    /// The longest call
    #[arg(long)]
    most_ms: u64,
    /// Decides how long each call takes
    #[arg(long)]
    seed: u64,
}

/// The longest request.
const REQUEST: usize = 64 << 10;

struct Stub {
    args: StubArgs,
    ledger: Mutex<Ledger>,
    clock: Clock,
}

/// Serves until standard input ends. One thread: more would take the cores from who is measured.
pub(crate) fn run(args: StubArgs) -> Result<(), Failure> {
    descriptors::raise_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind(([127, 0, 0, 1], 0).into())?;
        // Ten thousand connections may come at once.
        let listener = socket.listen(16_384)?;
        writeln!(std::io::stdout(), "{}", json!({"address": listener.local_addr()?}))?;
        let ledger = Mutex::new(Ledger::new(args.messages, args.conversations));
        let stub = Arc::new(Stub { args, ledger, clock: Clock::system() });
        let ended = tokio::task::spawn_blocking({
            let stub = stub.clone();
            move || stub.answer_questions()
        });
        let accepting = async {
            loop {
                let (stream, _) = listener.accept().await?;
                tokio::spawn(serve(stream, stub.clone()));
            }
        };
        tokio::select! {
            biased;
            asked = ended => asked?.map_err(Failure::from),
            failed = accepting => failed,
        }
    })
}

impl Stub {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line a question, a line an answer.
    fn answer_questions(&self) -> std::io::Result<()> {
        for question in std::io::stdin().lock().lines() {
            let answer = match question?.as_str() {
                "look" => serde_json::to_string(&self.ledger().look())?,
                _ => serde_json::to_string(&self.ledger().report())?,
            };
            writeln!(std::io::stdout(), "{answer}")?;
        }
        Ok(())
    }

    async fn call(&self, body: &[u8]) -> bool {
        let Some(called) = Called::find(body) else { return false };
        let now_ms = self.clock.now().as_ms();
        self.ledger().begin(&called, Instant::now(), now_ms);
        let time =
            call_time((self.args.least_ms, self.args.most_ms), self.args.seed, called.number);
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
        self.ledger().end(&called);
        true
    }
}

/// What the platforms' answers have in common with what each of them needs.
const ACCEPTED: &str = concat!(
    r#"{"contacts":[{"input":"5511999990000","wa_id":"5511999990000"}],"#,
    r#""messages":[{"id":"bench.HBgNNTUxMTk5OTk5MDAwMBUCABEYEjhBNEQ"}],"#,
    r#""message_id":"bench.1","recipient_id":"bench"}"#
);

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// A connection, until the other side closes it.
async fn serve(mut stream: TcpStream, stub: Arc<Stub>) {
    let accepted = answer("200 OK", ACCEPTED);
    let refused = answer("400 Bad Request", r#"{"error":{"code":100,"message":"not understood"}}"#);
    let mut buffer = BytesMut::with_capacity(2 << 10);
    // Whoever was killed leaves connections behind.
    let _closed = stream.set_nodelay(true);
    loop {
        let Some((head, length)) = request(&buffer) else {
            match stream.read_buf(&mut buffer).await {
                Ok(1..) if buffer.len() <= REQUEST => continue,
                _ => return,
            }
        };
        let is_known = stub.call(&buffer[head..head + length]).await;
        buffer.advance(head + length);
        let answer = if is_known { &accepted } else { &refused };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Of a whole request, the lengths of its head and its body.
fn request(buffer: &[u8]) -> Option<(usize, usize)> {
    let head = buffer.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let length = buffer[..head].split(|byte| *byte == b'\n').find_map(|line| {
        let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let length = length.unwrap_or(0);
    (buffer.len() - head >= length).then_some((head, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_whole_when_its_body_is() {
        let text = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(request(text), Some((text.len() - 3, 3)));
        assert_eq!(request(&text[..text.len() - 1]), None);
        assert_eq!(request(b"GET / HTTP/1.1\r\n\r\nrest"), Some((18, 0)));
    }
}
