//! What a wire does to a connection, in each of its conditions.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used)]

use std::io::ErrorKind;
use std::time::Duration;

use chat4all_wire::{Condition, Wire};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A server that answers every byte with itself, and tells what it has got.
async fn echo() -> (Wire, mpsc::Receiver<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let wire = Wire::to(listener.local_addr().unwrap().to_string()).await.unwrap();
    let (tell, told) = mpsc::channel(100);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                while let Ok(byte) = client.read_u8().await {
                    tell.send(byte).await.unwrap();
                    if client.write_u8(byte).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (wire, told)
}

async fn connect(wire: &Wire) -> TcpStream {
    TcpStream::connect(wire.address()).await.unwrap()
}

/// Sends a byte and waits for it to come back.
async fn ask(client: &mut TcpStream, byte: u8) -> std::io::Result<u8> {
    client.write_u8(byte).await?;
    client.read_u8().await
}

#[tokio::test]
async fn a_whole_wire_carries_everything() {
    let (wire, mut told) = echo().await;
    let mut client = connect(&wire).await;
    for byte in 0..100 {
        assert_eq!(ask(&mut client, byte).await.unwrap(), byte);
        assert_eq!(told.recv().await, Some(byte));
    }
}

#[tokio::test]
async fn a_slow_wire_takes_its_time_in_each_direction() {
    let (wire, _told) = echo().await;
    let mut client = connect(&wire).await;
    let later = Duration::from_millis(50);
    wire.set(Condition::Slow(later));
    let began = Instant::now();
    assert_eq!(ask(&mut client, 7).await.unwrap(), 7);
    assert!(began.elapsed() >= 2 * later);
}

#[tokio::test]
async fn a_stuck_wire_keeps_what_it_got_until_it_is_whole() {
    let (wire, mut told) = echo().await;
    let mut client = connect(&wire).await;
    assert_eq!(ask(&mut client, 1).await.unwrap(), 1);
    assert_eq!(told.recv().await, Some(1));
    wire.set(Condition::Stuck);
    client.write_u8(2).await.unwrap();
    // Another wire to the same place shows that bytes had the time to arrive.
    let (other, _told) = echo().await;
    assert_eq!(ask(&mut connect(&other).await, 9).await.unwrap(), 9);
    assert!(told.try_recv().is_err());
    wire.set(Condition::Whole);
    assert_eq!(client.read_u8().await.unwrap(), 2);
}

#[tokio::test]
async fn a_deaf_wire_loses_answers_and_then_the_connection() {
    let (wire, mut told) = echo().await;
    let mut client = connect(&wire).await;
    wire.set(Condition::Deaf);
    client.write_u8(3).await.unwrap();
    assert_eq!(told.recv().await, Some(3));
    client.write_u8(4).await.unwrap();
    assert_eq!(told.recv().await, Some(4));
    wire.set(Condition::Whole);
    assert!(client.read_u8().await.is_err(), "an answer is missing");
    assert_eq!(ask(&mut connect(&wire).await, 5).await.unwrap(), 5);
}

#[tokio::test]
async fn a_cut_wire_ends_connections_and_new_ones() {
    let (wire, _told) = echo().await;
    let mut client = connect(&wire).await;
    assert_eq!(ask(&mut client, 1).await.unwrap(), 1);
    wire.set(Condition::Cut);
    assert!(client.read_u8().await.is_err());
    assert!(ask(&mut connect(&wire).await, 2).await.is_err());
    wire.set(Condition::Whole);
    assert_eq!(ask(&mut connect(&wire).await, 3).await.unwrap(), 3);
}

#[tokio::test]
async fn a_reset_ends_the_connections_of_now_only() {
    let (wire, _told) = echo().await;
    let mut client = connect(&wire).await;
    assert_eq!(ask(&mut client, 1).await.unwrap(), 1);
    wire.reset();
    let error = client.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(ask(&mut connect(&wire).await, 2).await.unwrap(), 2);
}

#[tokio::test]
async fn what_a_client_had_sent_that_is_gone_does_not_arrive() {
    let (wire, mut told) = echo().await;
    let mut client = connect(&wire).await;
    assert_eq!(ask(&mut client, 1).await.unwrap(), 1);
    assert_eq!(told.recv().await, Some(1));
    wire.set(Condition::Stuck);
    client.write_u8(2).await.unwrap();
    drop(client);
    // By the time that another client is through, the wire has seen the end of the first one.
    let mut other = connect(&wire).await;
    other.write_u8(3).await.unwrap();
    // sleep: nothing tells that a connection has ended inside of the wire
    tokio::time::sleep(Duration::from_millis(100)).await;
    wire.set(Condition::Whole);
    assert_eq!(told.recv().await, Some(3));
}

#[tokio::test]
async fn what_a_server_had_sent_that_is_gone_arrives() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let wire = Wire::to(listener.local_addr().unwrap().to_string()).await.unwrap();
    wire.set(Condition::Slow(Duration::from_millis(20)));
    let mut client = connect(&wire).await;
    let (mut server, _) = listener.accept().await.unwrap();
    server.write_all(b"whole").await.unwrap();
    drop(server);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"whole");
}
