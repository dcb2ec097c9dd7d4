//! One request of HTTP to a server on this machine, and its whole answer.
//!
//! HTTP/1.0: the server closes the connection at the end, and sends no chunks.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer: a registry of metrics is far smaller.
const LONGEST: u64 = 16 * 1024 * 1024;

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON; null if it is something else.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

/// A request without a body.
///
/// # Errors
/// If there is no answer, or not one of HTTP.
pub fn ask(method: &str, address: SocketAddr, path: &str) -> io::Result<Answer> {
    send(method, address, path, "text/plain", "")
}

/// A request with a body.
///
/// # Errors
/// As [`ask`].
pub fn post(address: SocketAddr, path: &str, kind: &str, body: &str) -> io::Result<Answer> {
    send("POST", address, path, kind, body)
}

fn send(
    method: &str,
    address: SocketAddr,
    path: &str,
    kind: &str,
    body: &str,
) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.0\r\nhost: {address}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut bytes = Vec::new();
    stream.take(LONGEST).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    parse(&text).ok_or_else(|| io::Error::other("this is no answer of HTTP"))
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

/// A value in a form or in a query.
pub fn encoded(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    value
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_status_and_a_body() {
        let answer = parse("HTTP/1.0 202 Accepted\r\na: b\r\n\r\n{\"x\":1}").unwrap();
        assert_eq!((answer.status, answer.json()["x"].as_u64()), (202, Some(1)));
        assert_eq!(parse("HTTP/1.1 404 Not Found\r\n\r\n").unwrap().status, 404);
        assert_eq!(parse("SSH-2.0-OpenSSH_9.6\r\n\r\n"), None);
    }

    #[test]
    fn a_value_is_encoded_byte_by_byte() {
        assert_eq!(encoded("up{a=\"é\"} > 1"), "up%7Ba%3D%22%C3%A9%22%7D%20%3E%201");
    }
}
