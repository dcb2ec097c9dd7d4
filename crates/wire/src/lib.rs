//! A wire between clients and a server that a test can make bad: a TCP proxy on this machine.
//!
//! Who goes away sends nothing more: what a client had on the wire when its connection ended does
//! not arrive. So nothing comes late of a client that is gone, as little as of one that was killed
//! without a wire in between.

mod carry;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the wire does with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It carries them.
    Whole,
    /// It takes so much longer, in each direction.
    Slow(Duration),
    /// It keeps them until it is whole again. Connections stay.
    Stuck,
    /// The server's answers get lost; requests arrive. A connection that lost something ends with
    /// the deafness: nobody could understand the rest.
    Deaf,
    /// Connections end, and new ones end at once.
    Cut,
}

/// What all connections of a wire look at.
#[derive(Clone, Copy, Debug)]
struct State {
    condition: Condition,
    /// How often all connections were reset.
    resets: u64,
}

/// After a connection could not be taken.
const BREATH: Duration = Duration::from_millis(100);

/// The wire. Dropping it ends new connections; those that there are go on with the runtime.
pub struct Wire {
    address: SocketAddr,
    state: watch::Sender<State>,
    listening: JoinHandle<()>,
}

impl Wire {
    /// From a port of the system's choice to a server, which need not be there yet.
    ///
    /// # Errors
    /// If there is no port.
    pub async fn to(server: impl Into<String>) -> io::Result<Self> {
        Self::between("127.0.0.1:0", server).await
    }

    /// From an address of this machine to a server, which need not be there yet.
    ///
    /// # Errors
    /// If the address is taken.
    pub async fn between(address: &str, server: impl Into<String>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (state, seen) = watch::channel(State { condition: Condition::Whole, resets: 0 });
        let listening = tokio::spawn(listen(listener, server.into(), seen));
        Ok(Self { address, state, listening })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on.
    pub fn set(&self, condition: Condition) {
        self.state.send_modify(|state| state.condition = condition);
    }

    /// Every connection of now is reset; new ones work.
    pub fn reset(&self) {
        self.state.send_modify(|state| state.resets += 1);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(listener: TcpListener, server: String, state: watch::Receiver<State>) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                drop(tokio::spawn(connection(client, server.clone(), state.clone())))
            }
            // Too many open files, for example: others get the time to end.
            Err(_) => tokio::time::sleep(BREATH).await,
        }
    }
}

async fn connection(client: TcpStream, server: String, mut state: watch::Receiver<State>) {
    let State { condition, resets } = *state.borrow_and_update();
    if condition == Condition::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    // Small requests and answers: a wire adds no wait of its own.
    let _unsupported = client.set_nodelay(true).and_then(|()| server.set_nodelay(true));
    let was_reset = carry::both(&client, &server, state, resets).await;
    if was_reset {
        // Both sides see a reset instead of an orderly end.
        let _ended = client.set_zero_linger().and_then(|()| server.set_zero_linger());
    }
}
