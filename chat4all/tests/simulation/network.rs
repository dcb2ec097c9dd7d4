//! HTTP in memory: an address leads to a router, a connection is a pair of streams.

use std::collections::BTreeMap;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::Router;
use chat4all_process::serve;
use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;

/// Who listens where.
#[derive(Clone, Default)]
pub struct Network(Arc<Mutex<BTreeMap<String, Router>>>);

impl Network {
    /// From now on connections to `address` (`host:port`) are served by `router`.
    pub fn listen(&self, address: &str, router: Router) {
        self.0.lock().unwrap().insert(address.to_owned(), router);
    }
}

impl tower_service::Service<Uri> for Network {
    type Response = Stream;
    type Error = io::Error;
    type Future = Ready<io::Result<Stream>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let address = uri.authority().map(ToString::to_string).unwrap_or_default();
        let Some(router) = self.0.lock().unwrap().get(&address).cloned() else {
            return ready(Err(io::ErrorKind::ConnectionRefused.into()));
        };
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        // Ends with the connection, or with the runtime.
        drop(tokio::spawn(serve::serve_connection(TokioIo::new(theirs), router)));
        ready(Ok(Stream(TokioIo::new(ours))))
    }
}

/// One end of a connection.
pub struct Stream(TokioIo<DuplexStream>);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl hyper::rt::Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl hyper::rt::Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
