//! What a vendor said about a call.

use std::fmt;

use chat4all_contracts::VendorText;

/// The vendor's code, for people and logs, and its words, for events only: they may quote the
/// receiver or the message (I10).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Detail {
    code: String,
    text: Option<VendorText>,
}

impl Detail {
    /// Only a code, or a fixed text of ours.
    pub fn new(code: impl Into<String>) -> Self {
        Self { code: code.into(), text: None }
    }

    /// With the vendor's words, at most 500 characters of them.
    #[must_use]
    pub fn saying(mut self, text: Option<&str>) -> Self {
        let text = text.map(str::trim).filter(|text| !text.is_empty());
        self.text = text.and_then(|text| {
            let printable: String = text.chars().filter(|c| !c.is_control()).collect();
            VendorText::new(&printable).ok()
        });
        self
    }

    /// The code. May be logged.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The vendor's words. Personal data: not for logs.
    pub fn text(&self) -> Option<&VendorText> {
        self.text.as_ref()
    }

    /// Both, for dead letters.
    pub fn whole(&self) -> String {
        match &self.text {
            Some(text) => format!("{}: {}", self.code, text.as_str()),
            None => self.code.clone(),
        }
    }
}

/// The code alone.
impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code)
    }
}

impl fmt::Debug for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vendors_words_are_kept_for_events_and_never_printed() {
        let detail = Detail::new("131026").saying(Some(" to +5511999990000\n failed "));
        assert_eq!(format!("{detail} {detail:?}"), "131026 \"131026\"");
        assert_eq!(detail.whole(), "131026: to +5511999990000 failed");
        assert_eq!(Detail::new("1").saying(Some("  ")).text(), None);
    }

    #[test]
    fn a_vendors_words_are_bounded() {
        let detail = Detail::new("1").saying(Some(&"é".repeat(10_000)));
        assert_eq!(detail.text().unwrap().as_str().chars().count(), 500);
    }
}
