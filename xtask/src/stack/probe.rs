//! Whether a server really answers: one request of its own protocol, over TCP.
//!
//! An open port is not enough: both servers listen before they can serve.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::time::Duration;

/// How long one answer may take; the question is repeated.
const PATIENCE: Duration = Duration::from_secs(2);
/// No answer to these questions is larger.
const LARGEST_ANSWER: usize = 1 << 20;

/// Asks Kafka for its brokers (Metadata, version 4, without topics): it answers with at least one
/// once the broker is registered and serves.
///
/// # Errors
/// If there is no answer, or no broker in it.
pub fn kafka(address: SocketAddrV4) -> io::Result<()> {
    let mut stream = connect(address)?;
    stream.write_all(&kafka_request())?;
    let size = u32::from_be_bytes(read_bytes(&mut stream)?);
    let answer = read_answer(&mut stream, size)?;
    match kafka_brokers(&answer) {
        Some(1..) => Ok(()),
        Some(_) => Err(io::Error::other("no broker is registered yet")),
        None => Err(io::Error::other("this is no answer of Kafka")),
    }
}

/// Opens a session with Cassandra as a driver does (CQL, version 4: OPTIONS, then STARTUP).
///
/// # Errors
/// If there is no answer, or another one than a driver needs.
pub fn cassandra(address: SocketAddrV4) -> io::Result<()> {
    const OPTIONS: u8 = 0x05;
    const SUPPORTED: u8 = 0x06;
    const STARTUP: u8 = 0x01;
    const READY: u8 = 0x02;
    let mut stream = connect(address)?;
    let startup = startup_body();
    let dialogue: [(u8, &[u8], u8); 2] = [(OPTIONS, &[], SUPPORTED), (STARTUP, &startup, READY)];
    for (request, body, expected) in dialogue {
        stream.write_all(&cassandra_frame(request, body))?;
        let header: [u8; 9] = read_bytes(&mut stream)?;
        let [.., opcode, a, b, c, d] = header;
        read_answer(&mut stream, u32::from_be_bytes([a, b, c, d]))?;
        if opcode != expected {
            return Err(io::Error::other(format!("Cassandra answers with opcode {opcode}")));
        }
    }
    Ok(())
}

fn connect(address: SocketAddrV4) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&SocketAddr::V4(address), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn read_bytes<const N: usize>(stream: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_answer(stream: &mut TcpStream, size: u32) -> io::Result<Vec<u8>> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size > LARGEST_ANSWER {
        return Err(io::Error::other("the answer has no sensible size"));
    }
    let mut answer = vec![0; size];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

fn kafka_request() -> Vec<u8> {
    const METADATA: i16 = 3;
    const VERSION: i16 = 4;
    const CLIENT: &str = "xtask";
    let mut body = Vec::new();
    body.extend(METADATA.to_be_bytes());
    body.extend(VERSION.to_be_bytes());
    body.extend(1_i32.to_be_bytes()); // correlation id
    body.extend(5_i16.to_be_bytes());
    body.extend(CLIENT.as_bytes());
    body.extend(0_i32.to_be_bytes()); // no topics
    body.push(0); // create none
    let mut request = 20_i32.to_be_bytes().to_vec();
    request.extend(body);
    request
}

/// The number of brokers: it follows the correlation id and the throttle time.
fn kafka_brokers(answer: &[u8]) -> Option<u32> {
    let count = answer.get(8..12)?;
    Some(u32::from_be_bytes(count.try_into().ok()?))
}

fn cassandra_frame(opcode: u8, body: &[u8]) -> Vec<u8> {
    const VERSION: u8 = 4;
    let length = u32::try_from(body.len()).unwrap_or(0);
    let mut frame = vec![VERSION, 0, 0, 0, opcode];
    frame.extend(length.to_be_bytes());
    frame.extend(body);
    frame
}

/// A map of one pair: CQL_VERSION = 3.0.0.
fn startup_body() -> Vec<u8> {
    let mut body = 1_u16.to_be_bytes().to_vec();
    for text in ["CQL_VERSION", "3.0.0"] {
        body.extend(u16::try_from(text.len()).unwrap_or(0).to_be_bytes());
        body.extend(text.as_bytes());
    }
    body
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::thread;

    use super::*;

    /// A server that reads and answers in turn, once.
    fn server(answers: Vec<(usize, Vec<u8>)>) -> SocketAddrV4 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let SocketAddr::V4(address) = listener.local_addr().unwrap() else { panic!("no IPv4") };
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for (length, answer) in answers {
                let mut request = vec![0; length];
                stream.read_exact(&mut request).unwrap();
                stream.write_all(&answer).unwrap();
            }
        });
        address
    }

    fn kafka_answer(brokers: u32) -> Vec<u8> {
        let mut answer = 12_u32.to_be_bytes().to_vec();
        answer.extend([0, 0, 0, 1, 0, 0, 0, 0]);
        answer.extend(brokers.to_be_bytes());
        answer
    }

    #[test]
    fn kafkas_request_says_its_own_length() {
        let request = kafka_request();
        assert_eq!(request[..4], u32::try_from(request.len() - 4).unwrap().to_be_bytes());
    }

    #[test]
    fn kafka_answers_once_a_broker_is_registered() {
        assert!(kafka(server(vec![(24, kafka_answer(1))])).is_ok());
        assert!(kafka(server(vec![(24, kafka_answer(0))])).is_err());
        assert!(kafka(server(vec![(24, b"HTTP/1.1 400 Bad Request".to_vec())])).is_err());
        assert!(kafka(server(vec![])).is_err());
    }

    #[test]
    fn cassandra_answers_once_a_session_can_begin() {
        let supported = cassandra_frame(0x06, &[0, 0]);
        let ready = cassandra_frame(0x02, &[]);
        let startup = cassandra_frame(0x01, &startup_body()).len();
        let address = server(vec![(9, supported.clone()), (startup, ready)]);
        assert!(cassandra(address).is_ok());
        let error = cassandra_frame(0x00, &[0, 0, 0, 10]);
        assert!(cassandra(server(vec![(9, supported), (startup, error)])).is_err());
        assert!(cassandra(server(vec![])).is_err());
    }
}
