//! What is being done, on one line of standard error.

use std::io::{IsTerminal, Write};

/// Says it: rewritten on a terminal, a line of its own elsewhere.
pub(crate) fn say(what: &str) {
    let mut err = std::io::stderr();
    // Whoever started us need not be listening.
    let _closed = match err.is_terminal() {
        true => write!(err, "\r\x1b[2K{what}").and_then(|()| err.flush()),
        false => writeln!(err, "{what}"),
    };
}

/// Makes room for what follows.
pub(crate) fn clear() {
    let mut err = std::io::stderr();
    if err.is_terminal() {
        // Whoever started us need not be listening.
        let _closed = write!(err, "\r\x1b[2K");
    }
}
