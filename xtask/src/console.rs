//! What a command says: data to standard output, everything else to standard error.
//!
//! On a terminal a step is one line that shows the time while it runs; elsewhere it is one line at
//! its end, so that a log holds no control characters.

use std::io::{self, Write};
use std::time::Duration;

use crate::wait::spoken;

/// Back to the begin of the line, and nothing on it.
const CLEAR_LINE: &str = "\r\x1b[K";

/// Where a command writes.
pub struct Console<'a> {
    /// Standard output: data.
    pub out: &'a mut dyn Write,
    /// Standard error: steps, warnings.
    pub err: &'a mut dyn Write,
    /// Whether people see `out` directly.
    pub out_is_terminal: bool,
    /// Whether people see `err` directly.
    pub err_is_terminal: bool,
}

impl Console<'_> {
    /// A step goes on. `what` is followed by the time.
    pub fn running(&mut self, name: &str, what: &str, elapsed: Duration) -> io::Result<()> {
        if !self.err_is_terminal {
            return Ok(());
        }
        write!(self.err, "{CLEAR_LINE}{name:<10} {what}, {}", spoken(elapsed))?;
        self.err.flush()
    }

    /// A step has ended: the line that stays.
    pub fn line(&mut self, name: &str, what: &str) -> io::Result<()> {
        let clear = if self.err_is_terminal { CLEAR_LINE } else { "" };
        writeln!(self.err, "{clear}{name:<10} {what}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(err_is_terminal: bool) -> String {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut console = Console {
            out: &mut out,
            err: &mut err,
            out_is_terminal: err_is_terminal,
            err_is_terminal,
        };
        console.running("a", "waits", Duration::from_millis(1_500)).unwrap();
        console.line("a", "is there").unwrap();
        assert!(out.is_empty());
        String::from_utf8(err).unwrap()
    }

    #[test]
    fn a_terminal_shows_a_step_while_it_runs() {
        let expected = "\r\x1b[Ka          waits, 1.5 s\r\x1b[Ka          is there\n";
        assert_eq!(said(true), expected);
    }

    #[test]
    fn a_log_holds_one_line_a_step() {
        assert_eq!(said(false), "a          is there\n");
    }
}
