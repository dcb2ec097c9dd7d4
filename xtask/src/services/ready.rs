//! Whether a process says that it is ready.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long one answer may take; the question is repeated.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks once for a path; answers the status code.
///
/// # Errors
/// If there is no answer, or not one of HTTP.
pub fn ask(address: &str, path: &str) -> io::Result<u16> {
    let address: SocketAddr =
        address.parse().map_err(|_| io::Error::other(format!("{address} is no address")))?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    // "HTTP/1.1 200": all that matters.
    let mut begin = [0; 12];
    stream.read_exact(&mut begin)?;
    status(&begin).ok_or_else(|| io::Error::other("this is no answer of HTTP"))
}

fn status(begin: &[u8]) -> Option<u16> {
    std::str::from_utf8(begin).ok()?.strip_prefix("HTTP/1.1 ")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn server(answer: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 17];
            stream.read_exact(&mut request).unwrap();
            assert_eq!(&request, b"GET /ready HTTP/1");
            stream.write_all(answer).unwrap();
        });
        address
    }

    #[test]
    fn the_status_of_the_answer_counts() {
        assert_eq!(ask(&server(b"HTTP/1.1 200 OK\r\n\r\n"), "/ready").unwrap(), 200);
        assert_eq!(
            ask(&server(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"), "/ready").unwrap(),
            503
        );
        assert!(ask(&server(b"SSH-2.0-OpenSSH_9.6\r\n"), "/ready").is_err());
        assert!(ask("nowhere", "/ready").is_err());
    }
}
