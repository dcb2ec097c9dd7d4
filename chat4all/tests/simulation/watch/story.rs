//! What happened, in order, so that a violation can be told from its beginning.

use std::time::Duration;

use chat4all_contracts::MessageId;

/// The most lines that a failure shows.
const SHOWN: usize = 60;

/// See the module.
#[derive(Default)]
pub struct Story {
    lines: Vec<(Duration, Option<MessageId>, String)>,
}

impl Story {
    pub fn add(&mut self, at: Duration, message: Option<&MessageId>, words: String) {
        self.lines.push((at, message.cloned(), words));
    }

    /// The lines about the chosen messages, and about everything; the last ones, if many.
    pub fn lines(&self, chosen: impl Fn(&MessageId) -> bool) -> Vec<String> {
        let of_interest = |id: &Option<MessageId>| id.as_ref().is_none_or(&chosen);
        let lines = self.lines.iter().filter(|(_, id, _)| of_interest(id));
        let lines: Vec<String> = lines
            .map(|(at, id, words)| {
                // The end of an id tells apart those of one run.
                let id = id
                    .as_ref()
                    .map_or("", |id| &id.as_str()[id.as_str().len().saturating_sub(6)..]);
                format!("{:>10.3} s  {id:<6}  {words}", at.as_secs_f64())
            })
            .collect();
        lines[lines.len().saturating_sub(SHOWN)..].to_vec()
    }
}
