//! One log of many processes: each line goes out whole, behind the name of who wrote it.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use serde_json::Value;

use super::plain::plain;

/// Longer lines are broken, so that no process can fill the memory.
const LONGEST_LINE: u64 = 64 << 10;
/// A colour for each process: bright ones, readable on dark and light.
const COLOURS: [u8; 6] = [36, 33, 32, 35, 34, 31];
/// What a service says on standard output once it runs.
const STARTED: &str = "started";

/// Where every line goes. Cheap to clone.
#[derive(Clone)]
pub struct Output {
    shared: Arc<Mutex<Shared>>,
    width: usize,
    is_coloured: bool,
}

struct Shared {
    writer: Box<dyn Write + Send>,
    /// Where each service said that it listens.
    endpoints: BTreeMap<String, String>,
}

impl Output {
    /// Writes to `writer`. `width` is the length of the longest name; with colours, also what
    /// services log is made readable.
    pub fn new(writer: Box<dyn Write + Send>, width: usize, is_coloured: bool) -> Self {
        let shared = Shared { writer, endpoints: BTreeMap::new() };
        Self { shared: Arc::new(Mutex::new(shared)), width, is_coloured }
    }

    /// Writes one line of one process. `index` chooses its colour.
    pub fn line(&self, name: &str, index: usize, text: &str) {
        let width = self.width;
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let line = if self.is_coloured {
            let colour = COLOURS[index % COLOURS.len()];
            format!("\x1b[{colour}m{name:<width$} |\x1b[0m {text}\n")
        } else {
            format!("{name:<width$} | {text}\n")
        };
        // Nobody may be reading any more; the processes go on and are still stopped in order.
        let _closed = shared.writer.write_all(line.as_bytes()).and_then(|()| shared.writer.flush());
    }

    /// Where a service listens, once it has said so: `127.0.0.1:8080`.
    pub fn endpoint(&self, name: &str) -> Option<String> {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.endpoints.get(name).cloned()
    }

    /// Copies what a process writes until it closes the stream.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub fn copy(
        &self,
        name: &str,
        index: usize,
        stream: impl Read + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let (output, name) = (self.clone(), name.to_owned());
        let body = move || {
            let mut reader = BufReader::new(stream);
            while let Some(text) = next_line(&mut reader) {
                output.note_endpoint(&name, &text);
                let text = if output.is_coloured { plain(&text) } else { text };
                output.line(&name, index, &text);
            }
        };
        thread::Builder::new().name("output".to_owned()).spawn(body)
    }

    fn note_endpoint(&self, name: &str, text: &str) {
        if let Some(endpoint) = endpoint(text) {
            let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            shared.endpoints.insert(name.to_owned(), endpoint);
        }
    }
}

/// A stream that cannot be read any more has ended.
fn next_line(reader: &mut impl BufRead) -> Option<String> {
    let mut bytes = Vec::new();
    let read = reader.take(LONGEST_LINE).read_until(b'\n', &mut bytes).unwrap_or(0);
    let text = String::from_utf8_lossy(&bytes);
    (read > 0).then(|| text.trim_end_matches(['\n', '\r']).to_owned())
}

/// The address in a line such as `{"event":"started","endpoint":"http://127.0.0.1:8080"}`.
fn endpoint(line: &str) -> Option<String> {
    if !line.starts_with('{') || !line.contains(STARTED) {
        return None;
    }
    let value: Value = serde_json::from_str(line).ok()?;
    let endpoint = value["endpoint"].as_str()?;
    (value["event"] == STARTED).then(|| endpoint.trim_start_matches("http://").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer that a test can read.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn copied(is_coloured: bool, text: &'static [u8]) -> (String, Output) {
        let page = Page::default();
        let output = Output::new(Box::new(page.clone()), 6, is_coloured);
        output.copy("api", 0, text).unwrap().join().unwrap();
        let bytes = page.0.lock().unwrap().clone();
        (String::from_utf8(bytes).unwrap(), output)
    }

    #[test]
    fn each_line_says_who_wrote_it() {
        assert_eq!(copied(false, b"one\r\ntwo").0, "api    | one\napi    | two\n");
        assert_eq!(copied(true, b"one\n").0, "\x1b[36mapi    |\x1b[0m one\n");
    }

    #[test]
    fn a_line_without_end_is_broken() {
        static LONG: [u8; 100_000] = [b'x'; 100_000];
        assert_eq!(copied(false, &LONG).0.lines().count(), 2);
    }

    #[test]
    fn a_service_that_runs_says_where() {
        let line =
            b"{\"event\":\"started\",\"service\":\"api\",\"endpoint\":\"http://127.0.0.1:8080\"}\n";
        let (_, output) = copied(false, line);
        assert_eq!(output.endpoint("api").as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(output.endpoint("router"), None);
    }

    #[test]
    fn other_lines_say_nothing_about_an_address() {
        for line in [
            "started on http://127.0.0.1:8080",
            "{\"event\":\"checked\",\"note\":\"started\",\"endpoint\":\"http://127.0.0.1:8080\"}",
            "{\"event\":\"started\"}",
            "{\"event\":\"started\"",
        ] {
            assert_eq!(endpoint(line), None, "{line}");
        }
    }
}
