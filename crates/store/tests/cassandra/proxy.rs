//! A wire between the driver and the server that a test can cut.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the wire does with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// It carries them.
    Whole,
    /// The server's answers get lost; requests arrive.
    Deaf,
    /// Connections end, and new ones end at once.
    Cut,
}

/// The wire. Ends with the test's runtime.
pub struct Proxy {
    address: SocketAddr,
    wire: watch::Sender<Wire>,
}

impl Proxy {
    pub async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (wire, state) = watch::channel(Wire::Whole);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connection(client, server.clone(), state.clone()));
            }
        });
        Self { address, wire }
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    pub fn set(&self, wire: Wire) {
        self.wire.send_replace(wire);
    }
}

async fn connection(client: TcpStream, server: String, mut state: watch::Receiver<Wire>) {
    let (from_client, to_client) = client.into_split();
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (from_server, to_server) = server.into_split();
    let (there, back) = (state.clone(), state.clone());
    tokio::select! {
        biased;
        _ = state.wait_for(|wire| *wire == Wire::Cut) => {}
        () = carry(from_client, to_server, there, false) => {}
        () = carry(from_server, to_client, back, true) => {}
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    state: watch::Receiver<Wire>,
    are_answers: bool,
) {
    let mut bytes = vec![0; 65_536];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        let is_lost = are_answers && *state.borrow() == Wire::Deaf;
        if !is_lost && to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
