//! Asks a running process whether it is healthy: the health check of an image that holds nothing
//! but the executable. Blocks the thread, so it is for a process that does nothing else.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use crate::exit::{Failure, UNSUCCESSFUL};

/// The longest wait for a connection, and for the first words of the answer.
const LIMIT: Duration = Duration::from_secs(2);

/// Everything up to the status code.
const STATUS_LINE: usize = "HTTP/1.1 200".len();

/// The end of a program that was started only to ask.
pub fn probe(program: &str, listen: SocketAddr) -> ExitCode {
    match ask(listen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.say(program),
    }
}

/// Asks /health of the process that listens at `listen`.
///
/// # Errors
/// If it does not answer in time, or says no.
pub fn ask(listen: SocketAddr) -> Result<(), Failure> {
    let address = reachable(listen);
    let no = |why: String| Failure::new(UNSUCCESSFUL, format!("http://{address}/health {why}"));
    match status_line(address) {
        Ok(line) if line.ends_with(b" 200") => Ok(()),
        Ok(line) => Err(no(format!("says {}", String::from_utf8_lossy(&line)))),
        Err(error) => Err(no(format!("does not answer: {error}"))),
    }
}

fn status_line(address: SocketAddr) -> std::io::Result<[u8; STATUS_LINE]> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let request = format!("GET /health HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut line = [0; STATUS_LINE];
    stream.read_exact(&mut line)?;
    Ok(line)
}

/// Who listens on every address of this machine is called on its loopback.
pub fn reachable(mut listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    listen
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What is said to someone who answers `answer`, and where.
    fn asked(answer: &'static str) -> (Result<(), Failure>, String) {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let listen = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let read = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        let result = ask(listen);
        (result, server.join().unwrap())
    }

    #[test]
    fn a_process_that_says_yes_is_healthy() {
        let (result, request) = asked("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(result, Ok(()));
        assert!(request.starts_with("GET /health HTTP/1.1\r\nhost: 127.0.0.1:"), "{request}");
    }

    #[test]
    fn a_process_that_says_no_or_nothing_is_not() {
        let (no, _) = asked("HTTP/1.1 503 Service Unavailable\r\n\r\n");
        let no = no.unwrap_err();
        assert_eq!(no.code, UNSUCCESSFUL);
        assert!(no.text.ends_with("/health says HTTP/1.1 503"), "{}", no.text);
        let (cut, _) = asked("HTTP");
        assert!(cut.unwrap_err().text.contains("does not answer"));
    }

    #[test]
    fn nobody_there_is_not_healthy() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = listener.local_addr().unwrap();
        drop(listener);
        assert!(ask(listen).unwrap_err().text.contains("does not answer"));
    }
}
