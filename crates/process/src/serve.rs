//! Serves HTTP/1.1 with limits: a bounded number of connections, a deadline for a request's head.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::config::ConfigError;
use crate::shutdown::Shutdown;

/// A request's head must be complete this soon: a slow-loris client costs no more.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long running requests may take to finish once the order to stop is given.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The most connections a listener holds at once; further ones wait in the kernel's backlog.
const MAX_CONNECTIONS: usize = 10_000;

/// Binds a port.
///
/// # Errors
/// Names `key` if the port is in use or the address is not ours.
pub async fn bind(key: &str, address: SocketAddr) -> Result<TcpListener, ConfigError> {
    TcpListener::bind(address).await.map_err(|error| {
        let rule = format!("must be a free address of this machine: {error}");
        ConfigError::of(key, address, rule, "stop what listens there, or choose another port")
    })
}

/// As [`bind`], trying again for up to `patience` while the port is in use.
///
/// # Errors
/// As [`bind`].
pub async fn bind_within(
    key: &str,
    address: SocketAddr,
    patience: Duration,
) -> Result<TcpListener, ConfigError> {
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        match bind(key, address).await {
            Err(_) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            result => return result,
        }
    }
}

fn connection_options() -> http1::Builder {
    let mut builder = http1::Builder::new();
    // The Date header would make two simulated runs differ, and nothing here needs it.
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).auto_date_header(false);
    builder
}

/// Serves one connection until its peer closes it; used by simulations over in-memory streams.
pub async fn serve_connection<I>(io: I, router: Router) -> Result<(), hyper::Error>
where
    I: Read + Write + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(router);
    connection_options().serve_connection(io, service).await
}

/// Serves `router` until `shutdown`; then lets running requests finish for up to 10 s.
pub async fn serve(listener: TcpListener, router: Router, shutdown: Shutdown) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    while let Some(Ok(permit)) = shutdown.unless(permits.clone().acquire_owned()).await {
        let Some(accepted) = shutdown.unless(listener.accept()).await else { break };
        while connections.try_join_next().is_some() {}
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, usually: give others the time to close some.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Small answers must not wait for the peer's delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let service = TowerToHyperService::new(router.clone());
        let shutdown = shutdown.clone();
        connections.spawn(async move {
            let connection = connection_options().serve_connection(TokioIo::new(stream), service);
            tokio::pin!(connection);
            let ended = tokio::select! {
                biased;
                ended = connection.as_mut() => ended,
                () = shutdown.wait() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(permit);
        });
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
        tracing::warn!("requests still running after the drain deadline were cut off");
    }
}
