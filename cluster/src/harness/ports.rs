//! Free ports, each handed out once.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the ports that the kernel gives to outgoing connections: one of those could take a port
/// between its choice and its use.
const RANGE: std::ops::Range<u32> = 12_000..32_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A port that nobody listens on, nor on those at the given distances from it. Two test processes
/// begin at different places.
pub fn free(distances: &[i32]) -> u16 {
    let span = RANGE.end - RANGE.start;
    let begin = std::process::id().wrapping_mul(97) % span;
    let candidates = std::iter::repeat_with(|| {
        let step = NEXT.fetch_add(4, Ordering::Relaxed);
        i32::try_from(RANGE.start + (begin + step) % span).expect("a port")
    });
    let is_free = |port: i32| {
        let port = u16::try_from(port).expect("a port");
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
    };
    let found = candidates
        .take(span as usize)
        .find(|port| is_free(*port) && distances.iter().all(|distance| is_free(port + distance)));
    u16::try_from(found.expect("a free port")).expect("a port")
}
