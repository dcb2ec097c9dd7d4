//! Points in time and generations, with the bounds that the store's write timestamps need.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::fields::Rule;

/// Milliseconds since 1970-01-01T00:00:00Z, 0 to 2^43 - 1 (the year 2248).
///
/// The upper bound leaves room for a [`Generation`] above it in a signed 64-bit write timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct EpochMs(u64);

impl EpochMs {
    /// The largest time that can be written down: 2^43 - 1 ms.
    pub const MAX: EpochMs = EpochMs((1 << 43) - 1);

    /// Refuses a time beyond [`EpochMs::MAX`].
    pub fn new(ms: u64) -> Result<Self, Rule> {
        if ms <= Self::MAX.0 {
            Ok(Self(ms))
        } else {
            Err(Rule::new("must be milliseconds since 1970, 0 to 8796093022207"))
        }
    }

    /// As [`EpochMs::new`], with anything beyond the bound cut to it.
    pub fn saturating(ms: u64) -> Self {
        Self(ms.min(Self::MAX.0))
    }

    /// Milliseconds since 1970.
    pub fn as_ms(self) -> u64 {
        self.0
    }

    /// This time plus `duration`, cut to [`EpochMs::MAX`].
    pub fn plus(self, duration: Duration) -> Self {
        let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self::saturating(self.0.saturating_add(ms))
    }

    /// How long after `earlier` this time lies; zero if it does not.
    pub fn since(self, earlier: EpochMs) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The year and the month (1 to 12) in UTC.
    pub fn year_and_month(self) -> (u64, u64) {
        let (year, month, _) = civil_from_days(self.0 / 86_400_000);
        (year, month)
    }

    /// RFC 3339 in UTC with milliseconds, as the API shows times.
    pub fn to_rfc3339(self) -> String {
        let (days, ms) = (self.0 / 86_400_000, self.0 % 86_400_000);
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        let ms = ms % 1000;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

/// Days since 1970-01-01 to (year, month, day) of the Gregorian calendar.
///
/// Howard Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

impl fmt::Display for EpochMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

/// How often a message has been redriven: 0 for the first life of a message, at most 2^20 - 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Generation(u32);

impl Generation {
    /// The first life of a message.
    pub const FIRST: Generation = Generation(0);
    /// The highest generation: above it a write timestamp would leave 63 bits.
    pub const MAX: Generation = Generation((1 << 20) - 1);

    /// Refuses a generation beyond [`Generation::MAX`].
    pub fn new(generation: u64) -> Result<Self, Rule> {
        match u32::try_from(generation) {
            Ok(g) if g <= Self::MAX.0 => Ok(Self(g)),
            _ => Err(Rule::new("must be 0 to 1048575")),
        }
    }

    /// The number itself.
    pub fn as_u32(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339() {
        let show = |ms| EpochMs::saturating(ms).to_rfc3339();
        assert_eq!(show(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(show(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(show(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(show(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(EpochMs::MAX.to_rfc3339(), "2248-09-26T15:10:22.207Z");
    }

    #[test]
    fn a_time_beyond_43_bits_is_refused() {
        assert!(EpochMs::new((1 << 43) - 1).is_ok());
        assert!(EpochMs::new(1 << 43).is_err());
        assert!(Generation::new(1 << 20).is_err());
    }
}
