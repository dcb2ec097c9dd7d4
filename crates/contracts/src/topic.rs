//! The names of the topics. Keys and partitions are described in docs/architecture.md.

use crate::id::PlatformName;

/// Accepted messages and redrives. Key: conversation. Written by the API.
pub const MESSAGES: &str = "messages";
/// What became of a message. Key: message. Written by connectors, router and status-consumer.
pub const STATUS_UPDATES: &str = "status-updates";
/// Receipts that name only the platform's own id. Key: that id. Written by connectors.
pub const RECEIPTS: &str = "receipts";
/// Messages that people sent to us. Key: `platform:account:peer`. Written by connectors.
pub const INBOUND: &str = "inbound";
/// What operators want of accounts, and how accounts are: one partition, compacted. Key: kind and
/// account, `state/whatsapp:main`. Written by the API (commands) and connectors (states).
pub const ACCOUNTS: &str = "accounts";

/// What a platform's connector delivers. Key: conversation; partition: the account's.
/// Written by the router only.
pub fn outbound(platform: &PlatformName) -> String {
    format!("{platform}-outbound")
}

/// How the names of topics end that hold dead letters.
const DEAD_LETTERS: &str = "-dead-letters";

/// Records of `topic` that could not be handled.
pub fn dead_letters(topic: &str) -> String {
    format!("{topic}{DEAD_LETTERS}")
}

/// Whether a topic holds dead letters.
pub fn is_dead_letters(topic: &str) -> bool {
    topic.ends_with(DEAD_LETTERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platforms_topics_carry_its_name() {
        let platform = PlatformName::new("whatsapp").unwrap();
        assert_eq!(outbound(&platform), "whatsapp-outbound");
        assert_eq!(dead_letters(&outbound(&platform)), "whatsapp-outbound-dead-letters");
        assert!(is_dead_letters("messages-dead-letters") && !is_dead_letters("messages"));
    }
}
