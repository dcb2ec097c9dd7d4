//! Why a message failed: stable codes, a number in the store and a word in events and the API.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $code:literal $word:literal,)*) => {
        /// Why a message failed, is in doubt, or may have arrived twice. The numbers and words never change meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[$doc])* $variant,)* }

        impl Reason {
            /// Every reason, in the order of the numbers.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant,)*];

            /// The number written into the store.
            pub fn code(self) -> u32 {
                match self { $(Reason::$variant => $code,)* }
            }

            /// The word written into events and shown by the API.
            pub fn word(self) -> &'static str {
                match self { $(Reason::$variant => $word,)* }
            }

            /// The reason with this number; `Unspecified` for one of a later release.
            pub fn from_code(code: u32) -> Self {
                match code { $($code => Reason::$variant,)* _ => Reason::Unspecified }
            }

            /// The reason with this word; `Unspecified` for one of a later release.
            pub fn from_word(word: &str) -> Self {
                match word { $($word => Reason::$variant,)* _ => Reason::Unspecified }
            }
        }
    };
}

reasons! {
    /// No reason was given, or one that this release does not know.
    Unspecified = 0 "unspecified",
    /// The message's lifetime ended before the platform accepted it.
    Expired = 1 "expired",
    /// The platform was tried as often as allowed and kept failing.
    Exhausted = 2 "exhausted",
    /// The platform refused the message for good.
    Refused = 3 "refused",
    /// A call was made whose outcome never became known.
    InDoubt = 4 "in_doubt",
    /// The connector's own code failed on this message.
    ConnectorBug = 5 "connector_bug",
    /// No connector serves the receiver's platform.
    UnknownPlatform = 6 "unknown_platform",
    /// The platform has no such sending account.
    UnknownAccount = 7 "unknown_account",
    /// The message disappeared between two stages; must never happen.
    Lost = 8 "lost",
    /// The platform accepted the message and reported later that it could not deliver it.
    Rejected = 9 "rejected",
    /// The receiver cannot get messages: wrong number, not a user, window closed.
    RecipientUnreachable = 10 "recipient_unreachable",
    /// The content does not fit the platform: too long, unsupported kind.
    UnsupportedContent = 11 "unsupported_content",
    /// No failure: the platform accepted the message, and may have accepted an earlier call of the
    /// same message too.
    PossibleDuplicate = 12 "possible_duplicate",
}

impl Reason {
    /// Whether the platform itself said so after it had accepted the message. Such a failure
    /// stands above SENT; every other one stands below it.
    pub fn is_report_after_acceptance(self) -> bool {
        self == Reason::Rejected
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl serde::Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_name_one_reason_each() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_code(reason.code()), *reason);
            assert_eq!(Reason::from_word(reason.word()), *reason);
        }
        assert_eq!(Reason::from_code(9999), Reason::Unspecified);
        assert_eq!(Reason::from_word("of-a-later-release"), Reason::Unspecified);
    }
}
