//! Names and identifiers. Each has a grammar that its constructor enforces; those that may name a
//! person hide their text from `Debug`, so that no log line can leak it (I10). Cheap to clone: a message
//! and what becomes of it carry the same ids through many hands.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::fields::Rule;

/// The longest id, in bytes of UTF-8.
pub const MAX_ID_BYTES: usize = 128;

const ID_RULE: Rule = Rule::new("must be 1 to 128 bytes of printable characters");

fn printable_id(text: &str) -> Result<String, Rule> {
    let unprintable = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if text.trim().is_empty() || text.len() > MAX_ID_BYTES || text.chars().any(unprintable) {
        return Err(ID_RULE);
    }
    Ok(text.to_owned())
}

fn name_of(text: &str, max: usize, extra: &str, rule: Rule) -> Result<String, Rule> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || extra.contains(c);
    let starts_well = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    if !starts_well || text.len() > max || !text.chars().all(allowed) {
        return Err(rule);
    }
    Ok(text.to_owned())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $parse:expr, $debug:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the grammar; the error is the rule, without the refused text.
            pub fn new(text: &str) -> Result<Self, Rule> {
                let parse: fn(&str) -> Result<String, Rule> = $parse;
                parse(text).map(|text| Self(text.into()))
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let debug: fn(&str) -> String = $debug;
                f.write_str(&debug(&self.0))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
    };
}

fn shown(text: &str) -> String {
    text.to_owned()
}

fn hidden(_: &str) -> String {
    "***".to_owned()
}

id!(
    /// One message, everywhere: the correlation id of logs, statuses and dead letters.
    MessageId,
    printable_id,
    shown
);
id!(
    /// A conversation as the client names it. May name a person.
    ConversationId,
    printable_id,
    hidden
);
id!(
    /// Who sends, as the client names it. May name a person.
    SenderId,
    printable_id,
    hidden
);
id!(
    /// A file known to the client.
    FileId,
    printable_id,
    hidden
);
id!(
    /// A client's key for "this request, once".
    IdempotencyKey,
    printable_id,
    hidden
);
id!(
    /// The platform's own id of a message: `wamid...`, an Instagram `mid`. The vendors do not
    /// bound its length; ours is 512 bytes.
    ExternalId,
    |text| {
        let printable = !text.is_empty() && !text.chars().any(char::is_control);
        let rule = Rule::new("must be 1 to 512 bytes of printable characters");
        if printable && text.len() <= 512 { Ok(text.to_owned()) } else { Err(rule) }
    },
    // A WhatsApp wamid contains the recipient's number in base64.
    hidden
);
id!(
    /// What a vendor said in words, the first 500 characters. It may quote the receiver or the
    /// message.
    VendorText,
    |text| Ok(text.chars().take(500).collect()),
    hidden
);
id!(
    /// A sending identity of a platform: a number, a page, a bot. An operator's name for it.
    AccountName,
    |text| name_of(
        text,
        64,
        "._-",
        Rule::new("must be 1 to 64 of a-z A-Z 0-9 . _ - and begin with a letter or digit"),
    ),
    shown
);
id!(
    /// A platform: `whatsapp`. Part of topic names.
    PlatformName,
    |text| {
        let rule = Rule::new("must be 1 to 32 of a-z 0-9 - and begin with a letter or digit");
        if text.chars().any(|c| c.is_ascii_uppercase()) {
            return Err(rule);
        }
        name_of(text, 32, "-", rule)
    },
    shown
);

/// To whom: `platform:address`, for example `whatsapp:+5511999990000`.
///
/// The address's own grammar is the platform's ([`crate::PlatformSpec`]); here it is only printable.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReceiverId {
    text: Arc<str>,
    colon: usize,
}

impl ReceiverId {
    /// Splits `platform:address`; the error is the rule, without the refused text.
    pub fn new(text: &str) -> Result<Self, Rule> {
        let rule = Rule::new(
            "must be platform:address, at most 128 bytes, for example whatsapp:+5511999990000",
        );
        let Some(colon) = text.find(':') else { return Err(rule) };
        let platform_is_well_formed = PlatformName::new(&text[..colon]).is_ok();
        if !platform_is_well_formed || text.len() == colon + 1 || printable_id(text).is_err() {
            return Err(rule);
        }
        Ok(Self { text: text.into(), colon })
    }

    /// The part before the colon: the name of a platform.
    pub fn platform(&self) -> &str {
        &self.text[..self.colon]
    }

    /// The part after the colon, in the platform's grammar. Personal data.
    pub fn address(&self) -> &str {
        &self.text[self.colon + 1..]
    }

    /// The whole text. Personal data.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for ReceiverId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:***", self.platform())
    }
}

impl Serialize for ReceiverId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for PlatformName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_1_to_128_printable_bytes() {
        assert!(MessageId::new("order-42/é").is_ok());
        assert!(MessageId::new(&"x".repeat(128)).is_ok());
        for bad in ["", "   ", "a\u{0}b", "a\nb", "a\u{7f}b", "a\u{2028}b", &"x".repeat(129)] {
            assert!(MessageId::new(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_receiver_is_platform_colon_address() {
        let receiver = ReceiverId::new("whatsapp:+5511999990000").unwrap();
        assert_eq!((receiver.platform(), receiver.address()), ("whatsapp", "+5511999990000"));
        assert_eq!(ReceiverId::new("mail:a:b").unwrap().address(), "a:b");
        for bad in ["whatsapp", "whatsapp:", ":+55", "Whats App:+55", "whatsapp:\u{1}"] {
            assert!(ReceiverId::new(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn debug_output_hides_what_may_name_a_person() {
        let receiver = ReceiverId::new("whatsapp:+5511999990000").unwrap();
        let conversation = ConversationId::new("maria").unwrap();
        assert_eq!(format!("{receiver:?} {conversation:?}"), "whatsapp:*** ***");
    }
}
