//! One line about how it goes: rewritten on a terminal, every ten seconds elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::sleep;

use super::reported::{Reported, Tally};
use super::shared::Shared;

/// Back to the begin of the line, and nothing on it.
const CLEAR_LINE: &str = "\r\x1b[K";
/// A terminal's line is cut here: a longer one would not be rewritten but repeated.
const COLUMNS: usize = 150;

/// Says how it goes, for as long as it is polled. `left` says what the time is for.
pub async fn say(shared: &Shared, reported: &Arc<Reported>, length: Duration) {
    let is_terminal = std::io::stderr().is_terminal();
    let pause = if is_terminal { Duration::from_millis(500) } else { Duration::from_secs(10) };
    loop {
        let line = line(shared, reported.tally(), length);
        let shown: String = line.chars().take(COLUMNS).collect();
        let mut out = std::io::stderr().lock();
        // Nobody need be listening.
        let _closed = match is_terminal {
            true => write!(out, "{CLEAR_LINE}{shown}").and_then(|()| out.flush()),
            false => writeln!(out, "{line}"),
        };
        drop(out);
        sleep(pause).await;
    }
}

/// Takes the line away, so that the next one begins at its begin.
pub fn clear() {
    if std::io::stderr().is_terminal() {
        let _closed = write!(std::io::stderr(), "{CLEAR_LINE}");
    }
}

fn line(shared: &Shared, tally: Tally, length: Duration) -> String {
    let elapsed = shared.board.elapsed();
    let left = length.saturating_sub(elapsed).as_secs();
    let accepted = shared.counts.accepted.load(Ordering::Relaxed);
    let open = accepted.saturating_sub(tally.arrived + tally.failed);
    let time = match left {
        0 => "settling".to_owned(),
        left => format!("{}:{:02} left", left / 60, left % 60),
    };
    let doing = shared.board.doing().join(" | ");
    let findings = match shared.board.findings().len() {
        0 => String::new(),
        count => format!(", FINDINGS {count}"),
    };
    format!(
        "{time}  accepted {accepted}, delivered {}, failed {}, open {open}, lost {}{findings}  {doing}",
        tally.arrived, tally.failed, tally.lost
    )
}
