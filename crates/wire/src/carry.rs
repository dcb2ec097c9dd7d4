//! One connection: bytes in both directions, each with a queue in between that holds them for as
//! long as they take.

use std::io;

use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::{Condition, State};

/// Bytes that are read at once.
const CHUNK: usize = 16 * 1024;
/// Chunks on the wire in one direction; then the sender has to wait.
const CHUNKS: usize = 64;

/// Bytes, and when they arrive at the earliest.
type Chunk = (Instant, Vec<u8>);

/// Until the connection ends. Answers whether it was reset.
pub async fn both(
    client: &TcpStream,
    server: &TcpStream,
    state: watch::Receiver<State>,
    resets: u64,
) -> bool {
    let (requests, requested) = mpsc::channel(CHUNKS);
    let (answers, answered) = mpsc::channel(CHUNKS);
    let mut ended = state.clone();
    let end = ended.wait_for(|state| state.condition == Condition::Cut || state.resets != resets);
    tokio::select! {
        biased;
        end = end => end.is_ok_and(|state| state.resets != resets),
        // The client is gone: what it had sent is lost.
        () = take(client, requests, state.clone()) => false,
        () = give(server, requested, state.clone()) => false,
        () = answer(client, answered, state.clone()) => false,
        // The server is gone: what it had sent still arrives, and that is the end.
        () = async {
            take(server, answers, state).await;
            std::future::pending().await
        } => false,
    }
}

/// From one side onto the wire, until that side ends.
async fn take(from: &TcpStream, to: mpsc::Sender<Chunk>, state: watch::Receiver<State>) {
    let mut bytes = vec![0; CHUNK];
    loop {
        let read = match from.readable().await.and_then(|()| from.try_read(&mut bytes)) {
            Ok(0) => return,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(_) => return,
        };
        let later = match state.borrow().condition {
            Condition::Slow(by) => by,
            _ => std::time::Duration::ZERO,
        };
        if to.send((Instant::now() + later, bytes[..read].to_vec())).await.is_err() {
            return;
        }
    }
}

/// From the wire to one side, until nothing comes any more.
async fn give(to: &TcpStream, mut from: mpsc::Receiver<Chunk>, mut state: watch::Receiver<State>) {
    while let Some((due, bytes)) = from.recv().await {
        sleep_until(due).await;
        if state.wait_for(|state| state.condition != Condition::Stuck).await.is_err() {
            return;
        }
        if write(to, &bytes).await.is_err() {
            return;
        }
    }
}

/// As [`give`], of what a deaf wire loses.
async fn answer(
    to: &TcpStream,
    mut from: mpsc::Receiver<Chunk>,
    mut state: watch::Receiver<State>,
) {
    while let Some((due, bytes)) = from.recv().await {
        sleep_until(due).await;
        if state.wait_for(|state| state.condition != Condition::Stuck).await.is_err() {
            return;
        }
        if state.borrow().condition == Condition::Deaf {
            // Whatever the client waits for, it does not come. The server is not held up by that.
            let healed = state.wait_for(|state| state.condition != Condition::Deaf);
            tokio::select! {
                biased;
                _ = healed => return,
                () = lose(&mut from) => return,
            }
        }
        if write(to, &bytes).await.is_err() {
            return;
        }
    }
}

/// Until nothing comes any more.
async fn lose(from: &mut mpsc::Receiver<Chunk>) {
    while from.recv().await.is_some() {}
}

async fn write(to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        to.writable().await?;
        match to.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
