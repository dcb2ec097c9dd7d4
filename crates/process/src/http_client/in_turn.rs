//! Connections are opened in turn. A backlog of thousands of messages may start at once; without
//! turns each of them would open a connection, although most of them find one that another call has
//! just finished with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::Uri;
use http::uri::Authority;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::task;
use tokio::time::timeout;
use tower_service::Service;

/// How many connections to a host are opened at once.
const CONNECTING: usize = 128;

/// How long a connection waits for its turn. Then it is opened without one: no call fails because
/// others connect slowly.
const TURN: Duration = Duration::from_millis(900);

/// How long a connection may take to come about. With its turn shorter than any call's timeout, so
/// that a timed-out call has been written.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a connection was not opened. Its call has another one, so that nobody sees this.
#[derive(Debug, Error)]
#[error("the call got a free connection before its turn")]
struct NotNeeded;

/// A connector that opens [`CONNECTING`] connections to a host at once, each in [`CONNECT_TIMEOUT`].
#[derive(Clone, Debug)]
pub struct ConnectInTurn<C> {
    connector: C,
    /// By host: one that takes no connections keeps only its own turns. As many as the configuration
    /// names. Never iterated.
    turns: Arc<Mutex<HashMap<Option<Authority>, Arc<Semaphore>>>>,
}

impl<C> ConnectInTurn<C> {
    /// `connector` opens the connections.
    pub fn new(connector: C) -> Self {
        Self { connector, turns: Arc::default() }
    }

    fn turns(&self, uri: &Uri) -> Arc<Semaphore> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Semaphore::new(CONNECTING));
        turns.entry(uri.authority().cloned()).or_insert_with(new).clone()
    }
}

impl<C> Service<Uri> for ConnectInTurn<C>
where
    C: Service<Uri> + Clone + Send + 'static,
    C::Future: Send + 'static,
    C::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = C::Response;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = BoxFuture<'static, Result<C::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.connector.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let turns = self.turns(&uri);
        // The one that is ready is used; a clone of it may not be. It is not asked before its turn: what
        // it answers with is large, and thousands may wait.
        let next = self.connector.clone();
        let mut connector = std::mem::replace(&mut self.connector, next);
        // Whoever asks is the call that needs a connection. When it finds a free one first, hyper-util
        // goes on with this future in a task of its own, for whoever comes later.
        let asked_by = task::try_id();
        Box::pin(async move {
            let _turn = timeout(TURN, turns.acquire_owned()).await;
            if task::try_id() != asked_by {
                return Err(NotNeeded.into());
            }
            timeout(CONNECT_TIMEOUT, connector.call(uri)).await?.map_err(Into::into)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;
    use http::Request;
    use hyper_util::client::legacy::connect::HttpConnector;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::super::{CallError, HttpClient, HttpPort};
    use super::*;

    /// Counts the connections that are really opened.
    #[derive(Clone)]
    struct Counted(HttpConnector, Arc<AtomicUsize>);

    impl Service<Uri> for Counted {
        type Response = <HttpConnector as Service<Uri>>::Response;
        type Error = <HttpConnector as Service<Uri>>::Error;
        type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            self.0.poll_ready(cx)
        }

        fn call(&mut self, uri: Uri) -> Self::Future {
            let (connecting, opened) = (self.0.call(uri), self.1.clone());
            Box::pin(async move {
                opened.fetch_add(1, Ordering::Relaxed);
                connecting.await
            })
        }
    }

    /// Opens connections that do not come about.
    #[derive(Clone)]
    struct Stuck(Arc<AtomicUsize>);

    impl Service<Uri> for Stuck {
        type Response = <HttpConnector as Service<Uri>>::Response;
        type Error = <HttpConnector as Service<Uri>>::Error;
        type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Uri) -> Self::Future {
            self.0.fetch_add(1, Ordering::Relaxed);
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_are_opened_at_once_and_each_host_has_turns_of_its_own() {
        let opened = Arc::new(AtomicUsize::new(0));
        let client = HttpClient::over(ConnectInTurn::new(Stuck(opened.clone())));
        let call = |host: &str| {
            let request = Request::post(format!("http://{host}/x")).body(Bytes::new()).unwrap();
            let client = client.clone();
            tokio::spawn(async move { client.call(request, Duration::from_secs(20)).await })
        };
        let stuck: Vec<_> = (0..CONNECTING + 7).map(|_| call("stuck")).collect();
        tokio::time::sleep(TURN / 2).await; // sleep: simulated time
        assert_eq!(opened.load(Ordering::Relaxed), CONNECTING);
        let other = call("other");
        tokio::time::sleep(TURN / 4).await; // sleep: simulated time
        assert_eq!(opened.load(Ordering::Relaxed), CONNECTING + 1);
        tokio::time::sleep(TURN).await; // sleep: simulated time
        assert_eq!(opened.load(Ordering::Relaxed), CONNECTING + 8);
        for call in stuck.into_iter().chain([other]) {
            assert_eq!(call.await.unwrap().unwrap_err(), CallError::NotSent);
        }
    }

    struct World {
        listener: TcpListener,
        uri: Uri,
        opened: Arc<AtomicUsize>,
        turns: Arc<Semaphore>,
        client: HttpClient<ConnectInTurn<Counted>>,
    }

    impl World {
        async fn new() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let uri = format!("http://{}/x", listener.local_addr().unwrap()).parse().unwrap();
            let opened = Arc::new(AtomicUsize::new(0));
            let connector = ConnectInTurn::new(Counted(HttpConnector::new(), opened.clone()));
            let turns = connector.turns(&uri);
            Self { listener, uri, opened, turns, client: HttpClient::over(connector) }
        }

        fn call(&self) -> task::JoinHandle<Result<(), CallError>> {
            let (client, request) = (self.client.clone(), Request::post(&self.uri));
            let request = request.body(Bytes::new()).unwrap();
            tokio::spawn(
                async move { client.call(request, Duration::from_secs(20)).await.map(drop) },
            )
        }
    }

    async fn answer(stream: &mut TcpStream) {
        let mut request = [0; 1024];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    }

    #[tokio::test]
    async fn a_call_that_finds_a_free_connection_opens_none() {
        let world = World::new().await;
        let first = world.call();
        let (mut stream, _) = world.listener.accept().await.unwrap();
        // Nobody else gets a turn before both calls are over.
        let all = world.turns.clone().acquire_many_owned(CONNECTING as u32).await.unwrap();
        let second = world.call();
        task::yield_now().await;
        for answered in [first, second] {
            answer(&mut stream).await;
            answered.await.unwrap().unwrap();
        }
        drop(all);
        // Turns are given in order: the second call's was before these.
        let _all = world.turns.acquire_many(CONNECTING as u32).await.unwrap();
        assert_eq!(world.opened.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn no_call_fails_for_want_of_a_turn() {
        let world = World::new().await;
        let _all = world.turns.clone().acquire_many_owned(CONNECTING as u32).await.unwrap();
        let call = world.call();
        let (mut stream, _) = world.listener.accept().await.unwrap();
        answer(&mut stream).await;
        call.await.unwrap().unwrap();
    }
}
