//! The one port through which calls go out: hyper over TCP and TLS, or over in-memory streams.
//!
//! What matters to a caller that must not send twice is whether the request can have been read by
//! the other side. [`CallError`] says exactly that.

mod in_turn;

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::uri::Scheme;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use thiserror::Error;

pub use in_turn::ConnectInTurn;

/// A call without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CallError {
    /// No connection came about: the other side cannot have read the request.
    #[error("could not connect")]
    NotSent,
    /// The request may have been read, and no (whole) answer came back in time.
    #[error("no answer: {0}")]
    InDoubt(&'static str),
}

/// Makes HTTP calls.
pub trait HttpPort: Send + Sync + 'static {
    /// Sends the request and reads the whole answer, at most [`MAX_ANSWER_BYTES`], in `timeout`.
    ///
    /// A call is polled by one task only: another one would be taken for one that no longer needs its
    /// connection.
    fn call(
        &self,
        request: Request<Bytes>,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<Response<Bytes>, CallError>>;
}

/// The longest answer that is read: platforms answer with a few hundred bytes.
pub const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// Connections without use are closed after this: less than the idle timeouts of common servers,
/// so that a request is rarely written into a connection that the other side is closing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// A pool of HTTP/1.1 connections.
#[derive(Clone, Debug)]
pub struct HttpClient<C> {
    client: Client<C, Full<Bytes>>,
}

/// Makes rustls use the one crypto provider of this program. Must run before the first connection.
pub fn install_crypto() {
    // An error means that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Calls over TCP, with TLS for `https:`.
///
/// A connection is as large as the largest that its client can open: so one client for each.
#[derive(Clone, Debug)]
pub struct OverTcp {
    plain: HttpClient<ConnectInTurn<HttpConnector>>,
    tls: HttpClient<ConnectInTurn<HttpsConnector<HttpConnector>>>,
}

impl HttpClient<ConnectInTurn<HttpConnector>> {
    /// Calls over TCP, with TLS for `https:` (the common public roots).
    pub fn over_tcp() -> OverTcp {
        install_crypto();
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        // Around name, TCP and TLS together: whatever hangs there, nothing was sent.
        let plain = Self::over(ConnectInTurn::new(tcp.clone()));
        tcp.enforce_http(false);
        let tls = HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_only()
            .enable_http1()
            .wrap_connector(tcp);
        OverTcp { plain, tls: HttpClient::over(ConnectInTurn::new(tls)) }
    }
}

impl HttpPort for OverTcp {
    fn call(
        &self,
        request: Request<Bytes>,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<Response<Bytes>, CallError>> {
        if request.uri().scheme() == Some(&Scheme::HTTP) {
            return self.plain.call(request, timeout);
        }
        self.tls.call(request, timeout)
    }
}

impl<C: Connect + Clone + Send + Sync + 'static> HttpClient<C> {
    /// Calls over any connector.
    pub fn over(connector: C) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector);
        Self { client }
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, CallError> {
        let request = request.map(Full::new);
        let response = self.client.request(request).await.map_err(|error| {
            if error.is_connect() {
                CallError::NotSent
            } else {
                CallError::InDoubt("connection lost")
            }
        })?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await.map_err(|error| {
            let too_long = error.downcast_ref::<LengthLimitError>().is_some();
            CallError::InDoubt(if too_long { "answer over 1 MiB" } else { "answer cut off" })
        })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

impl<C: Connect + Clone + Send + Sync + 'static> HttpPort for HttpClient<C> {
    fn call(
        &self,
        request: Request<Bytes>,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<Response<Bytes>, CallError>> {
        Box::pin(async move {
            match tokio::time::timeout(timeout, self.exchange(request)).await {
                Ok(result) => result,
                Err(_) => Err(CallError::InDoubt("timeout")),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn post(port: u16) -> Request<Bytes> {
        let uri = format!("http://127.0.0.1:{port}/x");
        Request::post(uri).body(Bytes::from_static(b"{}")).unwrap()
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_refused_connection_was_not_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = HttpClient::over_tcp().call(post(port), LONG).await.unwrap_err();
        assert_eq!(error, CallError::NotSent);
    }

    #[tokio::test]
    async fn what_is_no_tls_gets_no_request_that_is_meant_for_tls() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("https://{}/x", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut hello = [0; 1024];
            let read = stream.read(&mut hello).await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            hello[..read].to_vec()
        });
        let request = Request::post(uri).body(Bytes::from_static(b"{}")).unwrap();
        let error = HttpClient::over_tcp().call(request, LONG).await.unwrap_err();
        assert_eq!(error, CallError::NotSent);
        let hello = server.await.unwrap();
        assert_eq!(hello[..2], [0x16, 0x03], "a TLS handshake record (RFC 8446, 5.1)");
    }

    #[tokio::test]
    async fn a_connection_closed_after_the_request_was_read_is_in_doubt() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let read = stream.read(&mut [0; 1024]).await.unwrap();
            assert!(read > 0);
        });
        let error = HttpClient::over_tcp().call(post(port), LONG).await.unwrap_err();
        assert_eq!(error, CallError::InDoubt("connection lost"));
        server.await.unwrap();
    }
}
