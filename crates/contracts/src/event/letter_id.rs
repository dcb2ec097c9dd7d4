use std::fmt;

use serde::{Serialize, Serializer};

use crate::fields::Rule;
use crate::id::MessageId;
use crate::time::Generation;

/// What names a dead letter, as text: `message:order-42:0` or `record:messages:3:42`.
///
/// A message that was given up twice in one life (its first letter was written, its status was
/// not) has one letter; each life of it has another. The numbers are last, so that whatever a
/// message is called, two letters never have one text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LetterId {
    /// A message in one of its lives.
    Message(MessageId, Generation),
    /// A record that could not be read: its topic, partition and offset.
    Record(String, u32, u64),
}

/// The longest name of a topic, in bytes (Kafka's own bound).
const MAX_TOPIC_BYTES: usize = 249;

impl LetterId {
    /// Reads the text.
    pub fn parse(text: &str) -> Result<Self, Rule> {
        let parsed = match text.split_once(':') {
            Some(("message", rest)) => Self::message(rest),
            Some(("record", rest)) => Self::record(rest),
            _ => None,
        };
        parsed.filter(|id| id.to_string() == text).ok_or(Rule::new(
            "must be message:message_id:generation or record:topic:partition:offset",
        ))
    }

    fn message(text: &str) -> Option<Self> {
        let (id, generation) = text.rsplit_once(':')?;
        let generation = Generation::new(generation.parse().ok()?).ok()?;
        Some(Self::Message(MessageId::new(id).ok()?, generation))
    }

    fn record(text: &str) -> Option<Self> {
        let (rest, offset) = text.rsplit_once(':')?;
        let (topic, partition) = rest.rsplit_once(':')?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if topic.is_empty() || topic.len() > MAX_TOPIC_BYTES || !topic.chars().all(is_name) {
            return None;
        }
        Some(Self::Record(topic.to_owned(), partition.parse().ok()?, offset.parse().ok()?))
    }
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(id, generation) => write!(f, "message:{id}:{}", generation.as_u32()),
            Self::Record(topic, partition, offset) => {
                write!(f, "record:{topic}:{partition}:{offset}")
            }
        }
    }
}

impl Serialize for LetterId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_as_it_was_written() {
        let generation = Generation::new(7).unwrap();
        let message = |id: &str| LetterId::Message(MessageId::new(id).unwrap(), generation);
        let record = |topic: &str| LetterId::Record(topic.to_owned(), u32::MAX, u64::MAX);
        for id in [message("m"), message("a:b:1"), message("record:x:1:2"), record("messages")] {
            assert_eq!(LetterId::parse(&id.to_string()), Ok(id));
        }
    }

    #[test]
    fn what_names_no_letter_is_refused() {
        for text in [
            "",
            "m-1",
            "message:",
            "message:m",
            "message::0",
            "message:m:01",
            "message:m:+1",
            "message:m:1048576",
            "message:m\n:1",
            "record:messages:0",
            "record::0:1",
            "record:a b:0:1",
            "record:messages:4294967296:1",
            "other:m:0",
        ] {
            assert!(LetterId::parse(text).is_err(), "{text:?}");
        }
    }
}
