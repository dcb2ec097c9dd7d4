//! Free ports, each handed out once.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the ports that the kernel gives to outgoing connections: one of those could take a port
/// between its choice and its use.
const RANGE: std::ops::Range<u32> = 10_000..32_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Ports that nobody listens on. Two test processes begin at different places.
pub fn free<const N: usize>() -> [u16; N] {
    let span = RANGE.end - RANGE.start;
    let begin = std::process::id().wrapping_mul(97) % span;
    let candidates = std::iter::repeat_with(|| {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        u16::try_from(RANGE.start + (begin + step) % span).expect("a port")
    });
    // All of them are held until the last is found.
    let held: Vec<(u16, TcpListener)> = candidates
        .take(span as usize)
        .filter_map(|port| Some((port, TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?)))
        .take(N)
        .collect();
    let ports: Vec<u16> = held.iter().map(|(port, _)| *port).collect();
    ports.try_into().expect("enough free ports")
}
